package tunnel

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	micronet "github.com/micro/micro-net"
	quicgo "github.com/quic-go/quic-go"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// countingConn sees how quic-go uses the connection it got.
type countingConn struct {
	*kernelConn
	writes, largest, batches, largestBatch, leaks atomic.Int64
}

func (c *countingConn) WriteMsgUDP(b, oob []byte, addr *net.UDPAddr) (int, int, error) {
	c.writes.Add(1)
	c.largest.Store(max(c.largest.Load(), int64(len(b))))
	return c.kernelConn.WriteMsgUDP(b, oob, addr)
}

func (c *countingConn) ReadBatch(ms []ipv4.Message, flags int) (int, error) {
	n, err := c.kernelConn.ReadBatch(ms, flags)
	c.batches.Add(1)
	c.largestBatch.Store(max(c.largestBatch.Load(), int64(n)))
	for _, m := range ms[:n] {
		if udp, ok := m.Addr.(*net.UDPAddr); !ok || !micronet.IsIdentityAddr(udp.AddrPort().Addr()) {
			c.leaks.Add(1)
		}
	}
	return n, err
}

// kernelNode is an Underlay over a real socket with quic-go on top.
type kernelNode struct {
	*Underlay
	key       testKey
	addr      netip.AddrPort
	conn      *countingConn
	transport *quicgo.Transport
}

func newKernelNode(tb testing.TB, key testKey, listen, at string) *kernelNode {
	tb.Helper()
	socket, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(listen)))
	if err != nil {
		tb.Skip("no such socket here: ", err)
	}
	n := &kernelNode{key: key}
	n.Underlay, err = NewUnderlay(UnderlayConfig{Conn: socket, Verify: verifyTest})
	if err != nil {
		tb.Fatal(err)
	}
	n.addr = netip.AddrPortFrom(netip.MustParseAddr(at), n.LocalAddr().Port())
	n.SetLocal(Local{ID: key.id, BoxPrivate: key.private, Credential: key.credential(1, "m", n.addr.String()), Machine: "m"})
	n.conn = &countingConn{kernelConn: n.QUIC().(*kernelConn)}
	n.transport = &quicgo.Transport{Conn: n.conn}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = n.Run(ctx) })
	tb.Cleanup(func() {
		_ = n.transport.Close()
		cancel()
		wg.Wait()
		socket.Close()
	})
	return n
}

func (n *kernelNode) peer() Peer {
	p, err := verifyTest(n.key.credential(1, "m", n.addr.String()))
	if err != nil {
		panic(err)
	}
	return p
}

// discard serves one connection, and reads streams to their end.
func discard(ctx context.Context, l *quicgo.Listener) {
	for {
		conn, err := l.Accept(ctx)
		if err != nil {
			return
		}
		go func() {
			for {
				s, err := conn.AcceptStream(ctx)
				if err != nil {
					return
				}
				if _, err := io.Copy(io.Discard, s); err == nil {
					_, _ = s.Write([]byte("done"))
				}
				_ = s.Close()
			}
		}()
	}
}

// push sends size bytes over a new stream and waits until the other side has read them.
func push(tb testing.TB, conn *quicgo.Conn, size int) {
	tb.Helper()
	s, err := conn.OpenStreamSync(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	block := make([]byte, 64<<10)
	for sent := 0; sent < size; sent += len(block) {
		if _, err := s.Write(block); err != nil {
			tb.Fatal(err)
		}
	}
	_ = s.Close()
	if answer, err := io.ReadAll(s); err != nil || string(answer) != "done" {
		tb.Fatalf("answer %q, %v", answer, err)
	}
}

func dial(tb testing.TB, from *quicgo.Transport, to *quicgo.Transport, addr net.Addr) *quicgo.Conn {
	tb.Helper()
	conf := testTLS(tb)
	l, err := to.Listen(conf, nil)
	if err != nil {
		tb.Fatal(err)
	}
	go discard(tb.Context(), l)
	ctx, cancel := context.WithTimeout(tb.Context(), 5*time.Second)
	defer cancel()
	conn, err := from.Dial(ctx, addr, conf, nil)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = conn.CloseWithError(0, "")
		_ = l.Close()
	})
	return conn
}

// quic-go over two wrapped sockets: by identity, with GSO, batches and ECN, for all families.
func TestQUICOverKernelSockets(t *testing.T) {
	for _, tt := range []struct{ name, listenA, atA, listenB, atB string }{
		{"v4", "127.0.0.1:0", "127.0.0.1", "127.0.0.1:0", "127.0.0.1"},
		{"v6", "[::1]:0", "::1", "[::1]:0", "::1"},
		{"dual stack by v4", "[::]:0", "127.0.0.1", "[::]:0", "127.0.0.1"},
		{"dual stack by v6", "[::]:0", "::1", "[::]:0", "::1"},
		{"dual stack to v4", "[::]:0", "127.0.0.1", "0.0.0.0:0", "127.0.0.1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newKernelNode(t, newTestKey(1), tt.listenA, tt.atA)
			b := newKernelNode(t, newTestKey(2), tt.listenB, tt.atB)
			a.AddPeer(b.peer())
			conn := dial(t, a.transport, b.transport, b.key.id.UDPAddr())
			push(t, conn, 16<<20)
			if id, ok := a.IdentityOf(conn.RemoteAddr()); !ok || id != b.key.id {
				t.Errorf("the connection's peer is %v", conn.RemoteAddr())
			}
			if n := a.conn.largest.Load(); n <= 1500 {
				t.Errorf("largest write %d bytes: no GSO", n)
			}
			if n := b.conn.largestBatch.Load(); n <= 1 {
				t.Errorf("largest read %d packets: no batches", n)
			}
			if n := a.conn.leaks.Load() + b.conn.leaks.Load(); n != 0 {
				t.Errorf("%d packets with a real address", n)
			}
			if i, err := a.Ping(t.Context(), b.key.id); err != nil || i.Remote != b.addr {
				t.Errorf("Ping = %+v, %v", i, err)
			}
			c := a.Counters()
			if c["dropped_write-failed"]+c["dropped_quic-unbound"]+c["dropped_garbage"] != 0 {
				t.Errorf("drops: %v", nonZero(c))
			}
			if st := conn.ConnectionState(); !st.GSO {
				t.Error("quic-go gave GSO up")
			}
			if r, s := a.Buffers(); r <= 0 || s <= 0 {
				t.Errorf("Buffers = %d, %d", r, s)
			}
		})
	}
}

// What quic-go asks for in ECN and source address is what leaves, whatever the family.
func TestControlOnTheWire(t *testing.T) {
	for _, tt := range []struct{ name, listen, at, peer string }{
		{"v4", "0.0.0.0:0", "127.0.0.2", "127.0.0.1:0"},
		{"v6", "[::]:0", "::1", "[::1]:0"},
		{"v4-mapped", "[::]:0", "127.0.0.2", "127.0.0.1:0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newKernelNode(t, newTestKey(1), tt.listen, tt.at)
			peer, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(tt.peer)))
			if err != nil {
				t.Skip(err)
			}
			defer peer.Close()
			raw, err := peer.SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			receiveECN(t, raw)
			to := clean(peer.LocalAddr().(*net.UDPAddr).AddrPort())
			source := n.socket.source(netip.MustParseAddr(tt.at))
			if err := n.socket.write([]byte("Cx"), class6, source, to, nil); err != nil {
				t.Fatal(err)
			}
			b, oob := make([]byte, 10), make([]byte, 128)
			_ = peer.SetReadDeadline(time.Now().Add(5 * time.Second))
			k, oobn, _, from, err := peer.ReadMsgUDPAddrPort(b, oob)
			if err != nil || string(b[:k]) != "Cx" {
				t.Fatalf("read %q, %v", b[:k], err)
			}
			if got := from.Addr().Unmap(); got != netip.MustParseAddr(tt.at) {
				t.Errorf("left from %v, want %v", got, tt.at)
			}
			if bits := receivedECN(oob[:oobn]); bits != 2 {
				t.Errorf("ECN bits %d, want 2", bits)
			}
		})
	}
}

// A reply leaves from the address that was spoken to, not from the first one of the host.
func TestRepliesLeaveFromTheAddressSpokenTo(t *testing.T) {
	a := newKernelNode(t, newTestKey(1), "127.0.0.1:0", "127.0.0.1")
	b := newKernelNode(t, newTestKey(2), "0.0.0.0:0", "127.0.0.9")
	a.AddPeer(b.peer())
	conn := dial(t, a.transport, b.transport, b.key.id.UDPAddr())
	push(t, conn, 1<<20)
	if c := a.Counters(); c["dropped_quic-unbound"] != 0 {
		t.Errorf("packets from a strange address: %v", nonZero(c))
	}
	if p, _ := a.Path(b.key.id); p.Remote != b.addr || !p.Confirmed {
		t.Errorf("path %+v", p)
	}
	a.Underlay.mu.Lock()
	defer a.Underlay.mu.Unlock()
	if n := len(a.core.peers[b.key.id].paths.candidates); n != 1 {
		t.Errorf("%d candidates: b answered from elsewhere", n)
	}
}

func TestSourceThatIsGone(t *testing.T) {
	a := newKernelNode(t, newTestKey(1), "0.0.0.0:0", "127.0.0.1")
	b := newKernelNode(t, newTestKey(2), "127.0.0.1:0", "127.0.0.1")
	a.AddPeer(b.peer())
	conn := dial(t, a.transport, b.transport, b.key.id.UDPAddr())
	push(t, conn, 64<<10)
	a.do(func(_ time.Time, c *core, _ *effects) {
		c.moved(b.key.id, b.addr, netip.MustParseAddr("192.0.2.77"))
	})
	push(t, conn, 64<<10)
	a.Underlay.mu.Lock()
	defer a.Underlay.mu.Unlock()
	if l := a.core.peers[b.key.id].paths.find(b.addr).local; l == netip.MustParseAddr("192.0.2.77") {
		t.Error("the address that is gone is still used")
	}
}

func TestReadMsgUDP(t *testing.T) {
	a := newKernelNode(t, newTestKey(1), "127.0.0.1:0", "127.0.0.1")
	b := newKernelNode(t, newTestKey(2), "127.0.0.1:0", "127.0.0.1")
	a.AddPeer(b.peer())
	if _, err := a.QUIC().WriteTo(quicPacket("hi"), b.key.id.UDPAddr()); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1500)
	_ = b.QUIC().SetReadDeadline(time.Now().Add(5 * time.Second))
	n, addr, err := b.QUIC().ReadFrom(buf)
	if err != nil || string(buf[1:n]) != "hi" {
		t.Fatalf("read %q, %v", buf[:n], err)
	}
	if id, _ := b.IdentityOf(addr); id != a.key.id {
		t.Fatalf("from %v", addr)
	}
}

const bulk = 64 << 20

func BenchmarkWrapped(b *testing.B) {
	x := newKernelNode(b, newTestKey(1), "127.0.0.1:0", "127.0.0.1")
	y := newKernelNode(b, newTestKey(2), "127.0.0.1:0", "127.0.0.1")
	x.transport.Conn, y.transport.Conn = x.QUIC(), y.QUIC()
	x.AddPeer(y.peer())
	benchmarkBulk(b, dial(b, x.transport, y.transport, y.key.id.UDPAddr()))
}

func BenchmarkBare(b *testing.B) {
	var ts [2]*quicgo.Transport
	for i := range ts {
		socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			b.Fatal(err)
		}
		ts[i] = &quicgo.Transport{Conn: socket}
		b.Cleanup(func() {
			_ = ts[i].Close()
			socket.Close()
		})
	}
	benchmarkBulk(b, dial(b, ts[0], ts[1], ts[1].Conn.LocalAddr()))
}

func benchmarkBulk(b *testing.B, conn *quicgo.Conn) {
	push(b, conn, bulk)
	b.SetBytes(bulk)
	b.ReportAllocs()
	for b.Loop() {
		push(b, conn, bulk)
	}
}

// Packets that are not QUIC's leave no gaps, and each buffer keeps its place: quic-go gives the
// i-th buffer back after it has used the i-th message.
func TestReadBatchMovesUp(t *testing.T) {
	a := newKernelNode(t, newTestKey(1), "127.0.0.1:0", "127.0.0.1")
	b := newKernelNode(t, newTestKey(2), "127.0.0.1:0", "127.0.0.1")
	a.AddPeer(b.peer())
	stranger, err := net.Dial("udp", b.addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	for _, text := range []string{"one", "two"} {
		if _, err := stranger.Write([]byte("\x01garbage")); err != nil {
			t.Fatal(err)
		}
		if _, err := a.QUIC().WriteTo(quicPacket(text), b.key.id.UDPAddr()); err != nil {
			t.Fatal(err)
		}
	}
	ms := make([]ipv4.Message, 8)
	first := make([]*byte, len(ms))
	for i := range ms {
		ms[i].Buffers, ms[i].OOB = [][]byte{make([]byte, 1452)}, make([]byte, 128)
		first[i] = &ms[i].Buffers[0][0]
	}
	_ = b.QUIC().SetReadDeadline(time.Now().Add(5 * time.Second))
	n, err := b.conn.ReadBatch(ms, 0)
	if err != nil || n != 2 {
		t.Fatalf("ReadBatch = %d, %v", n, err)
	}
	for i, want := range []string{"one", "two"} {
		if got := string(ms[i].Buffers[0][1:ms[i].N]); got != want {
			t.Errorf("message %d is %q, want %q", i, got, want)
		}
		if id, ok := b.IdentityOf(ms[i].Addr); !ok || id != a.key.id {
			t.Errorf("message %d is from %v", i, ms[i].Addr)
		}
	}
	for i := range ms {
		if &ms[i].Buffers[0][0] != first[i] {
			t.Errorf("buffer %d changed its place", i)
		}
	}
	if got := b.Counters()["dropped_garbage"]; got != 2 {
		t.Errorf("%d packets of garbage", got)
	}
}

// Where a path is narrow, batches are taken apart, and what is cut arrives whole, beside other packets.
func TestNarrowPathOverKernelSockets(t *testing.T) {
	a := newKernelNode(t, newTestKey(1), "127.0.0.1:0", "127.0.0.1")
	b := newKernelNode(t, newTestKey(2), "127.0.0.1:0", "127.0.0.1")
	a.AddPeer(b.peer())
	b.AddPeer(a.peer())
	conn := dial(t, a.transport, b.transport, b.key.id.UDPAddr())
	push(t, conn, 4<<20) // until QUIC has found the path's size
	a.mu.Lock()
	p := a.core.peers[b.key.id]
	p.sizing.narrow, p.sizing.able, p.sizing.failed, p.sizing.failedAt = true, true, 1<<15, time.Now()
	a.mu.Unlock()
	p.flow.narrow.Store(true)
	sealed, quic := b.Counters()["sealed_received"], b.Counters()["quic_received"]
	push(t, conn, 1<<20)
	after := b.Counters()
	if n := after["sealed_received"] - sealed; n < 2*(1<<20)/1452 {
		t.Errorf("%d sealed packets brought a megabyte in halves", n)
	}
	if n := after["quic_received"] - quic; n < (1<<20)/1452 {
		t.Errorf("%d QUIC packets of a megabyte were rejoined", n)
	}
	if a.conn.leaks.Load()+b.conn.leaks.Load() != 0 {
		t.Error("quic-go saw an address that is no identity")
	}
}

func TestSegmentSize(t *testing.T) {
	gso := unix.CmsgSpace(2)
	b := make([]byte, gso)
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
	h.Level, h.Type = unix.SOL_UDP, unix.UDP_SEGMENT
	h.SetLen(unix.CmsgLen(2))
	binary.NativeEndian.PutUint16(b[unix.CmsgLen(0):], 1400)
	source := sourceControl(netip.MustParseAddr("127.0.0.1"))
	for name, c := range map[string]struct {
		oob  []byte
		want int
	}{
		"nothing": {nil, 0}, "only the source": {source, 0}, "only the size": {b, 1400}, "both": {join(source, b), 1400},
		"cut": {b[:unix.CmsgLen(0)+1], 0},
	} {
		if got := segmentSize(c.oob); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
