package tunnel

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	micronet "github.com/micro/micro-net"
)

// trunkWorld is the TCP side of a testNet: listeners, and who has which certificate.
type trunkWorld struct {
	micronet.Network
	mu      sync.Mutex
	open    map[netip.AddrPort]*trunkListener
	dialled []netip.AddrPort
	ids     map[string]micronet.NodeID // by public key
	mute    []*atomic.Bool             // of the ends of all that was dialled
}

func newTrunkWorld() *trunkWorld {
	return &trunkWorld{open: map[netip.AddrPort]*trunkListener{}, ids: map[string]micronet.NodeID{}}
}

// pipeEnd is an end of a net.Pipe with addresses.
type pipeEnd struct {
	net.Conn
	remote netip.AddrPort
	mute   *atomic.Bool // what is written is lost; may be nil
}

func (p pipeEnd) Write(b []byte) (int, error) {
	if p.mute != nil && p.mute.Load() {
		return len(b), nil
	}
	return p.Conn.Write(b)
}

func (p pipeEnd) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(p.remote) }

type trunkListener struct {
	addr  netip.AddrPort
	queue chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (l *trunkListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *trunkListener) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *trunkListener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.addr) }

func (w *trunkWorld) listen(addr string) *trunkListener {
	l := &trunkListener{addr: netip.MustParseAddrPort(addr), queue: make(chan net.Conn, 8), done: make(chan struct{})}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open[l.addr] = l
	return l
}

// Dial implements micronet.Network.
func (w *trunkWorld) Dial(_ context.Context, _ netip.Addr, to netip.AddrPort) (net.Conn, error) {
	mute := new(atomic.Bool)
	w.mu.Lock()
	w.dialled = append(w.dialled, to)
	w.mute = append(w.mute, mute)
	l := w.open[to]
	w.mu.Unlock()
	if l == nil {
		return nil, syscall.ECONNREFUSED
	}
	here, there := net.Pipe()
	l.queue <- pipeEnd{there, netip.MustParseAddrPort("10.9.9.9:40000"), mute}
	return pipeEnd{here, to, mute}, nil
}

// silence loses all that is sent from now on over the connections that there are, both ways.
func (w *trunkWorld) silence() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range w.mute {
		m.Store(true)
	}
}

// calls counts the attempts to connect to an address.
func (w *trunkWorld) calls(addr string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.dialled {
		if a.String() == addr {
			n++
		}
	}
	return n
}

// testTrunkTLS is a node's certificate in a trunkWorld.
type testTrunkTLS struct {
	world *trunkWorld
	cert  tls.Certificate
}

func (w *trunkWorld) certify(t *testing.T, id micronet.NodeID) testTrunkTLS {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ids[string(public)] = id
	return testTrunkTLS{w, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}}
}

func (c testTrunkTLS) Client(micronet.NodeID) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{c.cert}, InsecureSkipVerify: true}
}

func (c testTrunkTLS) Server() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{c.cert}, ClientAuth: tls.RequireAnyClientCert, SessionTicketsDisabled: true,
	}
}

func (c testTrunkTLS) PeerID(state tls.ConnectionState) (micronet.NodeID, error) {
	public, _ := state.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
	c.world.mu.Lock()
	defer c.world.mu.Unlock()
	id, ok := c.world.ids[string(public)]
	if !ok {
		return id, micronet.E("test", micronet.Unauthorized, "a stranger")
	}
	return id, nil
}

// trunked runs a node with trunks, which takes them at its address too.
func (w *trunkWorld) trunked(t *testing.T, nw *testNet, key testKey, boot uint64, addr string) *testNode {
	t.Helper()
	n := newTrunkNode(t, nw, key, boot, addr, w, TrunkConfig{TLS: w.certify(t, key.id), Listener: w.listen(addr)})
	n.SetLocal(n.localSide(1, addr))
	n.run()
	t.Cleanup(n.stop)
	return n
}

// trunkedPair runs two nodes with trunks that know each other.
func trunkedPair(t *testing.T) (w *trunkWorld, nw *testNet, a, b *testNode) {
	t.Helper()
	w, nw = newTrunkWorld(), newTestNet()
	a, b = w.trunked(t, nw, newTestKey(1), 1, addrA), w.trunked(t, nw, newTestKey(2), 2, addrB)
	a.AddPeer(b.overTCP(false))
	b.AddPeer(a.overTCP(false))
	return w, nw, a, b
}

// overTCP is what others know of a node that takes trunks.
func (n *testNode) overTCP(relay bool) Peer {
	addr := n.conn.addr
	p := n.peer(1, addr.String())
	p.TCP, p.Relay = addr.Port(), relay
	return p
}

func (n *testNode) changes() []micronet.PathChange {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.moves)
}

// between drops datagrams between two nodes.
func between(a, b *testNode) func(from, to netip.AddrPort, _ []byte) bool {
	return func(from, to netip.AddrPort, _ []byte) bool {
		return (from == a.conn.addr && to == b.conn.addr) || (from == b.conn.addr && to == a.conn.addr)
	}
}

func (n *testNode) wantPath(t *testing.T, to *testNode, tcp bool) {
	t.Helper()
	p, _ := n.Path(to.key.id)
	if !p.Confirmed || p.TCP != tcp {
		t.Errorf("the path is %+v, want one over TCP: %v", p, tcp)
	}
}

// talk sends QUIC packets for a while, as a connection in use does.
func (n *testNode) talk(t *testing.T, to *testNode, d time.Duration) {
	t.Helper()
	for range d / (100 * time.Millisecond) {
		n.sendQUIC(t, to.key.id.UDPAddr(), "x")
		time.Sleep(100 * time.Millisecond)
	}
}

func TestTrunks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, nw, a, b := trunkedPair(t)
		a.talk(t, b, time.Second)
		a.wantPath(t, b, false)
		if n := w.calls(addrB); n > 0 {
			t.Errorf("%d calls although UDP passes", n)
		}

		nw.setDrop(between(a, b))
		a.talk(t, b, 2*time.Second)
		a.wantPath(t, b, true)
		b.wantPath(t, a, true)
		if p, _ := a.Path(b.key.id); p.Remote.String() != addrB && p.Remote.String() != "10.9.9.9:40000" {
			t.Errorf("the path leads to %v", p.Remote)
		}
		had := len(b.quic())
		a.talk(t, b, time.Second)
		if n := len(b.quic()) - had; n != 10 {
			t.Errorf("%d of 10 QUIC packets came", n)
		}
		b.sendQUIC(t, a.key.id.UDPAddr(), "back")
		a.say(t, b, "sealed")
		time.Sleep(time.Second)
		b.wantReceived(t, "sealed")
		if got := a.quic(); len(got) == 0 || got[len(got)-1] != "2 back" {
			t.Errorf("came back: %q", got)
		}
		if len(a.Standing().Seen) > 1 {
			t.Errorf("seen at %v: what a trunk shows is no address for UDP", a.Standing().Seen)
		}

		nw.setDrop(nil)
		a.talk(t, b, 8*time.Second)
		a.wantPath(t, b, false)
		for _, m := range slices.Concat(a.changes(), b.changes()) {
			if isTrunkAddr(m.From.Addr()) || isTrunkAddr(m.To.Addr()) {
				t.Errorf("an address that means nothing outside is told: %+v", m)
			}
		}
		time.Sleep(3 * trunkIdle)
		if n := a.trunks.count() + b.trunks.count(); n != 0 {
			t.Errorf("%d ends of trunks are open although nobody uses them", n)
		}
	})
}

// TestTrunkEnds: the peer's side of a trunk ends, and another one is dialled.
func TestTrunkEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, nw, a, b := trunkedPair(t)
		nw.setDrop(between(a, b))
		a.talk(t, b, 3*time.Second)
		a.wantPath(t, b, true)
		b.trunks.mu.Lock()
		for _, k := range b.trunks.open {
			go k.close()
		}
		b.trunks.mu.Unlock()
		a.talk(t, b, trunkAgain+4*time.Second)
		a.wantPath(t, b, true)

		a.RemovePeer(b.key.id)
		synctest.Wait()
		time.Sleep(time.Second)
		if n := a.trunks.count(); n != 0 {
			t.Errorf("%d trunks to a peer that was removed", n)
		}
	})
}

// TestH23_TrunksNeedAProof: who cannot prove that it is the peer gets no trunk, and who is nobody none at all.
func TestH23_TrunksNeedAProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, nw := newTrunkWorld(), newTestNet()
		a := w.trunked(t, nw, newTestKey(1), 1, addrA)
		w.trunked(t, nw, newTestKey(3), 3, addrB) // at the address of b
		b := newNode(t, nw, newTestKey(2), 2, addrB)
		nw.setDrop(func(netip.AddrPort, netip.AddrPort, []byte) bool { return true })
		a.AddPeer(b.overTCP(false))
		a.talk(t, b, 3*time.Second)
		if w.calls(addrB) == 0 || a.trunks.count() > 0 {
			t.Errorf("%d calls, %d trunks", w.calls(addrB), a.trunks.count())
		}

		conn, err := w.Dial(t.Context(), netip.Addr{}, netip.MustParseAddrPort(addrA))
		if err != nil {
			t.Fatal(err)
		}
		other := newTrunkWorld().certify(t, newTestKey(9).id)
		client := tls.Client(conn, other.Client(micronet.NodeID{}))
		_, _ = client.Write([]byte("x"))
		if _, err := client.Read(make([]byte, 1)); err == nil {
			t.Error("a stranger is listened to")
		}
		mute, err := w.Dial(t.Context(), netip.Addr{}, netip.MustParseAddrPort(addrA))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := mute.Read(make([]byte, 1)); err == nil {
			t.Error("who says nothing is not hung up on")
		}
		synctest.Wait()
		if a.trunks.count() > 0 || a.trunks.greetings > 0 {
			t.Errorf("%d trunks, %d greetings are left", a.trunks.count(), a.trunks.greetings)
		}
	})
}

// TestTrunksAreBounded: a peer has two; the one over which nothing came for longest gives way.
func TestTrunksAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, nw := newTrunkWorld(), newTestNet()
		a := w.trunked(t, nw, newTestKey(1), 1, addrA)
		mine := w.certify(t, newTestKey(2).id)
		var conns []*tls.Conn
		for i := range maxTrunksEach + 1 {
			conn, err := w.Dial(t.Context(), netip.Addr{}, netip.MustParseAddrPort(addrA))
			if err != nil {
				t.Fatal(err)
			}
			c := tls.Client(conn, mine.Client(micronet.NodeID{}))
			if _, err := c.Write([]byte{0, 1, 'x'}); err != nil {
				t.Fatalf("trunk %d: %v", i, err)
			}
			time.Sleep(time.Second)
			conns = append(conns, c)
		}
		if n := a.trunks.count(); n != maxTrunksEach {
			t.Errorf("%d trunks are open", n)
		}
		if _, err := conns[0].Read(make([]byte, 1)); err == nil {
			t.Error("the first one goes on")
		}
		for _, c := range conns {
			_ = c.NetConn().Close()
		}
	})
}

// TestLifelines: a node that UDP does not get out of calls relays so that gossip gets through, and no more than two.
func TestLifelines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, nw := newTrunkWorld(), newTestNet()
		a := w.trunked(t, nw, newTestKey(1), 1, addrA)
		nw.setDrop(func(from, to netip.AddrPort, _ []byte) bool { return from == a.conn.addr || to == a.conn.addr })
		var others []*testNode
		for i := range 6 {
			addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 1, byte(i + 1)}), 8085).String()
			x := w.trunked(t, nw, newTestKey(byte(10+i)), uint64(10+i), addr)
			x.AddPeer(a.overTCP(false))
			a.AddPeer(x.overTCP(i >= 3))
			others = append(others, x)
		}
		for range 15 {
			for _, x := range others {
				_ = a.Send(x.key.id, ChannelMembership, []byte("news"))
				time.Sleep(300 * time.Millisecond)
			}
		}
		lines, toRelays := 0, 0
		for i, x := range others {
			if p, _ := a.Path(x.key.id); p.Confirmed && p.TCP {
				lines++
				if i >= 3 {
					toRelays++
				}
			}
		}
		if lines == 0 || lines > maxLifelines || toRelays != lines {
			t.Errorf("%d trunks, %d of them to relays; want at most %d, to relays", lines, toRelays, maxLifelines)
		}
		if !a.Standing().Walled {
			t.Error("it does not know that UDP reaches nobody")
		}
	})
}

// TestCallsBackOff: a peer that takes no trunk is called ever more rarely.
func TestCallsBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, nw := newTrunkWorld(), newTestNet()
		a := w.trunked(t, nw, newTestKey(1), 1, addrA)
		b := newNode(t, nw, newTestKey(2), 2, addrB)
		p := b.overTCP(false)
		p.TCP = 443
		a.AddPeer(p)
		a.talk(t, b, 2*time.Minute)
		port443 := strings.Replace(addrB, "8085", "443", 1)
		if n := w.calls(port443); n < 3 || n > 6 {
			t.Errorf("%d calls in two minutes", n)
		}
		p.TCP = 0
		a.AddPeer(p)
		had := w.calls(port443)
		a.talk(t, b, 2*time.Minute)
		if w.calls(port443) != had {
			t.Error("a node that takes no trunks is called")
		}
	})
}

// TestH2_TrunkAddressesMeanNothingOutside: neither a credential nor a datagram can name one.
func TestH2_TrunkAddressesMeanNothingOutside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw := newTestNet()
		key := newTestKey(1)
		a := startNode(t, nw, key, 1, "[fd00::1]:8085", true)
		inside := trunkAddr(1)
		b := startNode(t, nw, newTestKey(2), 2, inside.String(), true)
		a.AddPeer(b.peer(1, inside.String()))
		b.AddPeer(a.peer(1, "[fd00::1]:8085"))
		_ = a.Send(b.key.id, ChannelMembership, []byte("x"))
		_ = b.Send(a.key.id, ChannelMembership, []byte("x"))
		time.Sleep(10 * time.Second)
		if n := len(nw.sent(func(d sentDatagram) bool { return d.to == inside })); n > 0 {
			t.Errorf("%d datagrams to an address that stands for trunks", n)
		}
		if len(a.received()) > 0 || a.Counters()["sealed_received"] > 0 {
			t.Error("a datagram from such an address is taken")
		}
	})
}

// pipeTrunk is a trunk over a pipe whose other side this test reads.
func pipeTrunk(t *testing.T, w *trunkWorld) (*trunk, *tls.Conn) {
	t.Helper()
	here, there := net.Pipe()
	mine, other := w.certify(t, newTestKey(1).id), w.certify(t, newTestKey(2).id)
	client, server := tls.Client(here, mine.Client(micronet.NodeID{})), tls.Server(there, other.Server())
	go func() { _ = server.HandshakeContext(t.Context()) }()
	if err := client.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	return newTrunk(trunkAddr(1), newTestKey(2).id, client, true), server
}

// TestTrunkUnderLoad: a trunk whose queue is never empty lives on while the other side reads, and ends once it does not.
func TestTrunkUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, far := pipeTrunk(t, newTrunkWorld())
		var all sync.WaitGroup
		all.Go(func() { k.run(t.Context(), newInlet(nil)) })
		stop := make(chan struct{})
		all.Go(func() {
			buf := make([]byte, 4096)
			for {
				select {
				case <-stop:
					return
				case <-time.After(10 * time.Millisecond):
				}
				if _, err := far.Read(buf); err != nil {
					return
				}
			}
		})
		full := make([]byte, 1400)
		for range 2 * trunkStall / time.Millisecond {
			for k.send(full) {
			}
			time.Sleep(time.Millisecond)
		}
		select {
		case <-k.ended:
			t.Fatal("it has ended although the other side reads")
		default:
		}
		if k.send(make([]byte, maxTrunkDatagram+1)) {
			t.Error("what the other side would not take is sent")
		}
		close(stop)
		for k.send(full) {
		}
		time.Sleep(2 * trunkStall)
		select {
		case <-k.ended:
		default:
			t.Error("it goes on although nobody reads")
		}
		k.close()
		_ = far.NetConn().Close()
		all.Wait()
	})
}

// TestQ16_TrunksCarryTheirPeer: frames that come over the trunk of another node, or of one that has ended, open no way.
func TestQ16_TrunksCarryTheirPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, nw, a, b := trunkedPair(t)
		nw.setDrop(between(a, b))
		a.talk(t, b, 2*time.Second)
		a.wantPath(t, b, true)
		frames := nw.sent(func(d sentDatagram) bool { return d.to == b.conn.addr && d.data[0] == firstSealed })
		if len(frames) == 0 {
			t.Fatal("no frames")
		}
		ways := func() (n int) {
			b.mu2(func(c *core) { n = len(c.peers[a.key.id].paths.candidates) })
			return n
		}
		had := ways()
		for _, from := range []netip.AddrPort{trunkAddr(77), trunkAddr(1 << 40)} {
			b.inlet.put(t.Context(), nil, inletItem{frames[len(frames)-1].data, from})
		}
		time.Sleep(time.Second)
		if n := ways(); n != had {
			t.Errorf("%d ways to the peer, %d before", n, had)
		}
	})
}

// TestBlockedAgain: UDP ends for the second time while a trunk is open from the first: both take that, also the peer, which
// sends nothing of its own, and nobody is called again.
func TestBlockedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, nw, a, b := trunkedPair(t)
		for range 4 {
			nw.setDrop(between(a, b))
			a.talk(t, b, 1500*time.Millisecond)
			a.wantPath(t, b, true)
			b.wantPath(t, a, true)
			nw.setDrop(nil)
			a.talk(t, b, 8*time.Second)
			a.wantPath(t, b, false)
			b.wantPath(t, a, false)
		}
		if n := w.calls(addrA) + w.calls(addrB); n != 1 {
			t.Errorf("%d calls, though the first trunk lives", n)
		}
	})
}

// TestDeadTrunkIsReplaced: UDP ends while a trunk is open over which nothing passes any more: another one is dialled in time.
func TestDeadTrunkIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, nw, a, b := trunkedPair(t)
		nw.setDrop(between(a, b))
		a.talk(t, b, 1500*time.Millisecond)
		nw.setDrop(nil)
		a.talk(t, b, 8*time.Second)
		before := w.calls(addrB)
		w.silence()
		nw.setDrop(between(a, b))
		a.talk(t, b, 1500*time.Millisecond)
		a.wantPath(t, b, true)
		if n := w.calls(addrB) - before; n != 1 {
			t.Errorf("%d calls", n)
		}
	})
}

// TestSpareTrunksGo: once UDP has answered for a minute, trunks are closed although the peer is in use.
func TestSpareTrunksGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, nw, a, b := trunkedPair(t)
		nw.setDrop(between(a, b))
		a.talk(t, b, 2*time.Second)
		a.wantPath(t, b, true)
		nw.setDrop(nil)
		a.talk(t, b, trunkIdle+40*time.Second)
		a.wantPath(t, b, false)
		if n := a.trunks.count() + b.trunks.count(); n > 0 {
			t.Errorf("%d ends of trunks are left", n)
		}
	})
}

// TestInlet: what comes over trunks wakes a reader that waits for UDP, and deadlines of its own still hold.
func TestInlet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw := newTestNet()
		a := newNode(t, nw, newTestKey(1), 1, addrA)
		result := make(chan error, 1)
		read := func() {
			_, _, err := a.QUIC().ReadFrom(make([]byte, 100))
			result <- err
		}
		go read()
		synctest.Wait()
		if !a.inlet.put(t.Context(), nil, inletItem{[]byte("\x01garbage"), trunkAddr(1)}) {
			t.Fatal("no room")
		}
		synctest.Wait()
		if n := a.Counters()["dropped_garbage"]; n != 1 {
			t.Errorf("%d datagrams were looked at", n)
		}
		if err := a.QUIC().SetReadDeadline(time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
		if err := <-result; !os.IsTimeout(err) {
			t.Errorf("the read ended with %v", err)
		}
		if err := a.QUIC().SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		go read()
		synctest.Wait()
		select {
		case err := <-result:
			t.Errorf("the read ended with %v", err)
		default:
		}
		a.conn.Close()
		<-result
	})
}

func TestReadDatagram(t *testing.T) {
	for name, c := range map[string]struct {
		in   []byte
		want string
	}{
		"whole":    {[]byte{0, 3, 'a', 'b', 'c', 0, 1}, "abc"},
		"empty":    {[]byte{0, 0, 'a'}, ""},
		"too long": {append([]byte{8, 1}, make([]byte, 3000)...), ""},
		"cut":      {[]byte{0, 3, 'a'}, ""},
		"no size":  {[]byte{0}, ""},
	} {
		got, err := readDatagram(bytes.NewReader(c.in))
		if (err == nil) != (c.want != "") || (err == nil && string(got) != c.want) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// FuzzTrunk: whatever comes over a trunk is cut into datagrams within bounds, or ends it.
func FuzzTrunk(f *testing.F) {
	f.Add([]byte{0, 3, 'a', 'b', 'c', 0, 1, 'x'})
	f.Add([]byte{8, 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		r := bytes.NewReader(raw)
		for {
			before := r.Len()
			data, err := readDatagram(r)
			if err != nil {
				return
			}
			if len(data) == 0 || len(data) > maxTrunkDatagram || before-r.Len() != trunkHeader+len(data) {
				t.Fatalf("%d bytes of %d", len(data), before-r.Len())
			}
		}
	})
}
