package quic

import (
	"context"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
	"github.com/micro/micro-net/tunnel/tunneltest"
)

// memNet carries packets in memory after a latency.
type memNet struct {
	latency time.Duration
	mu      sync.Mutex
	conns   map[netip.AddrPort]*memConn // by identity and by real address
	silent  map[*memConn]bool           // neither sends nor receives
	deaf    map[*memConn]bool           // does not receive
	left    map[*memConn]int            // how many more packets it sends, where that is bounded
	last    time.Time                   // of the latest delivery: instants are unique, so order is kept
}

func newMemNet(latency time.Duration) *memNet {
	return &memNet{latency: latency, conns: make(map[netip.AddrPort]*memConn), silent: make(map[*memConn]bool), deaf: make(map[*memConn]bool), left: make(map[*memConn]int)}
}

func (m *memNet) silence(c *memConn, silent bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.silent[c] = silent
}

func (m *memNet) deafen(c *memConn, deaf bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.deaf[c] = deaf
}

// socket puts a node on the net. A stranger appears under its real address only.
func (m *memNet) socket(id micronet.NodeID, real string, stranger bool) *memConn {
	c := &memConn{net: m, id: id, real: netip.MustParseAddrPort(real), stranger: stranger}
	c.changed = sync.NewCond(&c.mu)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.conns[c.real] = c
	if !stranger {
		m.conns[id.Addr()] = c
	}
	return c
}

func (m *memNet) send(from *memConn, b []byte, to netip.AddrPort) {
	m.mu.Lock()
	defer m.mu.Unlock()
	dest := m.conns[to]
	if dest == nil || m.silent[from] || m.silent[dest] || m.deaf[dest] {
		return
	}
	if n, bounded := m.left[from]; bounded {
		if n == 0 {
			return
		}
		m.left[from] = n - 1
	}
	at := time.Now().Add(m.latency)
	if !at.After(m.last) {
		at = m.last.Add(1)
	}
	m.last = at
	source := from.id.UDPAddr()
	if from.stranger || dest.stranger {
		source = net.UDPAddrFromAddrPort(from.real)
	}
	b = slices.Clone(b)
	time.AfterFunc(time.Until(at), func() { dest.deliver(b, source) })
}

type memPacket struct {
	data []byte
	from *net.UDPAddr
}

// memConn is a socket on a memNet, and the Socket of a Tunnel.
type memConn struct {
	net      *memNet
	id       micronet.NodeID
	real     netip.AddrPort
	stranger bool

	mu       sync.Mutex
	changed  *sync.Cond
	queue    []memPacket
	deadline time.Time
	closed   bool
}

func (c *memConn) QUIC() net.PacketConn { return c }

func (c *memConn) IdentityOf(addr net.Addr) (micronet.NodeID, bool) {
	a := addr.(*net.UDPAddr).AddrPort()
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	if peer := c.net.conns[a]; peer != nil && a == peer.id.Addr() {
		return peer.id, true
	}
	return micronet.NodeID{}, false
}

func (c *memConn) Path(peer micronet.NodeID) (tunnel.PathInfo, bool) {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	if p := c.net.conns[peer.Addr()]; p != nil {
		return tunnel.PathInfo{Peer: peer, Remote: p.real, Confirmed: true}, true
	}
	return tunnel.PathInfo{}, false
}

func (c *memConn) deliver(b []byte, from *net.UDPAddr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) < 4096 {
		c.queue = append(c.queue, memPacket{b, from})
	}
	c.changed.Broadcast()
}

func (c *memConn) ReadFrom(b []byte) (int, net.Addr, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, nil, net.ErrClosed
		case !c.deadline.IsZero() && !time.Now().Before(c.deadline):
			return 0, nil, os.ErrDeadlineExceeded
		case len(c.queue) > 0:
			p := c.queue[0]
			c.queue = c.queue[1:]
			return copy(b, p.data), p.from, nil
		}
		c.changed.Wait()
	}
}

func (c *memConn) WriteTo(b []byte, to net.Addr) (int, error) {
	a := to.(*net.UDPAddr).AddrPort()
	c.net.send(c, b, netip.AddrPortFrom(a.Addr().Unmap(), a.Port()))
	return len(b), nil
}

func (c *memConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	c.changed.Broadcast()
	return nil
}

func (c *memConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.changed.Broadcast()
	return nil
}

func (c *memConn) LocalAddr() net.Addr              { return c.id.UDPAddr() }
func (c *memConn) SetDeadline(t time.Time) error    { return c.SetReadDeadline(t) }
func (c *memConn) SetWriteDeadline(time.Time) error { return nil }
func (c *memConn) SetReadBuffer(int) error          { return nil }
func (c *memConn) SetWriteBuffer(int) error         { return nil }

// testNode is a Tunnel on a memNet with what it reported.
type testNode struct {
	*Tunnel
	*tunneltest.Identity
	conn *memConn
	stop func()

	mu    sync.Mutex
	downs []string // reasons
	ups   int
	drops map[string]int
}

func startNode(t testing.TB, m *memNet, who *tunneltest.Identity, real string, change func(*Config)) *testNode {
	t.Helper()
	n := &testNode{Identity: who, conn: m.socket(who.ID, real, false), drops: make(map[string]int)}
	c := Config{Self: who.ID, Socket: n.conn, TLS: who, Env: micronet.Env{Events: n.events()}}
	if change != nil {
		change(&c)
	}
	tun, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	n.Tunnel = tun
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() {
		if err := tun.Run(ctx); err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	n.stop = func() { cancel(); group.Wait() }
	t.Cleanup(n.stop)
	<-tun.Ready()
	return n
}

func (n *testNode) events() *micronet.Events {
	return &micronet.Events{
		TunnelChanged: func(c micronet.TunnelChange) {
			n.mu.Lock()
			defer n.mu.Unlock()
			if c.Up {
				n.ups++
			} else {
				n.downs = append(n.downs, c.Reason)
			}
		},
		PacketDropped: func(d micronet.PacketDrop) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.drops[d.Why]++
		},
	}
}

func (n *testNode) changes() (ups int, downs []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ups, slices.Clone(n.downs)
}

func (n *testNode) dropped(why string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.drops[why]
}

// serveEcho accepts streams and echoes them until the node stops.
func (n *testNode) serveEcho(t testing.TB) {
	t.Helper()
	go func() {
		for {
			in, err := n.Accept(context.Background())
			if err != nil {
				return
			}
			go echoStream(in)
		}
	}()
}

func echoStream(in tunnel.Inbound) {
	defer in.Close()
	if in.Accept() != nil {
		return
	}
	b := make([]byte, 32<<10)
	for {
		n, err := in.Read(b)
		if _, werr := in.Write(b[:n]); werr != nil || err != nil {
			return
		}
	}
}
