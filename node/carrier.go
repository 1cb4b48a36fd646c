package node

import (
	"context"
	"net"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip/swim"
	"github.com/micro/micro-net/proxy"
	"github.com/micro/micro-net/tunnel"
)

// carrier lends the tunnel and the underlay to membership.
type carrier struct {
	under *tunnel.Underlay
	tun   tunnel.Tunnel
}

var _ swim.Transport = carrier{}

// Send seals one packet.
func (c carrier) Send(to micronet.NodeID, payload []byte) error {
	return c.under.Send(to, tunnel.ChannelMembership, payload)
}

// OpenStream opens a stream for membership.
func (c carrier) OpenStream(ctx context.Context, to micronet.NodeID) (net.Conn, error) {
	return c.tun.Open(ctx, to, tunnel.Opening{Purpose: tunnel.PurposeMembership})
}

// opener lends the tunnel to the proxy.
type opener struct {
	tun   tunnel.Tunnel
	heard func(micronet.NodeID) bool
}

var _ proxy.Opener = opener{}

// OpenService opens a stream to an instance of another node.
func (o opener) OpenService(ctx context.Context, r micronet.Route, caller micronet.Caller) (proxy.Opened, error) {
	return o.tun.Open(ctx, r.Node, tunnel.Opening{
		Purpose: tunnel.PurposeService, Service: r.Instance.Service, Instance: r.Instance.ID,
		Caller: caller.Service, Trace: caller.Trace,
	})
}

// Fresh reports whether the node was heard lately.
func (o opener) Fresh(node micronet.NodeID) bool { return o.heard(node) }

// inbound is a stream of a peer as the proxy sees it.
type inbound struct{ tunnel.Inbound }

var _ proxy.Inbound = inbound{}

func (i inbound) Service() string  { return i.Opening().Service }
func (i inbound) Instance() string { return i.Opening().Instance }
func (i inbound) Caller() string   { return i.Opening().Caller }
func (i inbound) Trace() string    { return i.Opening().Trace }
