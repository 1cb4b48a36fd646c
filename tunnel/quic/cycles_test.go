package quic

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
	"github.com/micro/micro-net/tunnel/tunneltest"
	"golang.org/x/crypto/curve25519"
)

const (
	// cycles is how often something begins and ends; from cyclesFirst on memory is compared.
	cycles, cyclesFirst = 1000, 200
	// cycleHeap is what a cycle may leave in memory: less than anything that one makes, more than what
	// the runtime's own tables grow by.
	cycleHeap = 256 // bytes
	// settleTime is how long what has ended may take to be gone: quic-go remembers connections for
	// seconds, so that late packets for them are known.
	settleTime = 30 * time.Second
)

// leftovers is what a process holds.
type leftovers struct {
	goroutines, files int
	heap              int64 // bytes in use
}

func held(t *testing.T) leftovers {
	t.Helper()
	runtime.GC()
	runtime.GC() // what finalizers let go of
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return leftovers{runtime.NumGoroutine(), openFiles(), int64(m.HeapAlloc)}
}

// openFiles counts what is open, sockets among it; always 0 where the system does not tell.
func openFiles() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(entries)
}

// within waits until no more is held than most.
func within(t *testing.T, what string, most leftovers) {
	t.Helper()
	var now leftovers
	for began := time.Now(); time.Since(began) < settleTime; time.Sleep(50 * time.Millisecond) {
		now = held(t)
		if now.goroutines <= most.goroutines && now.files <= most.files && now.heap <= most.heap {
			return
		}
	}
	t.Errorf("%s: %+v are held, want at most %+v", what, now, most)
}

// repeat does something 1,000 times and wants nothing left of it.
func repeat(t *testing.T, cycle func(i int)) {
	t.Helper()
	for i := range 10 { // what is made once
		cycle(i)
	}
	before := held(t)
	for i := range cyclesFirst {
		cycle(i)
	}
	settled := before
	settled.heap += 4 << 20 // tables that have grown, and what is remembered for seconds
	within(t, "after 200 cycles", settled)
	settled = held(t)
	for i := range cycles - cyclesFirst {
		cycle(i)
	}
	settled.goroutines, settled.files = before.goroutines, before.files
	settled.heap += (cycles - cyclesFirst) * cycleHeap
	within(t, "after 1,000 cycles", settled)
}

// company are nodes on real sockets that know each other.
type company struct {
	mu    sync.Mutex
	known map[micronet.NodeID]tunnel.Peer
	nodes map[micronet.NodeID]*tunnel.Underlay
}

func newCompany() *company {
	return &company{known: make(map[micronet.NodeID]tunnel.Peer), nodes: make(map[micronet.NodeID]*tunnel.Underlay)}
}

func (c *company) verify(credential []byte) (tunnel.Peer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, ok := c.known[micronet.NodeID(credential)]
	if !ok {
		return p, errors.New("a stranger")
	}
	return p, nil
}

// start runs a node with a socket, an Underlay and a Tunnel of its own, which echoes.
func (c *company) start(t *testing.T, who *tunneltest.Identity) (n *testNode, stop func()) {
	t.Helper()
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	under, err := tunnel.NewUnderlay(tunnel.UnderlayConfig{Conn: conn, Verify: c.verify})
	if err != nil {
		t.Fatal(err)
	}
	self := c.admit(t, who, under)
	under.SetLocal(tunnel.Local{ID: who.ID, BoxPrivate: [32]byte(who.ID), Credential: self.Credential})
	n = &testNode{Identity: who}
	if n.Tunnel, err = New(Config{Self: who.ID, Socket: under, TLS: who}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() { _ = under.Run(ctx) })
	group.Go(func() {
		if err := n.Run(ctx); err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	<-n.Ready()
	n.serveEcho(t)
	for _, p := range c.others(who.ID) {
		under.AddPeer(p)
	}
	return n, func() { cancel(); group.Wait(); _ = conn.Close() }
}

// bury has all others forget a node: it comes back at another address.
func (c *company) bury(id micronet.NodeID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.known, id)
	delete(c.nodes, id)
	for _, u := range c.nodes {
		u.RemovePeer(id)
	}
}

// admit makes a node known. Its box key is no secret here.
func (c *company) admit(t *testing.T, who *tunneltest.Identity, under *tunnel.Underlay) tunnel.Peer {
	t.Helper()
	public, err := curve25519.X25519(who.ID[:], curve25519.Basepoint)
	if err != nil {
		t.Fatal(err)
	}
	p := tunnel.Peer{
		ID: who.ID, BoxKey: [32]byte(public), Credential: who.ID[:], Endpoints: []netip.AddrPort{under.LocalAddr()},
		Expires: time.Now().Add(time.Hour),
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known[who.ID], c.nodes[who.ID] = p, under
	return p
}

func (c *company) others(than micronet.NodeID) (out []tunnel.Peer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, p := range c.known {
		if id != than {
			out = append(out, p)
		}
	}
	return out
}

// alone waits until a node has no connections.
func alone(t *testing.T, n *testNode) {
	t.Helper()
	for began := time.Now(); len(n.Connections()) > 0; time.Sleep(100 * time.Microsecond) {
		if time.Since(began) > settleTime {
			t.Fatal("a connection does not end")
		}
	}
}

// A connection is made, used and ended, 1,000 times over real sockets.
func TestConnectionsLeaveNothing(t *testing.T) {
	c := newCompany()
	b, stopB := c.start(t, tunneltest.NewIdentity(t, 2))
	defer stopB()
	a, stopA := c.start(t, tunneltest.NewIdentity(t, 1))
	defer stopA()
	repeat(t, func(i int) {
		ping(t, a, b)
		ends := a
		if i%2 > 0 {
			ends = b
		}
		ends.Disconnect([]micronet.NodeID{b.ID, a.ID}[i%2], "test")
		alone(t, a)
		alone(t, b)
	})
}

// A whole node with its socket, Underlay and Tunnel starts, talks to one that stays, and stops, 1,000 times.
func TestNodesLeaveNothing(t *testing.T) {
	c := newCompany()
	b, stopB := c.start(t, tunneltest.NewIdentity(t, 2))
	defer stopB()
	who := tunneltest.NewIdentity(t, 1)
	repeat(t, func(int) {
		a, stop := c.start(t, who)
		ping(t, a, b)
		stop()
		alone(t, b)
		c.bury(who.ID)
	})
}

// Connections that nobody uses end by themselves, 1,000 times, in virtual time.
func TestIdleConnectionsLeaveNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(10 * time.Millisecond)
		soon := func(c *Config) { c.Idle = minIdle }
		a := startNode(t, m, tunneltest.NewIdentity(t, 1), "10.0.0.1:8085", soon)
		b := startNode(t, m, tunneltest.NewIdentity(t, 2), "10.0.0.2:8085", soon)
		a.serveEcho(t)
		b.serveEcho(t)
		repeat(t, func(int) {
			ping(t, a, b)
			time.Sleep(minIdle + 2*minTick)
			if n := len(a.Connections()) + len(b.Connections()); n > 0 {
				t.Fatalf("%d connections are left", n)
			}
			a.forget()
			b.forget()
		})
	})
}

// forget lets go of what was reported.
func (n *testNode) forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.downs = nil
}
