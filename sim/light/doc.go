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
// Streams go to the address that packets to the peer go to, on the same port number over TCP; peers
// behind a NAT cannot be called. What would keep QUIC from the peer keeps streams from it too: a peer
// that has not been heard lately is pinged first, Open goes on trying for 5 s, and the streams with one
// that falls silent end within 4 s. Three things differ from package quic: a peer that was restarted
// faster than that is noticed by the next write alone, and so is a reset that was lost on its way; and
// every stream costs a round trip to open.
//
// Goroutines, all owned by Tunnel.Run: one that accepts connections, one that looks for silent peers
// and idle ones, one per accepted connection until its opening frame is there, one per guest served,
// one per silent peer for 2 s, and one per stream that was closed before its peer had ended it, until that has
// happened and for 5 s at most. An open stream has none.
package light
