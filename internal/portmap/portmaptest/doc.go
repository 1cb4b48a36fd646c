// Package portmaptest is the router's side of package portmap, for tests and for the simulator: what a router that speaks
// PCP, NAT-PMP or UPnP answers, written after the RFCs and the UPnP Forum's documents and not after our client. A Router says what; a Box
// says it to the hosts behind a simulated NAT, whose ports it opens and closes.
//
// Goroutines: one that Box.Run is called in, one for each socket besides, those of an HTTP server, and one that ends them with the context.
package portmaptest
