package light

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/sim/netsim"
	"github.com/micro/micro-net/tunnel"
	"github.com/micro/micro-net/tunnel/quic"
)

const testLatency = 10 * time.Millisecond

var (
	addrA = netip.MustParseAddr("10.0.0.1")
	addrB = netip.MustParseAddr("10.0.0.2")
)

// testNode is a host with an Underlay and what its Tunnel is to be made of.
type testNode struct {
	t    *testing.T
	host *netsim.Host
	net  micronet.Network
	port netip.AddrPort
	id   micronet.NodeID
	conf quic.Config
	sock *tunnel.Underlay
	tun  *Tunnel
	stop func() // ends the Tunnel and waits for it

	mu    sync.Mutex
	ups   int
	downs []string
	drops map[string]int
}

// inWorld runs f in a bubble with two hosts that have no nodes yet.
func inWorld(t *testing.T, link netsim.Link, f func(t *testing.T, w *netsim.World, a, b *testNode)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, link)
		f(t, w, newNode(t, w, "a", addrA, 1), newNode(t, w, "b", addrB, 2))
	})
}

func newWorld(t *testing.T, link netsim.Link) *netsim.World {
	t.Helper()
	return newSeededWorld(t, link, 1)
}

func newSeededWorld(t *testing.T, link netsim.Link, seed uint64) *netsim.World {
	t.Helper()
	w := netsim.New(seed, netsim.Options{Link: link})
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { _ = w.Run(ctx) })
	t.Cleanup(func() { cancel(); group.Wait() })
	return w
}

// newNode makes a host with an Underlay that knows nobody.
func newNode(t *testing.T, w *netsim.World, name string, addr netip.Addr, seed byte) *testNode {
	t.Helper()
	n := &testNode{
		t: t, host: w.Host(name, netip.PrefixFrom(addr, 24)), port: netip.AddrPortFrom(addr, 8085),
		id: micronet.NodeID{0: seed, 31: 7}, drops: make(map[string]int),
	}
	env := n.host.Env()
	env.Events = n.events()
	conn, err := env.Net.ListenPacket(t.Context(), netip.AddrPortFrom(netip.IPv6Unspecified(), 8085))
	if err != nil {
		t.Fatal(err)
	}
	n.net = env.Net
	n.sock, err = tunnel.NewUnderlay(tunnel.UnderlayConfig{Env: env, Conn: conn, Verify: verify, Cluster: [16]byte{1}})
	if err != nil {
		t.Fatal(err)
	}
	n.sock.SetLocal(tunnel.Local{ID: n.id, BoxPrivate: n.box(), Credential: n.credential()})
	n.conf = quic.Config{Env: env, Self: n.id, Socket: n.sock}
	n.drive(conn)
	return n
}

// drive runs the Underlay and reads from its socket, as a node does.
func (n *testNode) drive(conn net.PacketConn) {
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { _ = n.sock.Run(ctx) })
	group.Go(func() {
		buf := make([]byte, 2048)
		for {
			if _, _, err := n.sock.QUIC().ReadFrom(buf); err != nil {
				return
			}
		}
	})
	n.t.Cleanup(func() { cancel(); _ = conn.Close(); group.Wait() })
}

// start makes the Tunnel and runs it until the test ends.
func (n *testNode) start(t *testing.T) {
	t.Helper()
	var err error
	if n.tun, err = newTunnel(n.conf); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() {
		if err := n.tun.Run(ctx); err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	n.stop = func() { cancel(); group.Wait() }
	t.Cleanup(n.stop)
	<-n.tun.Ready()
}

// introduce makes two nodes know each other.
func introduce(nodes ...*testNode) {
	for _, n := range nodes {
		for _, o := range nodes {
			if n != o {
				n.sock.AddPeer(o.peer())
			}
		}
	}
}

func (n *testNode) box() [32]byte { return [32]byte{n.id[0], 1, 2, 3} }

func (n *testNode) public() [32]byte {
	box := n.box()
	key, err := ecdh.X25519().NewPrivateKey(box[:])
	if err != nil {
		n.t.Fatal(err)
	}
	return [32]byte(key.PublicKey().Bytes())
}

func (n *testNode) peer() tunnel.Peer {
	p, err := verify(n.credential())
	if err != nil {
		n.t.Fatal(err)
	}
	return p
}

// credential is readable and unsigned: id, box key, endpoint.
func (n *testNode) credential() []byte {
	public := n.public()
	return slices.Concat(n.id[:], public[:], []byte(n.port.String()))
}

func verify(b []byte) (tunnel.Peer, error) {
	addr, err := netip.ParseAddrPort(string(b[min(64, len(b)):]))
	if err != nil {
		return tunnel.Peer{}, err
	}
	return tunnel.Peer{
		ID: micronet.NodeID(b[:32]), BoxKey: [32]byte(b[32:64]), Credential: bytes.Clone(b),
		Endpoints: []netip.AddrPort{addr}, Expires: time.Now().Add(time.Hour),
	}, nil
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

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

var opening = tunnel.Opening{Purpose: tunnel.PurposeCatalog}

// call opens a stream from a to b that b has accepted.
func call(t *testing.T, a, b *testNode) (tunnel.Outbound, tunnel.Inbound) {
	t.Helper()
	out, err := a.tun.Open(within(t, time.Minute), b.id, opening)
	if err != nil {
		t.Fatalf("Open = %v", err)
	}
	in, err := b.tun.Accept(within(t, time.Minute))
	if err != nil {
		t.Fatalf("Accept = %v", err)
	}
	if err := in.Accept(); err != nil {
		t.Fatalf("accepting = %v", err)
	}
	if err := out.Answered(within(t, time.Minute)); err != nil {
		t.Fatalf("Answered = %v", err)
	}
	return out, in
}
