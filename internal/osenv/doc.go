// Package osenv is the operating system behind micronet.Env: the one place that opens sockets,
// files and processes. Everything else in the module goes through the interfaces of Env, so
// that the simulator can stand in for this package.
//
// It knows nothing of nodes, services or the protocols of the mesh.
//
// Goroutines: one per active watch (interfaces, folders, signals) and those of the libraries behind
// it, ended by the watch's context.
package osenv
