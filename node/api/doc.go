// Package api is what programs and people see of a daemon: the JSON of micro-net's own HTTP
// API, the server that answers it on the unix socket and on loopback TCP, and the client that
// the command line uses.
//
// It asks its Backend for everything and knows nothing of how a node works. Reading is open to
// everyone on the host; who may change what is decided here, from the credentials of the
// process at the other end of the socket.
//
// Goroutines: those of Server.Run, and of net/http below it.
package api
