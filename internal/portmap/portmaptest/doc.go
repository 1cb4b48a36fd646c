// Package portmaptest is the router's side of package portmap, for tests and for the simulator: what a router that speaks
// PCP or NAT-PMP answers, written after the RFCs and not after our client. A Router says what; a Box says it to the hosts behind a
// simulated NAT, whose ports it opens and closes.
//
// Goroutines: one that Box.Run is called in, and one that ends its socket with the context.
package portmaptest
