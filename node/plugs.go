package node

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/gossip/swim"
	"github.com/micro/micro-net/router"
	"github.com/micro/micro-net/tunnel"
	"github.com/micro/micro-net/tunnel/lane"
	"github.com/micro/micro-net/tunnel/quic"
)

// Router chooses instances. *router.Router is the default; another one may wrap it.
type Router interface {
	Update(now time.Time, candidates []router.Candidate)
	Pick(now time.Time, to micronet.Destination, tried []micronet.InstanceKey) (router.Choice, error)
	Start(c router.Choice)
	Done(now time.Time, c router.Choice, o router.Outcome)
	Routes(now time.Time, service string) []router.View
}

var _ Router = (*router.Router)(nil)

// WithRouter replaces how instances are chosen. f is called once for each life of the node.
func WithRouter(f func(router.Config) Router) Option {
	return func(c *Config) { c.newRouter = f }
}

func newRouter(c router.Config) Router { return router.New(c) }

// WithMembership replaces who is believed to be alive and how small messages spread. The
// configuration holds what the default is made of; a membership that wants the node's packets
// and streams implements PacketHandler and StreamHandler.
func WithMembership(f func(swim.Config) gossip.Membership) Option {
	return func(c *Config) { c.newMembership = f }
}

func newMembership(c swim.Config) gossip.Membership { return swim.New(c) }

// PacketHandler is an optional power of a Membership: taking sealed packets of peers. It is
// called from the read loop and must not block.
type PacketHandler interface {
	HandlePacket(from micronet.NodeID, payload []byte, at time.Time)
}

// StreamHandler is an optional power of a Membership: taking streams of peers, which it closes.
type StreamHandler interface {
	HandleStream(conn net.Conn, from micronet.NodeID)
}

// WithTunnel replaces what carries streams. The configuration holds what the default is made of.
// A node can join a cluster through a tunnel that implements GuestDialer, and waits for one that
// implements Readier. Sealed packets need somebody who reads from Socket.QUIC(): the default does,
// and for a tunnel that is no Reader the node does it itself.
func WithTunnel(f func(quic.Config) (tunnel.Tunnel, error)) Option {
	return func(c *Config) { c.newTunnel = f }
}

func newTunnel(c quic.Config) (tunnel.Tunnel, error) { return quic.New(c) }

// GuestDialer is an optional power of a Tunnel: talking to a node before being a member.
type GuestDialer interface {
	DialGuest(ctx context.Context, addr netip.AddrPort, conf *tls.Config) (tunnel.GuestConn, error)
}

// Linker is an optional power of a Tunnel: the peers that a stream can be opened to without a handshake,
// sorted.
type Linker interface{ Linked() []micronet.NodeID }

// Readier is an optional power of a Tunnel: a channel that is closed once Open and Accept work.
type Readier interface{ Ready() <-chan struct{} }

var (
	_ GuestDialer   = (*quic.Tunnel)(nil)
	_ Linker        = (*quic.Tunnel)(nil)
	_ Readier       = (*quic.Tunnel)(nil)
	_ Reader        = (*quic.Tunnel)(nil)
	_ PacketHandler = (*swim.Swim)(nil)
	_ StreamHandler = (*swim.Swim)(nil)
)

// Reader is an optional power of a Tunnel: it reads from Socket.QUIC() by itself.
type Reader interface{ ReadsSocket() bool }

// readSocket drives the read loop where the tunnel does not: QUIC's packets are dropped.
func readSocket(ctx context.Context, conn net.PacketConn) error {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	buf := make([]byte, tunnel.MaxPacket*2)
	for ctx.Err() == nil {
		if _, _, err := conn.ReadFrom(buf); err != nil && ctx.Err() == nil {
			return micronet.E("node.read", micronet.Internal, "read the mesh socket: %w", err)
		}
	}
	return nil
}

// below is the tunnel that another one wraps, if it does.
func below(t tunnel.Tunnel) tunnel.Tunnel {
	if w, ok := t.(*lane.Tunnel); ok {
		return w.Below()
	}
	return t
}

// readsSocket reports whether a tunnel drives the read loop.
func readsSocket(t tunnel.Tunnel) bool {
	r, ok := below(t).(Reader)
	return ok && r.ReadsSocket()
}
