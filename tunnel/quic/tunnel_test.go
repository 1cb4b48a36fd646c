package quic

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
	"github.com/micro/micro-net/tunnel/tunneltest"
	quicgo "github.com/quic-go/quic-go"
)

var control = tunnel.Opening{Purpose: tunnel.PurposeControl}

// bubble runs a test with two nodes, 10 ms apart, in virtual time. b echoes.
func bubble(t *testing.T, test func(t *testing.T, m *memNet, a, b *testNode)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(10 * time.Millisecond)
		a := startNode(t, m, tunneltest.NewIdentity(t, 1), "10.0.0.1:8085", nil)
		b := startNode(t, m, tunneltest.NewIdentity(t, 2), "10.0.0.2:8085", nil)
		a.serveEcho(t)
		b.serveEcho(t)
		test(t, m, a, b)
	})
}

// ping sends a word over a new stream and wants it back.
func ping(t *testing.T, from, to *testNode) {
	t.Helper()
	s := openEcho(t, from, to)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// openEcho returns a stream over which one echo has come back.
func openEcho(t *testing.T, from, to *testNode) tunnel.Outbound {
	t.Helper()
	s, err := from.Open(t.Context(), to.ID, control)
	if err != nil {
		t.Fatalf("Open = %v", err)
	}
	got := make([]byte, 4)
	if _, err = s.Write([]byte("ping")); err == nil {
		_, err = io.ReadFull(s, got)
	}
	if err != nil || string(got) != "ping" {
		t.Fatalf("echo = %q, %v", got, err)
	}
	return s
}

func TestFirstByteTakesTwoRoundTrips(t *testing.T) {
	bubble(t, func(t *testing.T, _ *memNet, a, b *testNode) {
		began := time.Now()
		s := openEcho(t, a, b)
		if took := time.Since(began); took < 40*time.Millisecond || took > 45*time.Millisecond {
			t.Errorf("dial and echo took %v, want the two round trips of 20ms", took)
		}
		began = time.Now()
		s2 := openEcho(t, a, b)
		if took := time.Since(began); took < 20*time.Millisecond || took > 25*time.Millisecond {
			t.Errorf("open and echo took %v, want the one round trip of 20ms", took)
		}
		_ = errors.Join(s.Close(), s2.Close())
	})
}

func TestSilentPeer(t *testing.T) {
	bubble(t, func(t *testing.T, m *memNet, a, b *testNode) {
		s := openEcho(t, a, b)
		time.Sleep(10 * time.Second) // keep-alives hold it
		m.silence(b.conn, true)
		began := time.Now()
		_, err := s.Read(make([]byte, 1))
		if took := time.Since(began); took < time.Second || took > 3500*time.Millisecond {
			t.Errorf("silence was noticed after %v, want at most 3.5s", took)
		}
		if micronet.KindOf(err) != micronet.Unreachable || tunnel.IsReset(err) {
			t.Errorf("Read = %v, want Unreachable and no reset", err)
		}
		synctest.Wait()
		if ups, downs := a.changes(); ups != 1 || len(downs) != 1 {
			t.Errorf("ups, downs = %d, %q, want 1 of each", ups, downs)
		}
		// A dial into the silence says what to look at.
		_, err = a.Open(t.Context(), b.ID, control)
		if micronet.KindOf(err) != micronet.Timeout || !strings.Contains(err.Error(), "UDP or TCP 8085") {
			t.Errorf("Open = %v, want Timeout with advice", err)
		}
		m.silence(b.conn, false)
		ping(t, a, b)
		_ = s.Close()
	})
}

func TestAnsweredFromSilentPeer(t *testing.T) {
	bubble(t, func(t *testing.T, m *memNet, a, b *testNode) {
		ping(t, a, b)
		m.silence(b.conn, true)
		s, err := a.Open(t.Context(), b.ID, control)
		if err != nil {
			t.Fatalf("Open = %v, want success, as the silence is not known", err)
		}
		if err := s.Answered(t.Context()); micronet.KindOf(err) != micronet.Unreachable {
			t.Errorf("Answered = %v, want Unreachable", err)
		}
		_ = s.Close()
	})
}

func TestSimultaneousDial(t *testing.T) {
	bubble(t, func(t *testing.T, _ *memNet, a, b *testNode) {
		var streams [2]tunnel.Outbound
		var group sync.WaitGroup
		for i, n := range []*testNode{a, b} {
			other := []*testNode{b, a}[i]
			group.Go(func() { streams[i] = openEcho(t, n, other) })
		}
		group.Wait()
		for _, n := range []*testNode{a, b} {
			if got := len(n.Connections()); got != 2 {
				t.Fatalf("%d connections after both dialled at once, want 2", got)
			}
		}
		// Both send new streams over the one that the smaller id dialled.
		for i, n := range []*testNode{a, b} {
			other := []*testNode{b, a}[i]
			l, err := n.reserve(t.Context(), other.ID)
			if err != nil || l.dialled != (n.ID.Compare(other.ID) < 0) {
				t.Errorf("node %d: best connection dialled here: %v, %v", i, l.dialled, err)
			}
			l.release()
		}
		// The other lives as long as its stream.
		time.Sleep(20 * time.Second)
		if got := len(a.Connections()); got != 2 {
			t.Errorf("%d connections while both carry a stream, want 2", got)
		}
		_ = errors.Join(streams[0].Close(), streams[1].Close())
		time.Sleep(2*linger + time.Second)
		for _, n := range []*testNode{a, b} {
			if infos := n.Connections(); len(infos) != 1 {
				t.Errorf("%d connections after the streams ended, want 1", len(infos))
			}
			if ups, downs := n.changes(); ups != 1 || len(downs) != 0 {
				t.Errorf("ups, downs = %d, %q, want 1 and none", ups, downs)
			}
		}
	})
}

func TestIdleCloseAndReopen(t *testing.T) {
	bubble(t, func(t *testing.T, _ *memNet, a, b *testNode) {
		ping(t, a, b)
		time.Sleep(55 * time.Second)
		if got := len(a.Connections()); got != 1 {
			_, downs := a.changes()
			t.Fatalf("%d connections after 55s, want 1: %q", got, downs)
		}
		time.Sleep(12 * time.Second)
		for _, n := range []*testNode{a, b} {
			if got := len(n.Connections()); got != 0 {
				t.Errorf("%d connections after 67s, want 0", got)
			}
			if ups, downs := n.changes(); ups != 1 || len(downs) != 1 || !strings.Contains(downs[0], "idle") {
				t.Errorf("ups, downs = %d, %q, want 1, and 1 for idleness", ups, downs)
			}
		}
		ping(t, b, a)
	})
}

func TestOpenNearTheEndOfIdleTime(t *testing.T) {
	for _, after := range []time.Duration{53, 55, 58, 59, 60, 61, 64, 65, 66} {
		t.Run(fmt.Sprint(int64(after)), func(t *testing.T) {
			bubble(t, func(t *testing.T, _ *memNet, a, b *testNode) {
				ping(t, a, b)
				time.Sleep(after*time.Second - 15*time.Millisecond)
				for range 30 {
					ping(t, b, a)
					time.Sleep(time.Millisecond)
				}
				s := openEcho(t, a, b)
				time.Sleep(2 * DefaultIdle)
				if _, err := s.Write([]byte("ping")); err != nil {
					t.Errorf("a connection with a stream was closed: %v", err)
				}
				_ = s.Close()
			})
		})
	}
}

func TestPeerRestarts(t *testing.T) {
	for _, keep := range []bool{false, true} {
		t.Run(fmt.Sprintf("ResetKey=%v", keep), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMemNet(10 * time.Millisecond)
				withKey := func(c *Config) {
					if keep {
						c.ResetKey = &[32]byte{7}
					}
				}
				a := startNode(t, m, tunneltest.NewIdentity(t, 1), "10.0.0.1:8085", nil)
				b := startNode(t, m, tunneltest.NewIdentity(t, 2), "10.0.0.2:8085", withKey)
				b.serveEcho(t)
				s := openEcho(t, a, b)
				m.silence(b.conn, true) // it dies without a word
				b.stop()
				b = startNode(t, m, b.Identity, "10.0.0.2:8085", withKey)
				b.serveEcho(t)
				began := time.Now()
				if _, err := s.Write(make([]byte, 100)); err != nil {
					t.Fatal(err)
				}
				_, err := s.Read(make([]byte, 1))
				took := time.Since(began)
				if keep && (took > 25*time.Millisecond || !tunnel.IsReset(err)) {
					t.Errorf("the restart was noticed after %v with %v, want a reset after one round trip", took, err)
				}
				if !keep && (took > 3500*time.Millisecond || micronet.KindOf(err) != micronet.Unreachable) {
					t.Errorf("the restart was noticed after %v with %v, want Unreachable within 3.5s", took, err)
				}
				_ = s.Close()
				ping(t, a, b)
			})
		})
	}
}

func TestRestartedPeerDials(t *testing.T) {
	bubble(t, func(t *testing.T, m *memNet, a, b *testNode) {
		s := openEcho(t, a, b)
		time.Sleep(15 * time.Second)
		m.silence(b.conn, true)
		b.stop()
		b = startNode(t, m, b.Identity, "10.0.0.2:8085", nil)
		b.serveEcho(t)
		ping(t, b, a)
		began := time.Now()
		ping(t, a, b) // over the connection that the restarted peer dialled
		if took := time.Since(began); took > 25*time.Millisecond {
			t.Errorf("a stream to the restarted peer took %v, want one round trip", took)
		}
		_ = s.Close()
	})
}

func TestOpenRedialsDeadConnection(t *testing.T) {
	bubble(t, func(t *testing.T, _ *memNet, a, b *testNode) {
		ping(t, a, b)
		l, err := a.reserve(t.Context(), b.ID)
		if err != nil {
			t.Fatal(err)
		}
		l.release()
		// The connection dies, and Open finds it in the table before anybody has taken it out.
		_ = l.conn.CloseWithError(linkIdle, "by a test")
		s, err := a.Open(t.Context(), b.ID, control)
		if err != nil {
			t.Fatalf("Open = %v, want a new connection", err)
		}
		_ = s.Close()
	})
}

func TestQ1_WrongIdentity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(10 * time.Millisecond)
		a := startNode(t, m, tunneltest.NewIdentity(t, 1), "10.0.0.1:8085", nil)
		b := startNode(t, m, tunneltest.NewIdentity(t, 2), "10.0.0.2:8085", nil)
		// Somebody with another key sits at the address that stands for c.
		c := tunneltest.NewIdentity(t, 3)
		liar := tunneltest.NewIdentity(t, 4)
		liar.ID = c.ID
		l := startNode(t, m, liar, "10.0.0.3:8085", nil)
		_, err := a.Open(t.Context(), c.ID, control)
		if micronet.KindOf(err) != micronet.Unauthorized {
			t.Errorf("Open to a liar = %v, want Unauthorized", err)
		}
		s, err := l.Open(t.Context(), b.ID, control)
		if err == nil { // the client's handshake is done before the server has seen who it is
			err = s.Answered(t.Context())
			_ = s.Close()
		}
		if micronet.KindOf(err) != micronet.Unauthorized {
			t.Errorf("a liar's Open = %v, want Unauthorized", err)
		}
		synctest.Wait()
		if got := b.dropped("wrong identity"); got != 1 {
			t.Errorf("%d reports of a wrong identity, want 1", got)
		}
		if ups, _ := b.changes(); ups != 0 {
			t.Errorf("a liar's connection was taken %d times", ups)
		}
	})
}

func TestQ1_UnknownAddressIsNoMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(10 * time.Millisecond)
		b := startNode(t, m, tunneltest.NewIdentity(t, 2), "10.0.0.2:8085", func(c *Config) { c.Guest = &greeter{Identity: tunneltest.NewIdentity(t, 2)} })
		who := tunneltest.NewIdentity(t, 1)
		tr := &quicgo.Transport{Conn: m.socket(who.ID, "10.0.0.9:1", true)}
		defer tr.Close()
		conn, err := tr.Dial(t.Context(), net.UDPAddrFromAddrPort(b.conn.real), tunnel.Harden(who.Client(b.ID), ALPN), guestConfig())
		if err != nil {
			t.Fatal(err)
		}
		<-conn.Context().Done()
		err = explain("test", b.ID, context.Cause(conn.Context()))
		if micronet.KindOf(err) != micronet.Unauthorized {
			t.Errorf("a stranger's connection ended with %v, want Unauthorized", err)
		}
	})
}

func TestH1_Garbage(t *testing.T) {
	bubble(t, func(t *testing.T, m *memNet, a, b *testNode) {
		s := openEcho(t, a, b)
		junk := make([]byte, 1200)
		for i := range 2000 {
			for j := range junk {
				junk[j] = byte(i*31 + j*i>>3)
			}
			m.send(a.conn, junk[:i%1200], b.ID.Addr())
		}
		time.Sleep(time.Second)
		ping(t, a, b)
		_ = s.Close()
	})
}

func TestH23_GarbageInsteadOfOpening(t *testing.T) {
	bubble(t, func(t *testing.T, _ *memNet, a, b *testNode) {
		l, err := a.reserve(t.Context(), b.ID)
		if err != nil {
			t.Fatal(err)
		}
		defer l.release()
		q, err := l.conn.OpenStreamSync(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := q.Write([]byte("GET / HTTP/1.1\r\n")); err != nil {
			t.Fatal(err)
		}
		if _, err := q.Read(make([]byte, 1)); !tunnel.IsReset(explain("test", b.ID, err)) {
			t.Errorf("Read = %v, want a reset", err)
		}
		if got := b.dropped("no valid opening"); got != 1 {
			t.Errorf("%d drops, want 1", got)
		}
		ping(t, a, b)
	})
}

func TestH23_LateOpening(t *testing.T) {
	bubble(t, func(t *testing.T, _ *memNet, a, b *testNode) {
		l, err := a.reserve(t.Context(), b.ID)
		if err != nil {
			t.Fatal(err)
		}
		defer l.release()
		var streams []*quicgo.Stream
		for range maxWaitingPerLink + 1 {
			q, err := l.conn.OpenStreamSync(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := q.Write([]byte{1}); err != nil { // the version, and no more
				t.Fatal(err)
			}
			streams = append(streams, q)
		}
		began := time.Now()
		time.Sleep(100 * time.Millisecond)
		if got := b.dropped("too many streams wait for their opening"); got != 1 {
			t.Errorf("%d drops for too many waiting, want 1", got)
		}
		if _, err := streams[0].Read(make([]byte, 1)); err == nil {
			t.Error("Read succeeded")
		}
		if took := time.Since(began); took < openingTime || took > openingTime+200*time.Millisecond {
			t.Errorf("a stream without opening was reset after %v, want %v", took, openingTime)
		}
		time.Sleep(time.Second)
		if got := b.dropped("no valid opening"); got != maxWaitingPerLink {
			t.Errorf("%d drops, want %d", got, maxWaitingPerLink)
		}
		ping(t, a, b)
	})
}

func TestH24_InboundQueueOverflows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(10 * time.Millisecond)
		a := startNode(t, m, tunneltest.NewIdentity(t, 1), "10.0.0.1:8085", nil)
		b := startNode(t, m, tunneltest.NewIdentity(t, 2), "10.0.0.2:8085", nil) // accepts nothing
		var refused int
		for range InboundQueue + 3 {
			s, err := a.Open(t.Context(), b.ID, control)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
			switch err := s.Answered(ctx); micronet.KindOf(err) {
			case micronet.Overloaded:
				refused++
			case micronet.Timeout:
			default:
				t.Fatalf("Answered = %v", err)
			}
			cancel()
		}
		if got := b.dropped("inbound queue full"); refused != 3 || got != 3 {
			t.Errorf("refused, dropped = %d, %d, want 3, 3", refused, got)
		}
	})
}

func TestConnectionInfo(t *testing.T) {
	bubble(t, func(t *testing.T, _ *memNet, a, b *testNode) {
		s := openEcho(t, a, b)
		infos := a.Connections()
		if len(infos) != 1 {
			t.Fatalf("Connections = %+v", infos)
		}
		i := infos[0]
		if i.Peer != b.ID || i.Remote != b.conn.real || i.Streams != 1 || i.MTU != 1200 ||
			i.Transport != micronet.TransportQUIC || i.Path != micronet.PathDirect {
			t.Errorf("info = %+v", i)
		}
		if i.RTT < 20*time.Millisecond || i.RTT > 25*time.Millisecond || i.SentBytes == 0 || i.ReceivedBytes == 0 {
			t.Errorf("RTT, bytes = %v, %d, %d", i.RTT, i.SentBytes, i.ReceivedBytes)
		}
		_ = s.Close()
		if got := a.Connections()[0].Streams; got != 0 {
			t.Errorf("%d streams after Close, want 0", got)
		}
	})
}

func TestH24_TooManyConnectionsFromOnePeer(t *testing.T) {
	bubble(t, func(t *testing.T, _ *memNet, a, b *testNode) {
		for range maxLinks + 3 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if _, err := a.connect(ctx, b.ID); err != nil {
				t.Fatal(err)
			}
			cancel()
		}
		time.Sleep(100 * time.Millisecond)
		if got := len(b.Connections()); got != maxLinks {
			t.Errorf("%d connections, want %d", got, maxLinks)
		}
		ping(t, b, a)
	})
}

// A process that was stopped while a dial ended finds a connection that counts as idle already.
func TestDialThatIsIdleAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, _ *memNet, a, b *testNode) {
		synctest.Wait() // nobody reads it now
		a.idle = 0
		_, err := a.Open(t.Context(), b.ID, control)
		if micronet.KindOf(err) != micronet.Closed || !strings.Contains(err.Error(), "idle") {
			t.Errorf("Open = %v, want Closed", err)
		}
	})
}

// A connection may have come up, been used and ended before the goroutine that dialled it goes on.
func TestOpenAfterAConnectionThatWasShort(t *testing.T) {
	bubble(t, func(t *testing.T, _ *memNet, a, b *testNode) {
		ping(t, a, b)
		a.Tunnel.mu.Lock()
		l := a.peers[b.ID].links[0]
		a.removeLocked(l, "for the test")
		stalled := &dial{cancel: func(error) {}}
		a.peerLocked(b.ID).dial = stalled
		a.Tunnel.mu.Unlock()
		if _, ok := a.add(l); !ok {
			t.Fatal("the tunnel has ended")
		}
		b.Disconnect(a.ID, "soon")
		time.Sleep(100 * time.Millisecond)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		s, err := a.Open(ctx, b.ID, control)
		if err != nil {
			t.Fatalf("Open = %v", err)
		}
		_ = s.Close()
	})
}

func TestDisconnectEndsDial(t *testing.T) {
	bubble(t, func(t *testing.T, m *memNet, a, b *testNode) {
		m.silence(b.conn, true)
		time.AfterFunc(100*time.Millisecond, func() { a.Disconnect(b.ID, "revoked") })
		began := time.Now()
		_, err := a.Open(t.Context(), b.ID, control)
		if micronet.KindOf(err) != micronet.Closed || !strings.Contains(err.Error(), "revoked") {
			t.Errorf("Open = %v, want Closed with the reason", err)
		}
		if took := time.Since(began); took > 200*time.Millisecond {
			t.Errorf("the dial ended after %v, want 100ms", took)
		}
	})
}

func TestLongReasonReachesPeer(t *testing.T) {
	bubble(t, func(t *testing.T, _ *memNet, a, b *testNode) {
		s := openEcho(t, a, b)
		b.Disconnect(a.ID, strings.Repeat("ä", 2000))
		_, err := s.Read(make([]byte, 1))
		if !tunnel.IsReset(err) || !strings.HasSuffix(err.Error(), strings.Repeat("ä", maxWords/2)) {
			t.Errorf("Read = %v, want a reset with the first words", err)
		}
		_ = s.Close()
	})
}

func TestNewRefusesIncompleteConfig(t *testing.T) {
	if _, err := New(Config{}); micronet.KindOf(err) != micronet.Invalid {
		t.Errorf("New = %v, want Invalid", err)
	}
}

func TestSocketFailureEndsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(0)
		who := tunneltest.NewIdentity(t, 1)
		conn := m.socket(who.ID, "10.0.0.1:1", false)
		tun, err := New(Config{Self: who.ID, Socket: conn, TLS: who})
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, func() { _ = conn.Close() })
		if err := tun.Run(t.Context()); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Run = %v, want net.ErrClosed", err)
		}
	})
}

func TestBetter(t *testing.T) {
	t0 := time.Unix(1000, 0)
	small, large := micronet.NodeID{1}, micronet.NodeID{2}
	at := func(s int, dialled bool) facts {
		return facts{dialled: dialled, since: t0.Add(time.Duration(s) * time.Second)}
	}
	for _, c := range []struct {
		name string
		self micronet.NodeID
		a, b facts
		want bool
	}{
		{"newer of the same side", small, at(1, true), at(0, true), true},
		{"older of the same side", small, at(0, false), at(1, false), false},
		{"at once: dialled by the smaller, here", small, at(0, true), at(3, false), true},
		{"at once: dialled by the larger, there", small, at(3, false), at(0, true), false},
		{"at once: dialled by the smaller, there", large, at(0, false), at(3, true), true},
		{"at once: dialled by the larger, here", large, at(3, true), at(0, false), false},
		{"much newer wins, whoever dialled", small, at(30, false), at(0, true), true},
		{"much older loses, whoever dialled", large, at(0, false), at(30, true), false},
	} {
		peer := large
		if c.self == large {
			peer = small
		}
		if got := better(c.self, peer, c.a, c.b); got != c.want {
			t.Errorf("%s: better = %v, want %v", c.name, got, c.want)
		}
		if got := better(c.self, peer, c.b, c.a); got == c.want {
			t.Errorf("%s: better is not antisymmetric", c.name)
		}
	}
}

func TestUsableAndSpent(t *testing.T) {
	now, idle := time.Unix(1000, 0), time.Minute
	ago := func(s int, streams int) facts {
		return facts{used: now.Add(-time.Duration(s) * time.Second), streams: streams, served: true}
	}
	gossip := func(s int) facts { return facts{used: now.Add(-time.Duration(s) * time.Second)} }
	for _, c := range []struct {
		f      facts
		lost   bool
		usable bool
		spent  string
	}{
		{ago(0, 0), false, true, ""},
		{ago(53, 0), false, true, ""},
		{ago(54, 0), false, false, ""},
		{ago(60, 0), false, false, "idle"},
		{ago(60, 1), false, true, ""},
		{gossip(8), false, true, ""},
		{gossip(9), false, false, ""},
		{gossip(10), false, false, "idle"},
		{ago(60, 1), true, true, ""},
		{ago(4, 0), true, true, ""},
		{ago(5, 0), true, true, "another connection took over"},
	} {
		if got := c.f.usable(now, idle); got != c.usable {
			t.Errorf("usable(%+v) = %v, want %v", c.f, got, c.usable)
		}
		if got := c.f.spent(now, idle, c.lost); got != c.spent {
			t.Errorf("spent(%+v, lost %v) = %q, want %q", c.f, c.lost, got, c.spent)
		}
	}
}

func TestExplain(t *testing.T) {
	for _, c := range []struct {
		err   error
		kind  micronet.Kind
		reset bool
	}{
		{&quicgo.StreamError{ErrorCode: streamAborted, Remote: true}, micronet.Closed, true},
		{&quicgo.StreamError{ErrorCode: streamDone, Remote: true}, micronet.Closed, false},
		{&quicgo.StreamError{ErrorCode: streamAborted}, micronet.Closed, false},
		{&quicgo.StreamError{ErrorCode: streamOverload, Remote: true}, micronet.Overloaded, false},
		{&quicgo.ApplicationError{ErrorCode: linkStopped, Remote: true}, micronet.Closed, true},
		{&quicgo.ApplicationError{ErrorCode: linkStopped}, micronet.Closed, false},
		{&quicgo.ApplicationError{ErrorCode: linkUnauthorized, Remote: true}, micronet.Unauthorized, false},
		{&quicgo.ApplicationError{ErrorCode: linkOverloaded, Remote: true}, micronet.Overloaded, false},
		{&quicgo.TransportError{ErrorCode: 0x100 + 42, Remote: true}, micronet.Unauthorized, false},
		{&quicgo.TransportError{ErrorCode: quicgo.ConnectionRefused}, micronet.Overloaded, false},
		{&quicgo.TransportError{ErrorCode: quicgo.FlowControlError}, micronet.Internal, false},
		{&quicgo.IdleTimeoutError{}, micronet.Unreachable, false},
		{&quicgo.HandshakeTimeoutError{}, micronet.Timeout, false},
		{&quicgo.StatelessResetError{}, micronet.Closed, true},
		{quicgo.ErrTransportClosed, micronet.Closed, false},
		{context.DeadlineExceeded, micronet.Timeout, false},
		{context.Canceled, micronet.Closed, false},
	} {
		got := explain("test", micronet.NodeID{}, c.err)
		if micronet.KindOf(got) != c.kind || tunnel.IsReset(got) != c.reset {
			t.Errorf("explain(%T %v) = %v, want %v, reset %v", c.err, c.err, got, c.kind, c.reset)
		}
	}
	if got := explain("test", micronet.NodeID{}, io.EOF); got != io.EOF {
		t.Errorf("explain(io.EOF) = %v", got)
	}
}

// TestFaultLeavesNoLockHeld: a fault within Disconnect is caught by whoever cuts a node off.
func TestFaultLeavesNoLockHeld(t *testing.T) {
	id := micronet.NodeID{1}
	tun := &Tunnel{peers: map[micronet.NodeID]*peer{id: {dial: &dial{}}}} // one that cannot be cancelled
	func() {
		defer func() {
			if recover() == nil {
				t.Error("there was no fault")
			}
		}()
		tun.Disconnect(id, "revoked")
	}()
	if !tun.mu.TryLock() {
		t.Error("the lock is held")
	}
}
