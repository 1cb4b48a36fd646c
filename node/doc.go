// Package node builds a micro-net node from its parts and runs it.
//
// It owns the wiring and the lifecycle: identity on disk, founding and joining a cluster, the
// services of this host and their health checks, the view that combines membership, catalog and
// paths, and the API's answers. The same node is the daemon, a node inside a program (Listen,
// Dial, HTTPClient), and a node of the simulator. It does not know flags, terminals or how any
// protocol works: the packages below it do.
//
// Goroutines: all of them are started by Run and have ended when Run returns.
package node
