package node

import (
	"crypto/tls"
	"sync/atomic"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/tunnel"
)

// gate is the trust side of the underlay and the tunnel. It is closed until the node has a
// passport: a node that is joining talks to nobody but the one it joins through.
type gate struct {
	env       micronet.Env
	quiet     *limiter
	pass      atomic.Pointer[passport]
	authority atomic.Pointer[authority] // nil where nobody can join
	knocks    knocks
	poison    *poison
}

var (
	_ tunnel.TLS   = (*gate)(nil)
	_ tunnel.Guest = (*gate)(nil)
)

// Client is the configuration for dialling a member.
func (g *gate) Client(to micronet.NodeID) *tls.Config { return g.client(identity.ALPN, to) }

// Server is the configuration for members that dial us; nil before we are one.
func (g *gate) Server() *tls.Config { return g.server(identity.ALPN) }

func (g *gate) client(protocol string, to micronet.NodeID) *tls.Config {
	if p := g.pass.Load(); p != nil {
		return p.tls(g.env, protocol).Client(to)
	}
	return nil
}

func (g *gate) server(protocol string) *tls.Config {
	if p := g.pass.Load(); p != nil {
		return p.tls(g.env, protocol).Server()
	}
	return nil
}

// PeerID reads who is at the other end.
func (g *gate) PeerID(cs tls.ConnectionState) (micronet.NodeID, error) { return identity.PeerID(cs) }

// gateOf is the gate for connections that speak a protocol of their own: trunks and lanes.
type gateOf struct {
	*gate
	protocol string
}

var _ tunnel.TLS = gateOf{}

// Client is the configuration for dialling a member.
func (g gateOf) Client(to micronet.NodeID) *tls.Config { return g.client(g.protocol, to) }

// Server is the configuration for members that dial us; nil before we are one.
func (g gateOf) Server() *tls.Config { return g.server(g.protocol) }

// JoinServer is the configuration for guests; nil where nobody can join.
func (g *gate) JoinServer() *tls.Config {
	if g.authority.Load() == nil {
		return nil
	}
	return g.pass.Load().tls(g.env, identity.ALPN).JoinServer()
}

// verify is the underlay's question about a credential.
func (g *gate) verify(raw []byte) (tunnel.Peer, error) {
	p := g.pass.Load()
	if p == nil {
		return tunnel.Peer{}, micronet.E("node.verify", micronet.Unauthorized, "this node is no member yet")
	}
	_, peer, err := p.verify(g.env, raw)
	return peer, err
}
