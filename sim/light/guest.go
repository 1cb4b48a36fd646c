package light

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel/quic"
)

// guestConn is a guest's connection, on either side.
type guestConn struct{ *tls.Conn }

var _ quic.GuestConn = guestConn{}

// Exporter derives bytes that only the two ends know; see quic.GuestConn.
func (g guestConn) Exporter(label string, context []byte, n int) ([]byte, error) {
	state := g.ConnectionState()
	return state.ExportKeyingMaterial(label, context, n)
}

// harden is the TLS of a guest's connection.
func harden(conf *tls.Config) *tls.Config {
	conf = conf.Clone()
	conf.MinVersion, conf.NextProtos, conf.SessionTicketsDisabled = tls.VersionTLS13, []string{quic.ALPNJoin}, true
	return conf
}

// serveGuest gives a guest quic.GuestTime.
func (t *Tunnel) serveGuest(conn net.Conn) {
	conf := t.joinServer()
	if conf == nil {
		t.drop(conn, "no guests now", micronet.NodeID{})
		return
	}
	select {
	case t.guests <- struct{}{}:
		defer func() { <-t.guests }()
	default:
		t.drop(conn, "too many guests", micronet.NodeID{})
		return
	}
	ctx, cancel := context.WithTimeout(t.life, quic.GuestTime)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { abort(conn) })
	defer stop()
	g := tls.Server(conn, harden(conf))
	if g.HandshakeContext(ctx) == nil {
		t.guest.Serve(ctx, guestConn{g})
	}
	_ = g.Close() // the guest sees the end
}

func (t *Tunnel) joinServer() *tls.Config {
	if t.guest == nil {
		return nil
	}
	return t.guest.JoinServer()
}

// DialGuest connects to a member at a real address, to join through it; see node.GuestDialer.
func (t *Tunnel) DialGuest(ctx context.Context, addr netip.AddrPort, conf *tls.Config) (quic.GuestConn, error) {
	if _, ok := t.alive(); !ok {
		return nil, notRunning("tunnel.join")
	}
	conn, err := t.env.Net.Dial(ctx, netip.Addr{}, addr)
	if err != nil {
		return nil, explain("tunnel.join", micronet.NodeID{}, err)
	}
	g := tls.Client(conn, harden(conf))
	if _, err = conn.Write(header{guest: true}.append(nil)); err == nil {
		err = g.HandshakeContext(ctx)
	}
	if err != nil {
		abort(conn)
		return nil, explain("tunnel.join", micronet.NodeID{}, err)
	}
	_ = conn.SetDeadline(time.Now().Add(quic.GuestTime)) // cannot fail: it is open
	return guestConn{g}, nil
}
