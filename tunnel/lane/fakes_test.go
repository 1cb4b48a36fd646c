package lane

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/sim/netsim"
	"github.com/micro/micro-net/tunnel"
	"github.com/micro/micro-net/tunnel/tunneltest"
)

// field is a place where nodes stand: the network that carries their lanes, and the wire of the tunnels below.
type field struct {
	wire *tunnel.Wire

	mu    sync.Mutex
	paths map[micronet.NodeID]tunnel.PathInfo // to each node, the same for all
	cut   bool                                // nobody reaches anybody over the tunnels below
}

// below is a node's tunnel below.
type below struct {
	*tunnel.Pipe
	f *field
}

// Open fails where the field is cut.
func (b below) Open(ctx context.Context, to micronet.NodeID, o tunnel.Opening) (tunnel.Outbound, error) {
	b.f.mu.Lock()
	cut := b.f.cut
	b.f.mu.Unlock()
	if cut {
		return nil, micronet.E("tunnel.open", micronet.Unreachable, "cut")
	}
	return b.Pipe.Open(ctx, to, o)
}

// sever cuts the tunnels below.
func (f *field) sever() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cut = true
}

func newField() *field {
	return &field{wire: tunnel.NewWire(), paths: map[micronet.NodeID]tunnel.PathInfo{}}
}

// Path tells the way to a node.
func (f *field) Path(peer micronet.NodeID) (tunnel.PathInfo, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, ok := f.paths[peer]
	return p, ok
}

// setPath changes the way to a node.
func (f *field) setPath(peer micronet.NodeID, change func(*tunnel.PathInfo)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.paths[peer]
	change(&p)
	f.paths[peer] = p
}

// world makes a network of two hosts in virtual time.
func world(t *testing.T, link netsim.Link) (*netsim.World, [2]*netsim.Host) {
	t.Helper()
	w := netsim.New(1, netsim.Options{Link: link})
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { _ = w.Run(ctx) })
	t.Cleanup(func() { cancel(); group.Wait() })
	return w, [2]*netsim.Host{
		w.Host("a", netip.MustParsePrefix("10.0.0.1/24")), w.Host("b", netip.MustParsePrefix("10.0.0.2/24")),
	}
}

// testNode is a node on a field.
type testNode struct {
	*Tunnel
	who   *tunneltest.Identity
	host  *netsim.Host // nil over loopback
	ln    net.Listener
	group sync.WaitGroup
}

// newNode makes a node that listens for lanes.
func (f *field) newNode(t testing.TB, env micronet.Env, who *tunneltest.Identity, addr string) *testNode {
	t.Helper()
	ln, err := env.Net.Listen(t.Context(), netip.MustParseAddrPort(addr))
	if err != nil {
		t.Fatal(err)
	}
	at := micronet.AddrPortOf(ln.Addr())
	f.setPath(who.ID, func(p *tunnel.PathInfo) {
		*p = tunnel.PathInfo{Peer: who.ID, Remote: at, Confirmed: true, RTT: time.Millisecond, Lane: at}
	})
	tun, err := New(Config{Env: env, Self: who.ID, Below: below{tunnel.NewPipe(f.wire, who.ID, nil), f}, Paths: f, TLS: who})
	if err != nil {
		t.Fatal(err)
	}
	return &testNode{Tunnel: tun, who: who, ln: ln}
}

// Run carries, and serves lanes.
func (n *testNode) Run(ctx context.Context) error {
	n.group.Go(func() { n.serve(ctx) })
	err := n.Tunnel.Run(ctx)
	_ = n.ln.Close()
	n.group.Wait()
	return err
}

func (n *testNode) serve(ctx context.Context) {
	for {
		conn, err := n.ln.Accept()
		if err != nil {
			return
		}
		n.group.Go(func() {
			wire := &tunnel.Gather{Conn: conn}
			conf := n.LaneServer()
			secured := tls.Server(wire, conf)
			if secured.HandshakeContext(ctx) != nil {
				_ = conn.Close()
				return
			}
			id, err := n.who.PeerID(secured.ConnectionState())
			if err != nil {
				_ = conn.Close()
				return
			}
			n.ServeLane(ctx, secured, wire, conf, id)
		})
	}
}

// Open waits until a stream of a program would go over a lane.
func (n *testNode) Open(ctx context.Context, to micronet.NodeID, o tunnel.Opening) (tunnel.Outbound, error) {
	n.warm(to)
	return n.Tunnel.Open(ctx, to, o)
}

// warm waits until there is a lane to a peer, if the path is one for lanes.
func (n *testNode) warm(to micronet.NodeID) bool {
	for range 2000 {
		info, ok := n.paths.Path(to)
		if !ok || to == n.self || !n.isRunning() {
			return false
		}
		n.mu.Lock()
		l := n.peers[to]
		if l == nil {
			l = &lanes{}
			n.peers[to] = l
		}
		l.wanted = time.Now()
		addr, ok := l.suits(info, time.Now())
		if !ok || n.ctx.Err() != nil {
			n.mu.Unlock()
			return false
		}
		n.fillLocked(to, l, addr, time.Now())
		idle := len(l.idle)
		n.mu.Unlock()
		if idle > 0 {
			return true
		}
		time.Sleep(time.Millisecond)
	}
	return false
}
