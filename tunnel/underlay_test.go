package tunnel

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	micronet "github.com/micro/micro-net"
	"golang.org/x/crypto/curve25519"
)

// wireDelay is the one-way latency of the test network.
const wireDelay = 5 * time.Millisecond

// testNet carries datagrams between testConns in virtual time.
type testNet struct {
	mu    sync.Mutex
	conns map[netip.AddrPort]*testConn
	drop  func(from, to netip.AddrPort, b []byte) bool
	log   []sentDatagram
}

type sentDatagram struct {
	at       time.Time
	from, to netip.AddrPort
	data     []byte
}

type testConn struct {
	net   *testNet
	addr  netip.AddrPort
	inbox chan sentDatagram
	done  chan struct{}
	once  sync.Once

	mu      sync.Mutex
	expired chan struct{} // closed once the read deadline has passed
	stopped time.Time     // until then its process stands still
}

func newTestNet() *testNet { return &testNet{conns: map[netip.AddrPort]*testConn{}} }

func (n *testNet) listen(addr string) *testConn {
	a := netip.MustParseAddrPort(addr)
	c := &testConn{net: n, addr: a, inbox: make(chan sentDatagram, 1024), done: make(chan struct{}), expired: make(chan struct{})}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conns[a] = c
	return c
}

// inject delivers a datagram as if it came from an address.
func (n *testNet) inject(from, to netip.AddrPort, b []byte) {
	n.mu.Lock()
	n.log = append(n.log, sentDatagram{time.Now(), from, to, bytes.Clone(b)})
	c, lost := n.conns[to], n.drop != nil && n.drop(from, to, b)
	n.mu.Unlock()
	if c == nil || lost {
		return
	}
	select {
	case c.inbox <- sentDatagram{at: time.Now(), from: from, data: bytes.Clone(b)}:
	default:
	}
}

func (n *testNet) setDrop(f func(from, to netip.AddrPort, b []byte) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.drop = f
}

// sent returns what left so far and passes f.
func (n *testNet) sent(f func(sentDatagram) bool) []sentDatagram {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(n.log), func(d sentDatagram) bool { return !f(d) })
}

func (c *testConn) ReadFrom(b []byte) (int, net.Addr, error) {
	c.mu.Lock()
	expired := c.expired
	c.mu.Unlock()
	select {
	case <-expired:
		return 0, nil, os.ErrDeadlineExceeded
	case d := <-c.inbox:
		time.Sleep(time.Until(d.at.Add(wireDelay)))
		time.Sleep(time.Until(c.standstill()))
		return copy(b, d.data), net.UDPAddrFromAddrPort(d.from), nil
	case <-c.done:
		return 0, nil, net.ErrClosed
	}
}

// stall has the process that reads stand still for a while; what comes meanwhile waits.
func (c *testConn) stall(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = time.Now().Add(d)
}

func (c *testConn) standstill() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stopped
}

func (c *testConn) WriteTo(b []byte, to net.Addr) (int, error) {
	c.net.inject(c.addr, to.(*net.UDPAddr).AddrPort(), b)
	return len(b), nil
}

func (c *testConn) Close() error                { c.once.Do(func() { close(c.done) }); return nil }
func (c *testConn) LocalAddr() net.Addr         { return net.UDPAddrFromAddrPort(c.addr) }
func (c *testConn) SetDeadline(time.Time) error { return nil }

// SetReadDeadline knows deadlines that have passed, and none.
func (c *testConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.expired:
		c.expired = make(chan struct{})
	default:
	}
	if !t.IsZero() && !t.After(time.Now()) {
		close(c.expired)
	}
	return nil
}

func (c *testConn) SetWriteDeadline(time.Time) error { return nil }

// testKey is a node's identity in tests. Its credential is readable: id, box key, endpoint.
type testKey struct {
	id      micronet.NodeID
	private [32]byte
	public  [32]byte
}

func newTestKey(n byte) testKey {
	k := testKey{id: micronet.NodeID{n, 1, 2, 3}, private: [32]byte{n, 9, 9}}
	pub, err := curve25519.X25519(k.private[:], curve25519.Basepoint)
	if err != nil {
		panic(err)
	}
	k.public = [32]byte(pub)
	return k
}

func (k testKey) credential(expires uint32, machine string, endpoints ...string) []byte {
	b := slices.Concat(k.id[:], k.public[:], binary.BigEndian.AppendUint32(nil, expires), []byte{byte(len(machine))}, []byte(machine))
	for _, e := range endpoints {
		b = append(append(b, byte(len(e))), e...)
	}
	return b
}

// relayMachine is the machine of test credentials that say that a node forwards packets.
const relayMachine = "relay"

var errTestCredential = fmt.Errorf("bad credential")

func verifyTest(c []byte) (Peer, error) {
	if len(c) < 69 {
		return Peer{}, errTestCredential
	}
	p := Peer{
		ID: micronet.NodeID(c[:32]), BoxKey: [32]byte(c[32:64]), Credential: c,
		Expires: time.Unix(int64(binary.BigEndian.Uint32(c[64:])), 0),
	}
	rest := c[69:]
	if len(rest) < int(c[68]) {
		return Peer{}, errTestCredential
	}
	p.Machine, rest = string(rest[:c[68]]), rest[c[68]:]
	p.Relay = p.Machine == relayMachine
	for len(rest) > 0 && len(rest) > int(rest[0]) {
		a, err := netip.ParseAddrPort(string(rest[1 : 1+rest[0]]))
		if err != nil {
			return Peer{}, errTestCredential
		}
		p.Endpoints, rest = append(p.Endpoints, a), rest[1+rest[0]:]
	}
	return p, nil
}

// testNode is an Underlay that runs, with what it received.
type testNode struct {
	*Underlay
	key   testKey
	conn  *testConn
	stop  func()
	mu    sync.Mutex
	got   []string
	moves []micronet.PathChange
	peers []Peer
	quics []string

	refuses atomic.Bool // every credential that is new to it
}

func (n *testNode) verify(c []byte) (Peer, error) {
	if n.refuses.Load() {
		return Peer{}, errTestCredential
	}
	return verifyTest(c)
}

func (n *testNode) received() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.got)
}

func (n *testNode) quic() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.quics)
}

func (n *testNode) reasons() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []string
	for _, m := range n.moves {
		out = append(out, m.Reason)
	}
	return out
}

var testCluster = [16]byte{0xc1}

// startNode runs a node; boot makes its entropy.
func startNode(t *testing.T, nw *testNet, key testKey, boot uint64, addr string, join bool) *testNode {
	t.Helper()
	n := newNode(t, nw, key, boot, addr)
	if join {
		n.SetLocal(n.localSide(1, addr))
	}
	n.run()
	t.Cleanup(n.stop)
	return n
}

// newNode makes a node that neither runs nor reads.
func newNode(t *testing.T, nw *testNet, key testKey, boot uint64, addr string) *testNode {
	t.Helper()
	return newTrunkNode(t, nw, key, boot, addr, nil, TrunkConfig{})
}

// newTrunkNode is newNode for one that has trunks.
func newTrunkNode(t *testing.T, nw *testNet, key testKey, boot uint64, addr string, tcp micronet.Network, trunks TrunkConfig) *testNode {
	t.Helper()
	n := &testNode{key: key, conn: nw.listen(addr)}
	events := &micronet.Events{PathChanged: func(m micronet.PathChange) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.moves = append(n.moves, m)
	}}
	seed := [32]byte{}
	binary.BigEndian.PutUint64(seed[:], boot)
	var err error
	n.Underlay, err = NewUnderlay(UnderlayConfig{
		Trunks: trunks,
		Env:    micronet.Env{Net: tcp, Entropy: rand.NewChaCha8(seed), Events: events, Phase: time.Duration(boot) * time.Nanosecond},
		Conn:   n.conn, Verify: n.verify, Cluster: testCluster,
		OnPeer: func(p Peer) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.peers = append(n.peers, p)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	n.Handle(ChannelMembership, func(_ micronet.NodeID, b []byte, _ time.Time) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.got = append(n.got, string(b))
	})
	return n
}

func (n *testNode) localSide(expires uint32, endpoints ...string) Local {
	return Local{ID: n.key.id, BoxPrivate: n.key.private, Credential: n.key.credential(expires, "", endpoints...)}
}

func (n *testNode) run() {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = n.Run(ctx) })
	wg.Go(func() {
		b := make([]byte, 1500)
		for {
			k, addr, err := n.QUIC().ReadFrom(b)
			if err != nil {
				return
			}
			who := addr.String()
			if id, ok := n.IdentityOf(addr); ok {
				who = fmt.Sprint(id[0])
			}
			n.mu.Lock()
			n.quics = append(n.quics, who+" "+string(b[1:k]))
			n.mu.Unlock()
		}
	})
	n.stop = func() {
		cancel()
		n.conn.Close()
		wg.Wait()
	}
}

// peer returns what others know of the node, with the given endpoints.
func (n *testNode) peer(expires uint32, endpoints ...string) Peer {
	p, err := verifyTest(n.key.credential(expires, "", endpoints...))
	if err != nil {
		panic(err)
	}
	return p
}

func (n *testNode) say(t *testing.T, to *testNode, text string) {
	t.Helper()
	if err := n.Send(to.key.id, ChannelMembership, []byte(text)); err != nil {
		t.Fatalf("Send %q: %v", text, err)
	}
}

func (n *testNode) wantReceived(t *testing.T, want ...string) {
	t.Helper()
	if got := n.received(); !slices.Equal(got, want) {
		t.Fatalf("received %q, want %q", got, want)
	}
}

func (n *testNode) wantDropped(t *testing.T, why string, want uint64) {
	t.Helper()
	if got := n.Counters()["dropped_"+why]; got != want {
		t.Fatalf("dropped %q = %d, want %d (all: %v)", why, got, want, nonZero(n.Counters()))
	}
}

func nonZero(m map[string]uint64) map[string]uint64 {
	for k, v := range m {
		if v == 0 {
			delete(m, k)
		}
	}
	return m
}

const (
	addrA = "10.0.0.1:8085"
	addrB = "10.0.0.2:8085"
)

// pairUp runs two nodes of which a knows b.
func pairUp(t *testing.T) (*testNet, *testNode, *testNode) {
	t.Helper()
	nw := newTestNet()
	a := startNode(t, nw, newTestKey(1), 1, addrA, true)
	b := startNode(t, nw, newTestKey(2), 2, addrB, true)
	a.AddPeer(b.peer(1, addrB))
	return nw, a, b
}

func quicPacket(text string) []byte { return append([]byte{0xC0}, text...) }

func (n *testNode) sendQUIC(t *testing.T, to net.Addr, text string) {
	t.Helper()
	if _, err := n.QUIC().WriteTo(quicPacket(text), to); err != nil {
		t.Fatal(err)
	}
}

func TestFirstContact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, b := pairUp(t)
		for i := range 20 {
			a.say(t, b, fmt.Sprint(i))
		}
		time.Sleep(2 * wireDelay)
		synctest.Wait()
		b.wantReceived(t)
		time.Sleep(time.Second)
		var want []string
		for i := range maxHeld {
			want = append(want, fmt.Sprint(i))
		}
		b.wantReceived(t, want...)
		b.wantDropped(t, "held-full", 20-maxHeld)
		b.say(t, a, "hi")
		time.Sleep(time.Second)
		a.wantReceived(t, "hi")
		if len(b.peers) != 1 || b.peers[0].ID != a.key.id {
			t.Fatalf("b learned %v", b.peers)
		}
		for _, n := range []*testNode{a, b} {
			p := n.Paths()
			if len(p) != 1 || !p[0].Confirmed || p[0].RTT != 2*wireDelay || time.Since(p[0].Heard) > 2*time.Second {
				t.Fatalf("paths %+v", p)
			}
			if r := n.reasons(); !slices.Equal(r, []string{pathConfirmed}) {
				t.Fatalf("path changes %v", r)
			}
		}
		if o := a.Observed(); !slices.Equal(o, []netip.AddrPort{netip.MustParseAddrPort(addrA)}) {
			t.Fatalf("observed %v", o)
		}
	})
}

func TestCredentialOnlyUntilAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw, a, b := pairUp(t)
		a.say(t, b, "x")
		time.Sleep(time.Second)
		carries := func(d sentDatagram) bool {
			return d.from.String() == addrA && d.data[0] == firstSealed && d.data[2]&flagCredential != 0
		}
		before := len(nw.sent(carries))
		for range 20 {
			a.say(t, b, "y")
			time.Sleep(time.Second)
		}
		if after := len(nw.sent(carries)); before == 0 || after != before {
			t.Fatalf("credentials sent: %d at first, %d in all", before, after)
		}
	})
}

// TestRefusedCredentials: two who know each other, and are each given a credential that the other one refuses, still
// hear each other. Each takes the other's credential as soon as that counts.
func TestRefusedCredentials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, b := pairUp(t)
		a.say(t, b, "1")
		time.Sleep(time.Second)
		both := [][2]*testNode{{a, b}, {b, a}}
		for _, n := range both {
			n[0].refuses.Store(true)
			n[0].SetLocal(n[0].localSide(1<<31, n[0].conn.addr.String()))
		}
		time.Sleep(time.Minute)
		a.say(t, b, "2")
		time.Sleep(time.Second)
		b.wantReceived(t, "1", "2")
		for _, n := range both {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			if _, err := n[0].Ping(ctx, n[1].key.id); err != nil {
				t.Error(err)
			}
			cancel()
			if p, _ := n[0].Peer(n[1].key.id); p.Expires.Unix() == 1<<31 {
				t.Error("a refused credential counts")
			}
		}
		a.refuses.Store(false)
		b.refuses.Store(false)
		time.Sleep(time.Minute)
		for _, n := range both {
			if p, _ := n[0].Peer(n[1].key.id); p.Expires.Unix() != 1<<31 {
				t.Errorf("the credential that counts now was not taken: %v", p.Expires)
			}
		}
	})
}

func TestQ16_UnknownSenderIsNotAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw, a, b := pairUp(t)
		a.say(t, b, "x")
		time.Sleep(time.Second)
		bare := nw.sent(func(d sentDatagram) bool {
			return d.from.String() == addrA && d.data[2]&flagCredential == 0
		})
		b.RemovePeer(a.key.id)
		a.stop()
		time.Sleep(time.Minute)
		fromB := func(d sentDatagram) bool { return d.from.String() == addrB }
		before := len(nw.sent(fromB))
		nw.inject(bare[0].from, bare[0].to, bare[0].data)
		time.Sleep(time.Second)
		b.wantDropped(t, "unknown-sender", 1)
		if after := len(nw.sent(fromB)); after != before {
			t.Fatalf("b sent %d datagrams to somebody unknown", after-before)
		}
	})
}

func TestQ16_ReplayIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw, a, b := pairUp(t)
		a.say(t, b, "first")
		time.Sleep(time.Second)
		a.say(t, b, "again")
		time.Sleep(time.Second)
		stolen := nw.sent(func(d sentDatagram) bool { return d.from.String() == addrA })
		before := b.Counters()["dropped_replay"]
		for _, d := range stolen {
			nw.inject(netip.MustParseAddrPort("10.9.9.9:1"), d.to, d.data)
		}
		time.Sleep(time.Second)
		b.wantReceived(t, "first", "again")
		b.wantDropped(t, "replay", before+uint64(len(stolen)))
		if len(nw.sent(func(d sentDatagram) bool { return d.to.Port() == 1 && d.from.String() == addrB })) != 0 {
			t.Fatal("a replay was answered")
		}
	})
}

func TestRestartIsChallenged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw, a, b := pairUp(t)
		a.say(t, b, "old")
		time.Sleep(time.Second)
		stolen := nw.sent(func(d sentDatagram) bool { return d.from.String() == addrA })
		a.stop()
		time.Sleep(10 * time.Second)
		a2 := startNode(t, nw, newTestKey(1), 3, addrA, true)
		a2.AddPeer(b.peer(1, addrB))
		a2.say(t, b, "new")
		synctest.Wait()
		time.Sleep(wireDelay + time.Millisecond)
		b.wantReceived(t, "old") // held until a has echoed b's nonce
		time.Sleep(time.Second)
		b.wantReceived(t, "old", "new")
		for _, d := range stolen {
			nw.inject(d.from, d.to, d.data)
		}
		time.Sleep(time.Second)
		b.wantReceived(t, "old", "new")
		b.wantDropped(t, "old-boot", uint64(len(stolen)))
		b.say(t, a2, "welcome")
		time.Sleep(time.Second)
		a2.wantReceived(t, "welcome")
	})
}

// A receiver that restarted takes nothing that was recorded before, although it remembers
// nothing of it: the sender says from which counter on its packets are recent.
func TestOldPacketsAreNotDeliveredToARestartedReceiver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw, a, b := pairUp(t)
		for i := range 4 {
			a.say(t, b, fmt.Sprint(i))
			time.Sleep(time.Second)
		}
		stolen := nw.sent(func(d sentDatagram) bool { return d.from.String() == addrA })
		b.stop()
		time.Sleep(20 * time.Second)
		b2 := startNode(t, nw, newTestKey(2), 4, addrB, true)
		b2.AddPeer(a.peer(1, addrA))
		for _, d := range stolen {
			nw.inject(d.from, d.to, d.data)
		}
		a.say(t, b2, "now")
		time.Sleep(10 * time.Second)
		a.say(t, b2, "later")
		time.Sleep(time.Second)
		b2.wantReceived(t, "now", "later")
	})
}

func TestForgottenPeerIsHeardAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw, a, b := pairUp(t)
		a.say(t, b, "1")
		time.Sleep(time.Second)
		b.stop()
		b2 := startNode(t, nw, newTestKey(2), 5, addrB, true)
		for i := range 20 {
			a.say(t, b2, fmt.Sprint("to b2 ", i))
			time.Sleep(time.Second)
		}
		if got := b2.received(); len(got) < 5 || got[len(got)-1] != "to b2 19" {
			t.Fatalf("b2 received %q", got)
		}
		if r := a.reasons(); !slices.Equal(r, []string{pathConfirmed, PathLost, pathConfirmed}) {
			t.Fatalf("a's path changes: %v", r)
		}
	})
}

func TestPeerMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw, a, b := pairUp(t)
		a.say(t, b, "here")
		b.say2(t, a, "ok")
		time.Sleep(time.Second)
		moved := netip.MustParseAddrPort("10.0.0.77:999")
		nw.mu.Lock()
		delete(nw.conns, a.conn.addr)
		a.conn.addr = moved
		nw.conns[moved] = a.conn
		nw.mu.Unlock()
		a.say(t, b, "there")
		time.Sleep(time.Second)
		b.wantReceived(t, "here", "there")
		if p, _ := b.Path(a.key.id); p.Remote != moved || !p.Confirmed {
			t.Fatalf("b reaches a at %+v", p)
		}
		b.say(t, a, "welcome")
		time.Sleep(time.Second)
		if got := a.received(); got[len(got)-1] != "welcome" {
			t.Fatalf("a received %q", got)
		}
	})
}

// say2 is say for a peer that has to be learned from its hello first.
func (n *testNode) say2(t *testing.T, to *testNode, text string) {
	t.Helper()
	time.Sleep(4 * wireDelay)
	n.say(t, to, text)
}

func TestH2_QUICNeedsABinding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw, a, b := pairUp(t)
		stranger := netip.MustParseAddrPort("10.7.7.7:7")
		nw.inject(stranger, b.conn.addr, quicPacket("stranger"))
		time.Sleep(time.Second)
		b.wantDropped(t, "quic-unbound", 1)
		a.sendQUIC(t, b.key.id.UDPAddr(), "initial")
		time.Sleep(time.Second)
		if got := b.quic(); !slices.Equal(got, []string{"1 initial"}) {
			t.Fatalf("b's QUIC got %q", got)
		}
		b.sendQUIC(t, a.key.id.UDPAddr(), "answer")
		time.Sleep(time.Second)
		if got := a.quic(); !slices.Equal(got, []string{"2 answer"}) {
			t.Fatalf("a's QUIC got %q", got)
		}
		b.sendQUIC(t, newTestKey(9).id.UDPAddr(), "nobody")
		b.wantDropped(t, "unknown-peer", 1)
	})
}

func TestH2_AmplificationLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw, a, b := pairUp(t)
		a.say(t, b, "x") // makes a's hello
		time.Sleep(time.Second)
		hello := nw.sent(func(d sentDatagram) bool { return d.data[2]&flagCredential != 0 })[0]
		a.stop()
		nw2 := newTestNet()
		c := startNode(t, nw2, newTestKey(2), 7, addrB, true)
		victim := netip.MustParseAddrPort("10.66.6.6:66")
		nw2.inject(victim, c.conn.addr, hello.data)
		time.Sleep(wireDelay + time.Millisecond)
		for range 50 {
			_ = c.Send(a.key.id, ChannelMembership, make([]byte, 500))
			c.sendQUIC(t, a.key.id.UDPAddr(), string(make([]byte, 1000)))
			time.Sleep(100 * time.Millisecond)
		}
		bytes := 0
		for _, d := range nw2.sent(func(d sentDatagram) bool { return d.to == victim }) {
			bytes += len(d.data)
		}
		if bytes == 0 || bytes > amplification*len(hello.data) {
			t.Fatalf("the victim got %d bytes for %d", bytes, len(hello.data))
		}
		if c.Counters()["dropped_amplification"] == 0 {
			t.Fatal("nothing was held back")
		}
	})
}

func TestReplayedHelloStealsNoAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw, a, b := pairUp(t)
		c := startNode(t, nw, newTestKey(3), 8, "10.0.0.3:8085", true)
		c.AddPeer(b.peer(1, addrB))
		a.say(t, b, "a")
		c.say(t, b, "c")
		time.Sleep(time.Second)
		hello := nw.sent(func(d sentDatagram) bool { return d.from == c.conn.addr && d.data[2]&flagCredential != 0 })[0]
		b.RemovePeer(c.key.id)
		c.stop()
		nw.inject(a.conn.addr, b.conn.addr, hello.data)
		time.Sleep(time.Second)
		a.sendQUIC(t, b.key.id.UDPAddr(), "still a")
		time.Sleep(time.Second)
		if got := b.quic(); !slices.Equal(got, []string{"1 still a"}) {
			t.Fatalf("b's QUIC got %q", got)
		}
	})
}

func TestGuests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw := newTestNet()
		b := startNode(t, nw, newTestKey(2), 2, addrB, true)
		g := startNode(t, nw, newTestKey(5), 5, "10.0.0.5:8085", false)
		member := net.UDPAddrFromAddrPort(b.conn.addr)
		g.sendQUIC(t, member, "before")
		g.wantDropped(t, "quic-unbound", 1)
		g.AllowGuest(b.conn.addr, testCluster)
		g.sendQUIC(t, member, "let me in")
		g.sendQUIC(t, member, "please")
		time.Sleep(time.Second)
		if got := b.quic(); !slices.Equal(got, []string{"10.0.0.5:8085 let me in", "10.0.0.5:8085 please"}) {
			t.Fatalf("b's QUIC got %q", got)
		}
		b.sendQUIC(t, net.UDPAddrFromAddrPort(g.conn.addr), "welcome")
		time.Sleep(time.Second)
		if got := g.quic(); !slices.Equal(got, []string{"10.0.0.2:8085 welcome"}) {
			t.Fatalf("the guest's QUIC got %q", got)
		}
		hellos := nw.sent(func(d sentDatagram) bool { return d.data[0] == firstGuest })
		if len(hellos) != 1 {
			t.Fatalf("%d guest hellos, want 1", len(hellos))
		}
		time.Sleep(guestFor)
		nw.inject(g.conn.addr, b.conn.addr, quicPacket("late"))
		time.Sleep(time.Second)
		b.wantDropped(t, "quic-unbound", 1)
		if err := g.Send(b.key.id, ChannelMembership, nil); micronet.KindOf(err) != micronet.Refused {
			t.Fatalf("Send before joining: %v", err)
		}
	})
}

func TestH2_GuestHellosAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw := newTestNet()
		b := startNode(t, nw, newTestKey(2), 2, addrB, true)
		ask := func(port uint16, cluster [16]byte) {
			from := netip.AddrPortFrom(netip.MustParseAddr("10.0.0.9"), port)
			nw.inject(from, b.conn.addr, appendGuestHello(nil, guestHello{cluster}))
		}
		ask(1, [16]byte{1})
		ask(1, [16]byte{})
		const many = guestBurst + 12
		for port := range uint16(many) {
			ask(port+1, testCluster)
		}
		time.Sleep(time.Second)
		b.wantDropped(t, "guest-refused", 2+many-guestBurst)
		for i := range uint16(maxGuests + 200) {
			ask(1000+i, testCluster)
			time.Sleep(time.Second / guestRate)
		}
		b.guests.mu.Lock()
		n := len(b.guests.asked)
		b.guests.mu.Unlock()
		if n > maxGuests {
			t.Fatalf("%d guests", n)
		}
	})
}

func TestH1_GarbageIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw, a, b := pairUp(t)
		a.say(t, b, "x")
		time.Sleep(time.Second)
		from := netip.MustParseAddrPort("10.8.8.8:8")
		good := nw.sent(func(d sentDatagram) bool { return d.to == b.conn.addr })[0].data
		forged := bytes.Clone(good)
		forged[len(forged)-1] ^= 1
		other := bytes.Clone(good)
		other[3] ^= 1
		future := bytes.Clone(good)
		future[1] = 2
		nw.inject(from, b.conn.addr, nil)
		nw.inject(from, b.conn.addr, []byte{1, 2, 3})
		nw.inject(from, b.conn.addr, []byte{0x83})
		nw.inject(from, b.conn.addr, good[:30])
		nw.inject(from, b.conn.addr, forged)
		nw.inject(from, b.conn.addr, other)
		nw.inject(from, b.conn.addr, future)
		time.Sleep(time.Second)
		for why, want := range map[string]uint64{"garbage": 3, "malformed": 1, "forged": 1, "not-for-us": 1, "version": 1} {
			b.wantDropped(t, why, want)
		}
		if len(nw.sent(func(d sentDatagram) bool { return d.to == from })) != 0 {
			t.Fatal("garbage was answered")
		}
	})
}

func TestHeldPacketsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw := newTestNet()
		b := startNode(t, nw, newTestKey(2), 2, addrB, true)
		nw.setDrop(func(from, _ netip.AddrPort, _ []byte) bool { return from == b.conn.addr })
		for i := range byte(20) {
			a := startNode(t, nw, newTestKey(100+i), uint64(100+i), fmt.Sprintf("10.0.1.%d:8085", i), true)
			a.AddPeer(b.peer(1, addrB))
			for range 20 {
				a.say(t, b, "x")
			}
			time.Sleep(20 * time.Millisecond)
		}
		b.mu2(func(c *core) {
			if c.held != maxHeldTotal {
				t.Errorf("%d packets held, want %d", c.held, maxHeldTotal)
			}
		})
		time.Sleep(staleAfter)
		b.wantDropped(t, "held-stale", maxHeldTotal)
		b.mu2(func(c *core) {
			if c.held != 0 {
				t.Errorf("%d packets still held", c.held)
			}
		})
		b.wantReceived(t)
	})
}

func (n *testNode) mu2(f func(*core)) {
	n.Underlay.mu.Lock()
	defer n.Underlay.mu.Unlock()
	f(n.core)
}

func TestLoopbackRule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw := newTestNet()
		a := startNode(t, nw, newTestKey(1), 1, addrA, true)
		b := startNode(t, nw, newTestKey(2), 2, "127.0.0.1:9000", true)
		a.AddPeer(b.peer(1, "127.0.0.1:9000", "169.254.0.1:1", "224.0.0.1:1", "[2001:db8::1]:1"))
		err := a.Send(b.key.id, ChannelMembership, []byte("x"))
		if micronet.KindOf(err) != micronet.Unreachable {
			t.Fatalf("Send to a loopback address of another machine: %v", err)
		}
		here, _ := verifyTest(b.key.credential(1, "m", "127.0.0.1:9000"))
		l := a.localSide(1, addrA)
		l.Machine = "m"
		a.SetLocal(l)
		a.AddPeer(here)
		a.say(t, b, "x")
	})
}

func TestErrorsOfSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, b := pairUp(t)
		if err := a.Send(newTestKey(7).id, 1, nil); micronet.KindOf(err) != micronet.NotFound {
			t.Errorf("unknown peer: %v", err)
		}
		if err := a.Send(b.key.id, 1, make([]byte, MaxPacket+1)); micronet.KindOf(err) != micronet.Invalid {
			t.Errorf("too long: %v", err)
		}
		a.say(t, b, string(make([]byte, MaxPacket)))
		b.conn.Close()
		var overloaded bool
		for range 40 {
			err := a.Send(b.key.id, 1, make([]byte, MaxPacket))
			overloaded = overloaded || micronet.KindOf(err) == micronet.Overloaded
		}
		if !overloaded {
			t.Error("an address that never answered got all it was sent")
		}
		a.stop()
		if err := a.Send(b.key.id, 1, nil); micronet.KindOf(err) != micronet.Closed {
			t.Errorf("after Run: %v", err)
		}
	})
}

func TestPing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw, a, b := pairUp(t)
		for range 2 { // over no path, over a confirmed one
			i, err := a.Ping(t.Context(), b.key.id)
			if err != nil || i.RTT != 2*wireDelay || i.Remote != b.conn.addr {
				t.Fatalf("Ping = %+v, %v", i, err)
			}
		}
		nw.setDrop(func(netip.AddrPort, netip.AddrPort, []byte) bool { return true })
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if _, err := a.Ping(ctx, b.key.id); micronet.KindOf(err) != micronet.Timeout {
			t.Fatalf("Ping into the void: %v", err)
		}
		a.mu2(func(c *core) {
			if n := len(c.peers[b.key.id].waiters); n != 0 {
				t.Errorf("%d waiters left", n)
			}
		})
	})
}

func TestPathIsLostAndFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw, a, b := pairUp(t)
		a.say(t, b, "x")
		time.Sleep(time.Second)
		nw.setDrop(func(netip.AddrPort, netip.AddrPort, []byte) bool { return true })
		for range 14 {
			a.say(t, b, "lost")
			time.Sleep(time.Second)
		}
		if r := a.reasons(); !slices.Equal(r, []string{pathConfirmed, PathLost}) {
			t.Fatalf("path changes %v", r)
		}
		nw.setDrop(nil)
		a.say(t, b, "found")
		time.Sleep(time.Second)
		if p, _ := a.Path(b.key.id); !p.Confirmed {
			t.Fatal("the path was not found again")
		}
	})
}

// With two ways to a peer, packets move to the second when the first one ends, even if the peer
// is still heard over it.
func TestSecondWayTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw, a, b := pairUp(t)
		second := netip.MustParseAddrPort("10.1.0.2:8085")
		nw.mu.Lock()
		nw.conns[second] = b.conn
		nw.mu.Unlock()
		b.SetLocal(b.localSide(1, addrB, second.String()))
		a.AddPeer(b.peer(1, addrB, second.String()))
		first := netip.MustParseAddrPort(addrB)
		traffic := func(d time.Duration) {
			for range int(d / (100 * time.Millisecond)) {
				a.sendQUIC(t, b.key.id.UDPAddr(), "data")
				b.sendQUIC(t, a.key.id.UDPAddr(), "ack")
				time.Sleep(100 * time.Millisecond)
			}
		}
		traffic(3 * time.Second)
		if p, _ := a.Path(b.key.id); p.Remote != first {
			t.Fatalf("a uses %+v first", p)
		}
		// Only a's way to b is cut: b is still heard.
		nw.setDrop(func(_, to netip.AddrPort, _ []byte) bool { return to == first })
		traffic(7 * time.Second)
		if p, _ := a.Path(b.key.id); p.Remote != second || !p.Confirmed {
			t.Fatalf("a uses %+v afterwards (%v)", p, a.reasons())
		}
	})
}

func TestKeysAreRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, b := pairUp(t)
		var want []string
		say := func(text string) {
			a.say(t, b, text)
			time.Sleep(300 * time.Millisecond)
			want = append(want, text)
		}
		say("one")
		renewed := newTestKey(77)
		renewed.id = a.key.id
		a.key = renewed
		a.SetLocal(a.localSide(2, addrA))
		say("two")
		say("three")
		b.wantReceived(t, want...)
		if p, _ := b.Peer(a.key.id); p.BoxKey != renewed.public {
			t.Fatal("b did not learn the new key")
		}
		b.say(t, a, "with the new key")
		time.Sleep(time.Second)
		a.wantReceived(t, "with the new key")
		a.mu2(func(c *core) {
			if p := c.peers[b.key.id]; p.proven.generation != c.key.generation {
				t.Error("a still uses its old key")
			}
		})
	})
}

func TestRemovePeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw, a, b := pairUp(t)
		a.say(t, b, "x")
		time.Sleep(time.Second)
		a.RemovePeer(b.key.id)
		if _, ok := a.Peer(b.key.id); ok || len(a.Paths()) != 0 || !a.Heard(b.key.id).IsZero() {
			t.Fatal("the peer is still known")
		}
		nw.inject(b.conn.addr, a.conn.addr, quicPacket("x"))
		time.Sleep(time.Second)
		a.wantDropped(t, "quic-unbound", 1)
		if r := a.reasons(); !slices.Equal(r, []string{pathConfirmed, pathRemoved}) {
			t.Fatalf("path changes %v", r)
		}
		a.mu2(func(c *core) {
			if len(c.agenda) != 0 || len(c.tags) != 0 || len(c.dir.bound) != 0 || len(c.dir.identities) != 0 {
				t.Error("something of the peer is left")
			}
		})
	})
}

func TestPeersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw, a, b := pairUp(t)
		a.say(t, b, "x")
		time.Sleep(time.Second)
		for i := range maxPeers + 10 {
			id := micronet.NodeID{0xff, byte(i >> 8), byte(i)}
			a.AddPeer(Peer{ID: id, BoxKey: newTestKey(3).public})
		}
		if n := len(a.Paths()); n != maxPeers {
			t.Fatalf("%d peers, want %d", n, maxPeers)
		}
		if _, ok := a.Peer(b.key.id); !ok {
			t.Fatal("a confirmed peer was evicted")
		}
		_ = nw
	})
}

func TestIdlePeersCostNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw, a, b := pairUp(t)
		a.say(t, b, "x")
		time.Sleep(2 * time.Minute)
		all := func(sentDatagram) bool { return true }
		before := len(nw.sent(all))
		time.Sleep(10 * time.Minute)
		if after := len(nw.sent(all)); after != before {
			t.Fatalf("%d datagrams between idle peers", after-before)
		}
		a.say(t, b, "y")
		time.Sleep(time.Second)
		b.wantReceived(t, "x", "y")
		if r := a.reasons(); !slices.Equal(r, []string{pathConfirmed}) {
			t.Fatalf("path changes %v", r)
		}
	})
}

// TestFaultLeavesNoLockHeld: a fault within the core is caught by whoever adds or removes a peer.
func TestFaultLeavesNoLockHeld(t *testing.T) {
	a := newNode(t, newTestNet(), newTestKey(1), 1, addrA)
	defer a.conn.Close()
	func() {
		defer func() { _ = recover() }()
		a.do(func(time.Time, *core, *effects) { panic("a fault") })
	}()
	if !a.Underlay.mu.TryLock() {
		t.Error("the lock is held")
	}
}
