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
	TLS   tunnel.TLS
}

// Paths tells of the ways to peers. *tunnel.Underlay is one.
type Paths interface {
	Path(peer micronet.NodeID) (tunnel.PathInfo, bool)
}

// harden has TLS write whole records from the start: small ones are for those who wait for the first bytes of a page from afar.
func harden(conf *tls.Config) *tls.Config {
	if conf = tunnel.Harden(conf, ALPN); conf != nil {
		conf.DynamicRecordSizingDisabled = true
	}
	return conf
}
