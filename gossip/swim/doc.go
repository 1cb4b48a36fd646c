// Package swim is gossip.Membership on top of hashicorp/memberlist: SWIM with Lifeguard over a
// transport that knows identities only.
//
// A member's name is "<NodeID>.<epoch>", its address the identity address, its metadata the
// credential. Packets arrive sealed and streams inside TLS, so memberlist's own encryption,
// labels and compression stay off, and packets that use them are refused. What memberlist does
// not do by itself is added here: one entry per node whatever the number of its epochs, a
// second synchronisation after each join, bounds on everything a peer sends, and the detection
// of an incarnation that somebody pushed near its end.
//
// memberlist tells through its delegates who joined and who is gone, but not who is suspect,
// who left and which incarnation is its own. That is read from the packets it sends: what
// memberlist gossips is what it believes (belief.go).
//
// The package does not know sockets, sealed packets, tunnels, or what a credential says: it
// gets a Transport and a gossip.Delegate. Peers that were lost are dialled again by the user,
// with gossip.Redial and Join.
//
// Goroutines: those of Run and of memberlist, which Run starts. memberlist has no way to wait
// for its own; after Run has returned a probe may still sleep for up to ten seconds, touching
// nothing.
package swim
