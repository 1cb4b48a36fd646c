// Package tunnel reaches other nodes by identity.
//
// It owns the Tunnel interface with its in-memory default (Pipe), the opening frame of a
// stream, and the Underlay: one UDP socket shared by QUIC and by micro-net's own sealed
// packets, told apart by their first byte. Above it a peer's address is its identity address;
// the path core decides which real address packets take, or which relay: a third node that
// forwards them as they are. It does not know quic-go, memberlist or names.
//
// Goroutines: those of Underlay.Run and of a Pipe's Run.
package tunnel
