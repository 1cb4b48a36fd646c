// Package server speaks the DNS protocol: UDP and TCP on one port, EDNS0 (RFC 6891), extended
// errors (RFC 8914), truncation, and forwarding of what the mesh does not own to the resolvers
// that the host had before.
//
// What an answer says is decided by a dns.Handler; this package knows how it is said. Only
// loopback and allowed sources are answered. Questions the handler owns never leave the host;
// all others go to an upstream resolver or are refused.
//
// Questions to an upstream carry a random id from a random port; whatever does not match is
// ignored until the deadline instead of ending the wait, so that a guesser gains nothing by
// being early.
//
// Goroutines: all are started by Run and have ended when it returns. They are udpReaders that
// read packets and answer what the handler owns; one that accepts TCP connections, and one for
// each of them (at most maxConns); one for each forwarded UDP question (at most maxForwards).
package server
