package lane

import (
	"crypto/tls"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
)

// ALPN is the application protocol of lanes. It carries the version of their frames.
const ALPN = tunnel.ALPNLane

// Config says what a Tunnel is made of. All of it is required but Env.
type Config struct {
	Env   micronet.Env
	Self  micronet.NodeID
	Below tunnel.Tunnel
	Paths Paths
	TLS   TLS
}

// Paths tells of the ways to peers. *tunnel.Underlay is one.
type Paths interface {
	Path(peer micronet.NodeID) (tunnel.PathInfo, bool)
}

// TLS makes the TLS side of lanes. It is asked for every handshake.
type TLS interface {
	// Client returns what a lane to a peer is dialled with, nil before this node is a member.
	Client(to micronet.NodeID) *tls.Config
	// Server returns what peers are answered with; nil before this node is a member.
	Server() *tls.Config
	// PeerID reads who is at the other end from a finished handshake.
	PeerID(state tls.ConnectionState) (micronet.NodeID, error)
}

// harden has TLS write whole records from the start: small ones are for those who wait for the first bytes of a page from afar.
func harden(conf *tls.Config) *tls.Config {
	if conf = tunnel.Harden(conf, ALPN); conf != nil {
		conf.DynamicRecordSizingDisabled = true
	}
	return conf
}
