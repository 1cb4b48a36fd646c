// Package tunneltest says in executable form what a tunnel.Tunnel promises. Every implementation
// passes Conform, in virtual time; those that can run over real sockets pass ConformReal too.
//
// It knows nothing of how an implementation works: it is given two tunnels that can reach each
// other.
//
// Goroutines: those of the tests, all ended when a test returns.
package tunneltest
