// Package lane carries the connections of programs over TCP between nodes that are near to each other: TLS over TCP moves
// bytes at a fraction of what QUIC costs where nothing is lost and nobody is far.
//
// Tunnel wraps another one. A stream of a program goes over a lane, a TLS connection that is warm already, where the path to
// the peer is direct and quick; everything else goes over the tunnel below. A lane carries one session at a time and is used
// again. A session outlives its lane: when the lane is lost, or the path is not direct any more, it goes on over a stream of
// the tunnel below, from the byte that the peer has said to have. Neither side's program notices.
//
//	Open ─▶ session ─▶ frames ─▶ lane (TLS, TCP) ──────────────────▶ session ─▶ Accept
//	                       └──▶ stream of the tunnel below (QUIC) ──┘
//
// It does not know certificates, nor how paths are found.
//
// Goroutines, all owned by Tunnel.Run: that of the tunnel below, one that takes its streams, one that looks after the lanes,
// one reader for each carrier, one for each dial and each session that looks for a carrier, and short ones for a word of the
// reader. A session has none of its own.
package lane
