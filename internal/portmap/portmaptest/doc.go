// Package portmaptest is the router's side of package portmap, for tests and for the simulator: what a router that speaks
// PCP or NAT-PMP answers, written after the RFCs and not after our client.
//
// It sends nothing itself, and knows no ports but those that its caller opens and closes.
//
// Goroutines: none.
package portmaptest
