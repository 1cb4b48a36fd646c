package light

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
)

// serveGuest gives a guest tunnel.GuestTime. When Serve has returned, what it wrote is still
// delivered: the guest ends the connection, or its time does.
func (t *Tunnel) serveGuest(c conn, first []byte) {
	if !t.takeGuestSlot() {
		abort(c)
		return
	}
	defer func() { <-t.guests }()
	g, err := t.welcome(&begun{conn: c, first: first})
	if err != nil {
		abort(c) // whoever comes without being let in learns no more
		return
	}
	ctx, cancel := context.WithTimeout(t.life, tunnel.GuestTime)
	defer cancel()
	stop := context.AfterFunc(ctx, g.cut)
	t.guest.Serve(ctx, g)
	stop()
	g.finish()
	drain(ctx, c, tunnel.GuestTime)
	_ = c.Close() // nobody is left to tell
}

func (t *Tunnel) takeGuestSlot() bool {
	if t.guest == nil {
		return false
	}
	select {
	case t.guests <- struct{}{}:
		return true
	default:
		t.drop(micronet.NodeID{}, "too many guests")
		return false
	}
}

// welcome is the server's side of the handshake.
func (t *Tunnel) welcome(c conn) (*guestConn, error) {
	conf := tunnel.Harden(t.guest.JoinServer(), tunnel.ALPNJoin)
	if conf == nil {
		return nil, tunnel.NotRunning("tunnel.guest")
	}
	return t.shake(t.life, c, tls.Server(c, conf))
}

// shake does a handshake with a guest, or as one.
func (t *Tunnel) shake(ctx context.Context, c conn, secured *tls.Conn) (*guestConn, error) {
	ctx, cancel := context.WithTimeout(ctx, handshake)
	defer cancel()
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		return nil, explainHandshake(err)
	}
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, explainHandshake(err)
	}
	if got := secured.ConnectionState().NegotiatedProtocol; got != tunnel.ALPNJoin {
		return nil, micronet.E("tunnel.join", micronet.Unauthorized, "the other side speaks %q, not %q", got, tunnel.ALPNJoin)
	}
	return &guestConn{Conn: secured, conn: c, local: t.local, end: func() {}}, nil
}

// DialGuest connects to a member at a real address, to join through it. conf has to check who
// answers; its ALPN is set here. The connection ends with Close, and within tunnel.GuestTime.
func (t *Tunnel) DialGuest(ctx context.Context, addr netip.AddrPort, conf *tls.Config) (tunnel.GuestConn, error) {
	if !t.isRunning() {
		return nil, tunnel.NotRunning("tunnel.join")
	}
	dialing, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	c, err := t.connect(dialing, addr)
	if err != nil {
		return nil, micronet.E("tunnel.join", micronet.Timeout, "no answer from %s: %w", addr, err)
	}
	g, err := t.shake(ctx, c, tls.Client(c, tunnel.Harden(conf, tunnel.ALPNJoin)))
	if err != nil {
		abort(c)
		return nil, err
	}
	t.limit(g)
	return g, nil
}

// limit ends the connection of a guest that this node is: after Close in a moment, so that what was
// written gets there, and after tunnel.GuestTime or with the tunnel at once.
func (t *Tunnel) limit(g *guestConn) {
	ctx, cancel := context.WithTimeout(t.life, tunnel.GuestTime)
	stop := context.AfterFunc(ctx, func() {
		cancel()
		abort(g.conn)
	})
	g.end = sync.OnceFunc(func() {
		stop()
		cancel()
		if !t.spawn(func() {
			drain(t.life, g.conn, guestLinger)
			_ = g.conn.Close() // nobody is left to tell
		}) {
			abort(g.conn)
		}
	})
}

// begun is a connection of which the first bytes were read.
type begun struct {
	conn
	first []byte
}

func (b *begun) Read(p []byte) (int, error) {
	if len(b.first) == 0 {
		return b.conn.Read(p)
	}
	n := copy(p, b.first)
	b.first = b.first[n:]
	return n, nil
}

// guestConn is the connection between a guest and a member, on either side.
type guestConn struct {
	*tls.Conn
	conn  conn
	local net.Addr
	end   func()
}

var _ tunnel.GuestConn = (*guestConn)(nil)

// cut ends reads and writes.
func (g *guestConn) cut() {
	_ = g.SetDeadline(time.Unix(1, 0)) // an error says that they have ended
}

func (g *guestConn) Read(p []byte) (int, error) {
	n, err := g.Conn.Read(p)
	return n, explain("tunnel.join", micronet.NodeID{}, err)
}

func (g *guestConn) Write(p []byte) (int, error) {
	n, err := g.Conn.Write(p)
	return n, explain("tunnel.join", micronet.NodeID{}, err)
}

// finish ends this direction, below TLS too.
func (g *guestConn) finish() {
	// Errors say that the other side has cut the connection, after which nothing is left to do.
	_ = g.CloseWrite()
	_ = g.conn.CloseWrite()
}

// Close ends the exchange; what was written is still delivered.
func (g *guestConn) Close() error {
	g.finish()
	g.end()
	return nil
}

func (g *guestConn) LocalAddr() net.Addr { return g.local }

// Exporter derives n bytes that only the two ends of this connection know.
func (g *guestConn) Exporter(label string, context []byte, n int) ([]byte, error) {
	state := g.ConnectionState()
	return state.ExportKeyingMaterial(label, context, n)
}
