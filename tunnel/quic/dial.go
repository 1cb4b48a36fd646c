package quic

import (
	"context"
	"crypto/tls"
	"errors"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
	quicgo "github.com/quic-go/quic-go"
)

// startDialLocked starts to connect to a peer. The dial outlives those who wait for it: whoever
// asks next finds the connection.
func (t *Tunnel) startDialLocked(to micronet.NodeID) *dial {
	ctx, cancel := context.WithCancelCause(t.life)
	d := &dial{cancel: cancel}
	t.group.Go(func() {
		defer cancel(nil)
		l, err := t.connect(ctx, to)
		t.endDial(to, d, l, err)
	})
	return d
}

// connect dials and checks who answered. The connection is in the table when it returns.
func (t *Tunnel) connect(ctx context.Context, to micronet.NodeID) (*link, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, dialTime, noAnswer("tunnel.dial", to))
	defer cancel()
	conf := t.tls.Client(to)
	if conf == nil {
		return nil, micronet.E("tunnel.dial", micronet.Closed, "this node is no member yet").WithPeer(to)
	}
	conn, err := t.transport.Dial(ctx, to.UDPAddr(), tunnel.Harden(conf, ALPN), t.conf)
	if _, ok := errors.AsType[*quicgo.IdleTimeoutError](err); ok {
		return nil, noAnswer("tunnel.dial", to)
	}
	if err != nil {
		return nil, explain("tunnel.dial", to, err)
	}
	if err := t.checkPeer(conn, to); err != nil {
		return nil, explain("tunnel.dial", to, err)
	}
	return t.adopt(newLink(t, to, conn, true))
}

// checkPeer closes a connection whose other end is not want.
func (t *Tunnel) checkPeer(conn *quicgo.Conn, want micronet.NodeID) error {
	got, err := t.tls.PeerID(conn.ConnectionState().TLS)
	if err == nil && got != want {
		err = errors.New("it is " + got.Short() + ", not " + want.Short())
	}
	if err == nil {
		return nil
	}
	_ = conn.CloseWithError(linkUnauthorized, words("the certificate does not belong to this address: "+err.Error()))
	return micronet.E("tunnel.dial", micronet.Unauthorized, "who is there could not be proved: %w", err)
}

// adopt puts a checked connection into use.
func (t *Tunnel) adopt(l *link) (*link, error) {
	displaced, ok := t.add(l)
	if !ok {
		l.close(linkStopped, "the node stops")
		return nil, tunnel.NotRunning("tunnel.dial")
	}
	if displaced != nil {
		displaced.close(linkIdle, "too many connections between the two nodes")
	}
	return l, nil
}

func (t *Tunnel) endDial(to micronet.NodeID, d *dial, l *link, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	d.ended, d.link, d.err = true, l, err
	if p := t.peers[to]; p != nil && p.dial == d {
		p.dial = nil
		t.touchLocked(to, p)
	}
}

// acceptLinks takes the connections that others dial, until ctx ends or the socket fails.
func (t *Tunnel) acceptLinks(ctx context.Context, listener *quicgo.Listener) error {
	for {
		conn, err := listener.Accept(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return &socketError{err}
		}
		t.group.Go(func() { t.acceptLink(conn) })
	}
}

func (t *Tunnel) acceptLink(conn *quicgo.Conn) {
	finishHandshake(conn)
	if conn.ConnectionState().TLS.NegotiatedProtocol == tunnel.ALPNJoin {
		t.serveGuest(conn)
		return
	}
	from, known := t.socket.IdentityOf(conn.RemoteAddr())
	if !known {
		_ = conn.CloseWithError(linkUnauthorized, "this address belongs to no member")
		return
	}
	if err := t.checkPeer(conn, from); err != nil {
		t.env.Events.PacketDropped(micronet.PacketDrop{Where: "tunnel", Why: "wrong identity", Peer: from})
		return
	}
	// The only error is that the tunnel has ended, and Run says so.
	_, _ = t.adopt(newLink(t, from, conn, false))
}

// listenTLS picks the TLS side by what the caller offers: a member's protocol before a guest's.
func (t *Tunnel) listenTLS() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		SessionTicketsDisabled: true,
		NextProtos:             []string{ALPN, tunnel.ALPNJoin},
		GetConfigForClient:     t.serverFor,
	}
}

func (t *Tunnel) serverFor(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	for _, proto := range hello.SupportedProtos {
		switch {
		case proto == ALPN:
			return tunnel.Harden(t.tls.Server(), ALPN), nil
		case proto == tunnel.ALPNJoin && t.guest != nil:
			return tunnel.Harden(t.guest.JoinServer(), tunnel.ALPNJoin), nil
		}
	}
	return nil, nil // the handshake ends with no_application_protocol, or for want of a certificate
}
