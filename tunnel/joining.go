package tunnel

import (
	"context"
	"crypto/tls"
	"net"
	"time"
)

// ALPNJoin is the application protocol (RFC 7301) between a guest, who is no member yet, and a member.
const ALPNJoin = "micro-net-join/1"

// ALPNLane is that of lanes, see package lane.
const ALPNLane = "micro-net-lane/1"

// GuestTime is all the time a guest gets, from the end of the handshake.
const GuestTime = 10 * time.Second

// Guest serves those who are not members yet.
type Guest interface {
	// JoinServer returns what guests are answered with; nil: no guests now. ALPN, version and session
	// tickets are set by who calls it.
	JoinServer() *tls.Config
	// Serve talks to one guest. The connection ends when it returns, or ctx does, which is
	// GuestTime after the guest came at the latest.
	Serve(ctx context.Context, guest GuestConn)
}

// GuestConn is the one stream between a guest and a member.
type GuestConn interface {
	net.Conn
	CloseWrite() error
	// Exporter derives n bytes that only the two ends of this connection know (RFC 9266's use
	// of TLS exporters), to bind a secret to it.
	Exporter(label string, context []byte, n int) ([]byte, error)
}

// Harden returns a copy of conf that speaks proto, TLS 1.3, and no session resumption: a resumed
// session would skip the check of a certificate that was revoked meanwhile. nil stays nil.
func Harden(conf *tls.Config, proto string) *tls.Config {
	if conf == nil {
		return nil
	}
	conf = conf.Clone()
	conf.MinVersion = tls.VersionTLS13
	conf.NextProtos = []string{proto}
	conf.SessionTicketsDisabled = true
	conf.ClientSessionCache = nil
	return conf
}
