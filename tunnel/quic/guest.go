package quic

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
	quicgo "github.com/quic-go/quic-go"
)

// admitted marks the context of a connection that holds one of the places in guests.
type admitted struct{}

// isStranger reports whether an address stands for no peer.
func (t *Tunnel) isStranger(addr net.Addr) bool {
	_, known := t.socket.IdentityOf(addr)
	return !known
}

// configFor gives strangers the small windows and the one stream of a guest.
func (t *Tunnel) configFor(info *quicgo.ClientInfo) (*quicgo.Config, error) {
	if t.isStranger(info.RemoteAddr) {
		return t.guestConf, nil
	}
	return t.conf, nil
}

// admit bounds the connections that others begin before their handshake costs anything. The slot
// of a stranger is free again when the connection has ended.
func (t *Tunnel) admit(ctx context.Context, info *quicgo.ClientInfo) (context.Context, error) {
	if peer, known := t.socket.IdentityOf(info.RemoteAddr); known {
		return t.admitPeer(ctx, peer)
	}
	if t.guest == nil || !t.takeGuestSlot(info.RemoteAddr) {
		return nil, tunnel.NotRunning("tunnel.guest")
	}
	context.AfterFunc(ctx, func() { t.guests.End(info.RemoteAddr) })
	return t.watchHandshake(context.WithValue(ctx, admitted{}, true), micronet.NodeID{}, func() {}), nil
}

func (t *Tunnel) takeGuestSlot(from net.Addr) bool {
	if t.guests.Begin(from) {
		return true
	}
	t.env.Events.PacketDropped(micronet.PacketDrop{Where: "tunnel", Why: "too many guests"})
	return false
}

// serveGuest gives a guest one stream and tunnel.GuestTime. When Serve has returned, what it wrote is
// still delivered: the guest ends the connection, or its time does.
func (t *Tunnel) serveGuest(conn *quicgo.Conn) {
	if conn.Context().Value(admitted{}) == nil {
		from := conn.RemoteAddr() // it may move, and its place is where it was taken
		if !t.takeGuestSlot(from) {
			_ = conn.CloseWithError(linkOverloaded, "too many nodes are joining, try again later")
			return
		}
		defer t.guests.End(from)
	}
	ctx, cancel := context.WithTimeout(t.life, tunnel.GuestTime)
	defer cancel()
	stop := context.AfterFunc(conn.Context(), cancel)
	defer stop()
	if q, err := conn.AcceptStream(ctx); err == nil {
		g := &guestConn{conn: conn, Stream: q, local: t.local, end: func() {}}
		cut := context.AfterFunc(ctx, g.cut)
		t.guest.Serve(ctx, g)
		cut()
		_ = g.Close() // the guest sees the end of the stream
		<-ctx.Done()
	}
	_ = conn.CloseWithError(linkIdle, "done")
}

// DialGuest connects to a member at a real address, to join through it. conf has to check who
// answers; its ALPN is set here. The connection ends with Close, and within tunnel.GuestTime.
func (t *Tunnel) DialGuest(ctx context.Context, addr netip.AddrPort, conf *tls.Config) (tunnel.GuestConn, error) {
	if !t.isRunning() {
		return nil, tunnel.NotRunning("tunnel.join")
	}
	conn, err := t.transport.Dial(ctx, net.UDPAddrFromAddrPort(addr), tunnel.Harden(conf, tunnel.ALPNJoin), t.guestConf)
	if _, ok := errors.AsType[*quicgo.IdleTimeoutError](err); ok {
		return nil, noAnswer("tunnel.join", micronet.NodeID{})
	}
	if err != nil {
		return nil, explain("tunnel.join", micronet.NodeID{}, err)
	}
	q, err := conn.OpenStreamSync(ctx)
	if err != nil {
		_ = conn.CloseWithError(linkIdle, "done")
		return nil, explain("tunnel.join", micronet.NodeID{}, err)
	}
	closed := make(chan struct{})
	g := &guestConn{conn: conn, Stream: q, local: t.local, end: sync.OnceFunc(func() { close(closed) })}
	if !t.superviseGuest(conn, closed) {
		_ = conn.CloseWithError(linkStopped, "the node stops")
		return nil, tunnel.NotRunning("tunnel.join")
	}
	return g, nil
}

// superviseGuest ends the connection of a guest that this node is, a moment after Close so that
// what was written gets there. It returns false when the tunnel has ended.
func (t *Tunnel) superviseGuest(conn *quicgo.Conn, closed <-chan struct{}) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.running {
		return false
	}
	t.group.Go(func() {
		wait := time.NewTimer(tunnel.GuestTime)
		defer wait.Stop()
		select {
		case <-closed:
			wait.Reset(guestLinger)
			select {
			case <-wait.C:
			case <-conn.Context().Done():
			case <-t.life.Done():
			}
		case <-wait.C:
		case <-conn.Context().Done():
		case <-t.life.Done():
		}
		_ = conn.CloseWithError(linkIdle, "done")
	})
	return true
}

// guestConn is the one stream of a guest's connection, on either side.
type guestConn struct {
	*quicgo.Stream
	conn  *quicgo.Conn
	local net.Addr
	end   func()
}

var _ tunnel.GuestConn = (*guestConn)(nil)

// cut ends reads and writes.
func (g *guestConn) cut() {
	_ = g.SetDeadline(time.Now()) // cannot fail
}

func (g *guestConn) Read(p []byte) (int, error) {
	n, err := g.Stream.Read(p)
	return n, explain("tunnel.join", micronet.NodeID{}, err)
}

func (g *guestConn) Write(p []byte) (int, error) {
	n, err := g.Stream.Write(p)
	return n, explain("tunnel.join", micronet.NodeID{}, err)
}

// CloseWrite ends this direction after what was written.
func (g *guestConn) CloseWrite() error { return g.Stream.Close() }

// Close ends the exchange; what was written is still delivered.
func (g *guestConn) Close() error {
	// The only error is that the other side has cut the stream, after which nothing is left to do.
	_ = g.Stream.Close()
	g.end()
	return nil
}

func (g *guestConn) LocalAddr() net.Addr { return g.local }

func (g *guestConn) RemoteAddr() net.Addr { return g.conn.RemoteAddr() }

func (g *guestConn) Exporter(label string, context []byte, n int) ([]byte, error) {
	state := g.conn.ConnectionState().TLS
	return state.ExportKeyingMaterial(label, context, n)
}
