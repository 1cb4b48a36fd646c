package tunnel

import (
	"crypto/tls"

	micronet "github.com/micro/micro-net"
)

// TLS makes the TLS side of connections between members, in one protocol (ALPN): tunnels, trunks and lanes have one each. It is
// asked for every handshake, so that renewed certificates are used at once.
type TLS interface {
	// Client returns what a connection to a peer is dialled with; nil while this node is no member yet.
	Client(to micronet.NodeID) *tls.Config
	// Server returns what peers are answered with; nil while this node is no member yet.
	Server() *tls.Config
	// PeerID reads who is at the other end from a finished handshake.
	PeerID(state tls.ConnectionState) (micronet.NodeID, error)
}
