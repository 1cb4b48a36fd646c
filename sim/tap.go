package sim

import (
	"context"
	"net"
	"path/filepath"
	"sync"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/gossip/swim"
	"github.com/micro/micro-net/node"
	"github.com/micro/micro-net/sim/netsim"
	"github.com/micro/micro-net/tunnel"
	"github.com/micro/micro-net/tunnel/quic"
)

// inside is what a machine's daemon is made of, as far as somebody who owns the machine can use it:
// the transport that seals packets in its name, and the tunnel. The daemon writes it when it starts.
type inside struct {
	witness *witness // nil: nobody looks at every record
	name    string   // of the machine
	disk    *netsim.Disk

	mu      sync.Mutex
	node    *node.Node
	swim    swim.Config
	members gossip.Membership
	tun     tunnel.Tunnel
	under   *tunnel.Underlay
	grip    *grip
	loot    loot
}

// grip is how the daemon of an insider is kept from doing what an honest one does. What is nil is done as
// usual. All are called from goroutines of the daemon.
type grip struct {
	// packet takes a packet of membership on its way out, and returns what goes out in its place.
	packet func(to micronet.NodeID, payload []byte) [][]byte
	// state is what a synchronisation of membership carries of the catalog.
	state func(state []byte) []byte
	// catalog answers a stream of a peer in the place of the daemon, and reports whether it does.
	catalog func(in tunnel.Inbound) bool
	// ledger does the same with one that compares ledgers, and a secretive one opens none itself.
	ledger    func(in tunnel.Inbound) bool
	secretive bool
	// member does the same with a stream of membership.
	member func(conn net.Conn, from micronet.NodeID) bool
}

func (i *inside) held() *grip {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.grip == nil {
		return &grip{}
	}
	return i.grip
}

func (i *inside) seize(g *grip) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.grip = g
}

// membership is that of the daemon now: it can be renewed while the daemon lives.
func (i *inside) membership() gossip.Membership {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.members
}

// durable is what a crash would leave of a file of the daemon now.
func (i *inside) durable(name string) []byte { return i.disk.Durable(filepath.Join(dataDir, name)) }

// look lets the witness see what the daemon holds now.
func (i *inside) look() {
	if i.witness == nil {
		return
	}
	i.mu.Lock()
	n := i.node
	i.mu.Unlock()
	if n != nil {
		i.witness.look(i.name, n)
	}
}

// born notes the daemon that is about to run.
func (i *inside) born(n *node.Node) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.node = n
	if i.witness != nil {
		i.witness.born(i.name, n)
	}
}

// plugs look at what the daemon is made of. They change nothing unless an insider's grip says so.
func (i *inside) plugs() []node.Option {
	membership := func(c swim.Config) gossip.Membership {
		i.mu.Lock()
		i.swim = c
		i.mu.Unlock()
		c.Transport, c.Delegate = tappedTransport{c.Transport, i}, tappedDelegate{c.Delegate, i}
		s := tappedMembership{swim.New(c), i, c.Self}
		i.mu.Lock()
		defer i.mu.Unlock()
		i.members = s
		return s
	}
	tunnels := func(c quic.Config) (tunnel.Tunnel, error) {
		t, err := quic.New(c)
		if err != nil {
			return nil, err
		}
		i.mu.Lock()
		defer i.mu.Unlock()
		i.tun = t
		if u, ok := c.Socket.(*tunnel.Underlay); ok {
			i.under = u
			i.loot.beats(u)
		}
		return tappedTunnel{t, i}, nil
	}
	return []node.Option{node.WithMembership(membership), node.WithTunnel(tunnels), node.WithLane(node.LaneAuto)}
}

// tappedTransport carries the packets of membership.
type tappedTransport struct {
	swim.Transport
	inside *inside
}

func (t tappedTransport) Send(to micronet.NodeID, payload []byte) error {
	change := t.inside.held().packet
	if change == nil {
		return t.Transport.Send(to, payload)
	}
	for _, p := range change(to, payload) {
		_ = t.Transport.Send(to, p) // best effort, as all packets are
	}
	return nil
}

// tappedDelegate is asked by membership.
type tappedDelegate struct {
	gossip.Delegate
	inside *inside
}

func (d tappedDelegate) Received(msg []byte) {
	d.Delegate.Received(msg)
	d.inside.look()
}

func (d tappedDelegate) State() []byte {
	if change := d.inside.held().state; change != nil {
		return change(d.Delegate.State())
	}
	return d.Delegate.State()
}

// tappedMembership takes what comes and spreads what the daemon says.
type tappedMembership struct {
	*swim.Swim
	inside *inside
	self   micronet.NodeID
}

func (m tappedMembership) Broadcast(key string, msg []byte) {
	if w := m.inside.witness; w != nil {
		w.published(m.inside.name, m.self, msg, m.inside.durable)
	}
	m.Swim.Broadcast(key, msg)
}

func (m tappedMembership) HandlePacket(from micronet.NodeID, payload []byte, at time.Time) {
	m.inside.loot.packet(payload)
	m.Swim.HandlePacket(from, payload, at)
}

func (m tappedMembership) HandleStream(conn net.Conn, from micronet.NodeID) {
	if take := m.inside.held().member; take != nil && take(conn, from) {
		return
	}
	m.Swim.HandleStream(conn, from)
}

// tappedTunnel carries the streams of the catalog, at whose end a daemon holds what came over them.
type tappedTunnel struct {
	*quic.Tunnel
	inside *inside
}

func (t tappedTunnel) Open(ctx context.Context, to micronet.NodeID, o tunnel.Opening) (tunnel.Outbound, error) {
	if o.Purpose == tunnel.PurposeLedger && t.inside.held().secretive {
		return nil, micronet.E("sim.open", micronet.Refused, "it compares with nobody").WithPeer(to)
	}
	s, err := t.Tunnel.Open(ctx, to, o)
	if err != nil || o.Purpose != tunnel.PurposeCatalog {
		return s, err
	}
	return tappedOutbound{s, t.inside}, nil
}

func (t tappedTunnel) Accept(ctx context.Context) (tunnel.Inbound, error) {
	for {
		in, err := t.Tunnel.Accept(ctx)
		if err != nil {
			return nil, err
		}
		switch held := t.inside.held(); in.Opening().Purpose {
		case tunnel.PurposeCatalog:
			if held.catalog == nil || !held.catalog(in) {
				return tappedInbound{in, t.inside}, nil
			}
		case tunnel.PurposeLedger:
			if held.ledger == nil || !held.ledger(in) {
				return in, nil
			}
		default:
			return in, nil
		}
	}
}

type tappedOutbound struct {
	tunnel.Outbound
	inside *inside
}

func (s tappedOutbound) Close() error {
	s.inside.look()
	return s.Outbound.Close()
}

func (s tappedOutbound) Abort() {
	s.inside.look()
	s.Outbound.Abort()
}

type tappedInbound struct {
	tunnel.Inbound
	inside *inside
}

func (s tappedInbound) Close() error {
	s.inside.look()
	return s.Inbound.Close()
}

func (s tappedInbound) Abort() {
	s.inside.look()
	s.Inbound.Abort()
}
