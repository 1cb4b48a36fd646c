// Package quic is the tunnel over QUIC: one connection per pair of nodes, mutually
// authenticated, over the one UDP socket of the node.
//
// It owns dialling, the choice between connections when both sides dialled at once, the closing
// of idle ones, the limits of streams that wait, and the connections of guests who want to join.
// It knows peers by identity only: addresses given to quic-go are identity addresses, which the
// socket below turns into real ones. It does not know how paths are found, what certificates
// say beyond the identity in them, or what streams are for.
//
// A peer that falls silent is noticed within 3 s; one that has restarted when something is sent
// to it, if it keeps its Config.ResetKey across starts.
//
// Goroutines, all owned by Tunnel.Run: one that accepts connections, one that closes idle ones,
// one per connection that accepts streams, one per inbound stream until its opening frame is
// there, one per dial and one per guest. A stream has none of its own.
package quic
