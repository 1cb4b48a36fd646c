// Package light is a tunnel for large simulated meshes: one plain connection per stream over the
// node's own Network, without QUIC and without encryption between members. What a stream costs is a
// handshake of the simulated network, and no keys.
//
// It is for simulations alone. Who a stream comes from is what the other end says of itself; insiders
// of a simulation lie in packets and records, which are sealed and signed as always, and not here.
// Joining is real: guests speak TLS with a member, bound to their token.
//
// It keeps the contract of tunnel.Tunnel but for one thing: a connection that is closed while the peer
// still writes looks to the peer as if it was aborted, as with TCP.
//
// Goroutines: one in Run that accepts; one per accepted connection until its opening has been read, at
// most maxWaiting, or while it serves a guest, at most maxGuests; one per Close that waits for the
// peer's end, at most linger.
package light
