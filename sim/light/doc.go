// Package light is the tunnel of large simulated meshes: every stream is one TCP connection of the
// node's Network. There is no QUIC, no encryption between members and no connection that streams
// share, so that a mesh of a thousand nodes fits into one process.
//
// It is for simulations alone. Who opens a stream says who he is, in clear, and nobody proves it:
// whoever reaches the port can open a stream in the name of any member. Guests who join do so over
// real TLS 1.3, as what they learn there has to hold later.
//
// A stream begins with a greeting in each direction (see greeting), followed by the frames of package
// tunnel:
//
//	caller ── greeting, opening, payload … ──▶ callee
//	caller ◀─ greeting, answer, payload …  ─── callee
//
// Streams go to the address that packets to the peer go to, on the same port number over TCP. Peers
// behind a NAT cannot be called. As package quic does, Open goes on trying for 5 s, and streams
// with a peer from whom nothing is heard end within 4 s; the socket below is asked for signs of life. Other
// than there, a peer that was restarted faster than that is noticed by the next write alone.
//
// Goroutines, all owned by Tunnel.Run: one that accepts connections, one that looks for silent peers
// and idle ones, one per accepted connection until its opening frame is there, one per guest served,
// one per silent peer for 2 s, and one per stream that was closed before its peer had ended it, until that has
// happened and for 5 s at most. An open stream has none.
package light
