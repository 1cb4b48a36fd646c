package light

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/sim/netsim"
	"github.com/micro/micro-net/tunnel"
	"github.com/micro/micro-net/tunnel/quic"
)

var steady = netsim.Link{Latency: testLatency}

func TestConfigNamesWhatIsMissing(t *testing.T) {
	if _, err := New(quic.Config{Self: micronet.NodeID{1}}); micronet.KindOf(err) != micronet.Invalid {
		t.Errorf("New = %v, want Invalid", err)
	}
}

// Neither reads the UDP socket, so that the node has to, nor lacks what a node asks of a tunnel.
func TestPowers(t *testing.T) {
	var tun any = (*Tunnel)(nil)
	if _, ok := tun.(interface{ ReadsSocket() bool }); ok {
		t.Error("the tunnel says who reads the socket")
	}
	if _, ok := tun.(interface{ Ready() <-chan struct{} }); !ok {
		t.Error("the tunnel does not say when it is ready")
	}
}

func TestOpenTakesTwoTrips(t *testing.T) {
	inWorld(t, steady, func(t *testing.T, _ *netsim.World, a, b *testNode) {
		introduce(a, b)
		a.start(t)
		b.start(t)
		out, in := call(t, a, b) // from here on the path is known
		began := time.Now()
		second, err := a.tun.Open(within(t, time.Second), b.id, opening)
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 2*testLatency+time.Millisecond {
			t.Errorf("Open took %v, want a round trip", took)
		}
		if in.From() != a.id {
			t.Errorf("From = %v, want %v", in.From(), a.id)
		}
		infos := a.tun.Connections()
		if len(infos) != 1 || infos[0].Peer != b.id || infos[0].Streams != 2 || infos[0].Remote != b.port ||
			infos[0].Transport != micronet.TransportTCP || infos[0].SentBytes == 0 || infos[0].ReceivedBytes == 0 {
			t.Errorf("Connections = %+v", infos)
		}
		_, _, _ = out.Close(), second.Close(), in.Close()
	})
}

// hidden is a Socket without paths: what is known of peers are their addresses.
type hidden struct{ silent }

func (hidden) Path(micronet.NodeID) (tunnel.PathInfo, bool) { return tunnel.PathInfo{}, false }

func TestAddressesAreTriedInTurn(t *testing.T) {
	inWorld(t, steady, func(t *testing.T, _ *netsim.World, a, b *testNode) {
		introduce(a, b)
		p := b.peer()
		nobody := netip.MustParseAddrPort("10.0.0.77:8085")
		p.Endpoints = []netip.AddrPort{nobody, netip.AddrPortFrom(addrB, 9), b.port}
		a.sock.AddPeer(p)
		a.conf.Socket = hidden{silent{a.sock}}
		a.start(t)
		b.start(t)
		began := time.Now()
		out, in := call(t, a, b)
		if took := time.Since(began); took < attemptBlind || took > attemptBlind+time.Second {
			t.Errorf("the third address was reached after %v", took)
		}
		_, _ = out.Close(), in.Close()
	})
}

// A peer comes up, or becomes known, while a stream to it is being opened.
func TestOpenGoesOnTrying(t *testing.T) {
	inWorld(t, steady, func(t *testing.T, _ *netsim.World, a, b *testNode) {
		introduce(a, b)
		a.start(t)
		time.AfterFunc(3*time.Second, func() { b.start(t) })
		out, err := a.tun.Open(within(t, time.Minute), b.id, opening)
		if err != nil {
			t.Fatalf("Open = %v, want a stream once the peer runs", err)
		}
		_ = out.Close()
	})
}

func TestNobodyAnswers(t *testing.T) {
	inWorld(t, steady, func(t *testing.T, _ *netsim.World, a, b *testNode) {
		introduce(a, b)
		a.start(t)
		for _, to := range []micronet.NodeID{b.id, {9}} {
			began := time.Now()
			_, err := a.tun.Open(t.Context(), to, opening)
			if micronet.KindOf(err) != micronet.Timeout {
				t.Errorf("Open = %v, want Timeout", err)
			}
			if took := time.Since(began); took < dialTime || took > dialTime+time.Second {
				t.Errorf("Open gave up after %v, want %v", took, dialTime)
			}
		}
		if left := a.tun.known(); len(left) != 0 {
			t.Errorf("%d peers are kept after dials that failed", len(left))
		}
	})
}

func TestDisconnectGivesUpDials(t *testing.T) {
	inWorld(t, steady, func(t *testing.T, _ *netsim.World, a, b *testNode) {
		introduce(a, b)
		a.start(t)
		time.AfterFunc(time.Second, func() { a.tun.Disconnect(b.id, "by a test") })
		began := time.Now()
		_, err := a.tun.Open(t.Context(), b.id, opening)
		if micronet.KindOf(err) != micronet.Closed || !strings.Contains(err.Error(), "by a test") || time.Since(began) > time.Second+time.Millisecond {
			t.Errorf("Open = %v after %v, want Closed with the reason after 1s", err, time.Since(began))
		}
	})
}

// A host that was given another identity is not taken for the one before, and tells callers nothing.
func TestWrongCallee(t *testing.T) {
	inWorld(t, steady, func(t *testing.T, _ *netsim.World, a, b *testNode) {
		introduce(a, b)
		before := b.id
		b.id = micronet.NodeID{0: 3, 31: 7}
		b.conf.Self = b.id
		a.start(t)
		b.start(t)
		out, err := a.tun.Open(within(t, time.Minute), before, opening)
		if err != nil {
			t.Fatal(err)
		}
		if err := out.Answered(within(t, time.Minute)); micronet.KindOf(err) != micronet.Unauthorized {
			t.Errorf("Answered = %v, want Unauthorized", err)
		}
		if _, err := out.Read(make([]byte, 1)); micronet.KindOf(err) != micronet.Unauthorized {
			t.Errorf("Read = %v, want Unauthorized", err)
		}
		if _, err := out.Write([]byte("secret")); micronet.KindOf(err) != micronet.Unauthorized {
			t.Errorf("Write = %v, want Unauthorized", err)
		}
		if _, err := b.tun.Accept(within(t, time.Second)); micronet.KindOf(err) != micronet.Timeout {
			t.Errorf("Accept = %v, want nothing", err)
		}
		if got := b.dropped("wrong identity"); got != 1 {
			t.Errorf("%d drops were counted, want 1", got)
		}
		_ = out.Close()
	})
}

// The callee is asked for itself, but another one answers in its place.
func TestImpostor(t *testing.T) {
	inWorld(t, steady, func(t *testing.T, _ *netsim.World, a, b *testNode) {
		introduce(a, b)
		a.start(t)
		l, err := b.net.Listen(t.Context(), netip.AddrPortFrom(netip.IPv6Unspecified(), 8085))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			c, err := l.Accept()
			if err != nil {
				return
			}
			frame := appendGreeting(nil, greeting{from: micronet.NodeID{8}, to: a.id})
			_, _ = c.Write(append(tunnel.AppendAnswer(frame, tunnel.Answer{Accepted: true}), "poison"...))
			_, _ = io.Copy(io.Discard, c)
			_ = c.Close()
		}()
		out, err := a.tun.Open(within(t, time.Minute), b.id, opening)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := out.Read(make([]byte, 9)); n != 0 || micronet.KindOf(err) != micronet.Unauthorized {
			t.Errorf("Read = %d, %v, want nothing and Unauthorized", n, err)
		}
		time.Sleep(time.Second) // the impostor is told
	})
}

// Who is no member cannot open streams; whose introduction is late can.
func TestUnknownCaller(t *testing.T) {
	inWorld(t, steady, func(t *testing.T, _ *netsim.World, a, b *testNode) {
		a.conf.Socket = silent{a.sock} // never introduces itself
		a.sock.AddPeer(b.peer())
		a.start(t)
		b.start(t)
		out, err := a.tun.Open(within(t, time.Minute), b.id, opening)
		if err != nil {
			t.Fatal(err)
		}
		if err := out.Answered(within(t, time.Minute)); micronet.KindOf(err) != micronet.Unauthorized {
			t.Errorf("Answered = %v, want Unauthorized", err)
		}
		_ = out.Close()
		if got := b.dropped("unknown peer"); got != 1 {
			t.Errorf("%d drops were counted, want 1", got)
		}
		time.AfterFunc(time.Second, func() { b.sock.AddPeer(a.peer()) })
		late, in := call(t, a, b)
		_, _ = late.Close(), in.Close()
	})
}

// silent is a Socket that sends no signs of life.
type silent struct{ quic.Socket }

func (s silent) Peer(id micronet.NodeID) (tunnel.Peer, bool) { return s.Socket.(directory).Peer(id) }

// A member whom the callee has not heard of introduces itself before it opens a stream.
func TestIntroduction(t *testing.T) {
	inWorld(t, steady, func(t *testing.T, _ *netsim.World, a, b *testNode) {
		a.sock.AddPeer(b.peer())
		a.start(t)
		b.start(t)
		began := time.Now()
		out, in := call(t, a, b)
		if took := time.Since(began); took > 10*testLatency {
			t.Errorf("the stream took %v, want a few round trips", took)
		}
		_, _ = out.Close(), in.Close()
	})
}

func TestPartition(t *testing.T) {
	for _, c := range []struct {
		name    string
		lasts   time.Duration
		patient time.Duration
		open    micronet.Kind // of a stream opened meanwhile
		goesOn  bool          // the stream that is open
	}{
		{"short", 1500 * time.Millisecond, 10 * time.Second, 0, true},
		{"caller has no time", 1500 * time.Millisecond, time.Second, micronet.Timeout, true},
		{"long", time.Minute, 30 * time.Second, micronet.Timeout, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, steady, func(t *testing.T, w *netsim.World, a, b *testNode) {
				introduce(a, b)
				a.start(t)
				b.start(t)
				out, in := call(t, a, b)
				time.Sleep(5 * time.Second)
				heal := w.Partition([]*netsim.Host{a.host}, []*netsim.Host{b.host})
				time.AfterFunc(c.lasts, heal)
				if _, err := out.Write([]byte("through")); err != nil {
					t.Fatalf("Write = %v", err)
				}
				began := time.Now()
				fresh, err := a.tun.Open(within(t, c.patient), b.id, opening)
				switch {
				case c.open != 0 && (micronet.KindOf(err) != c.open || time.Since(began) > c.patient+time.Second):
					t.Errorf("Open = %v after %v, want %v", err, time.Since(began), c.open)
				case c.open == 0 && err != nil:
					t.Errorf("Open = %v, want a stream after the partition", err)
				case err == nil:
					_ = fresh.Close()
				}
				got := make([]byte, 7)
				_, err = io.ReadFull(in, got)
				if c.goesOn && (err != nil || string(got) != "through") {
					t.Errorf("read %q and %v, want what was written", got, err)
				}
				if !c.goesOn && micronet.KindOf(err) != micronet.Unreachable {
					t.Errorf("Read = %v, want Unreachable", err)
				}
				_, _ = out.Close(), in.Close()
			})
		})
	}
}

// A quiet stream is none that has ended.
func TestQuietPeer(t *testing.T) {
	inWorld(t, netsim.Link{Latency: testLatency, Loss: 0.1}, func(t *testing.T, _ *netsim.World, a, b *testNode) {
		introduce(a, b)
		a.start(t)
		b.start(t)
		out, in := call(t, a, b)
		time.Sleep(10 * time.Minute)
		if ups, downs := a.changes(); ups != 1 || len(downs) != 0 {
			t.Fatalf("%d ups and downs %q in ten quiet minutes, want one up", ups, downs)
		}
		if _, err := out.Write([]byte("x")); err != nil {
			t.Errorf("Write = %v", err)
		}
		if _, err := in.Read(make([]byte, 1)); err != nil {
			t.Errorf("Read = %v", err)
		}
		_, _ = out.Close(), in.Close()
	})
}

func TestCrashedPeer(t *testing.T) {
	inWorld(t, steady, func(t *testing.T, _ *netsim.World, a, b *testNode) {
		introduce(a, b)
		a.start(t)
		l, err := b.net.Listen(t.Context(), netip.AddrPortFrom(netip.IPv6Unspecified(), 8085))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		out, err := a.tun.Open(within(t, time.Minute), b.id, opening)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		began := time.Now()
		b.host.Crash()
		err = out.Answered(within(t, time.Minute))
		if micronet.KindOf(err) != micronet.Unreachable || time.Since(began) > 4*time.Second+testLatency {
			t.Errorf("Answered = %v after %v, want Unreachable within 4s", err, time.Since(began))
		}
		if _, downs := a.changes(); !slices.Equal(downs, []string{"the peer fell silent"}) {
			t.Errorf("downs = %q", downs)
		}
	})
}

// Where datagrams do not get through, streams do not either: they would be QUIC's.
func TestBlockedDatagrams(t *testing.T) {
	inWorld(t, steady, func(t *testing.T, w *netsim.World, a, b *testNode) {
		introduce(a, b)
		a.start(t)
		b.start(t)
		out, in := call(t, a, b)
		time.Sleep(10 * time.Second)
		w.SetFirewall(b.host, netsim.Firewall{BlockUDP: true})
		began := time.Now()
		if _, err := out.Read(make([]byte, 1)); micronet.KindOf(err) != micronet.Unreachable || time.Since(began) > 4*time.Second {
			t.Errorf("Read = %v after %v, want Unreachable within 4s", err, time.Since(began))
		}
		if _, err := in.Read(make([]byte, 1)); err == nil {
			t.Error("Read succeeded")
		}
		if _, err := a.tun.Open(t.Context(), b.id, opening); micronet.KindOf(err) != micronet.Timeout {
			t.Errorf("Open = %v, want Timeout", err)
		}
		w.SetFirewall(b.host, netsim.Firewall{})
		out, in = call(t, a, b)
		_, _ = out.Close(), in.Close()
	})
}

// Refusals and last words arrive although their stream is closed at once and packets get lost.
func TestLastWordsSurviveLoss(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			link := netsim.Link{Latency: testLatency, Jitter: time.Millisecond, Loss: 0.2}
			w := newSeededWorld(t, link, seed)
			a, b := newNode(t, w, "a", addrA, 1), newNode(t, w, "b", addrB, 2)
			introduce(a, b)
			a.start(t)
			b.start(t)
			refused := openPatiently(t, a, b)
			if _, err := refused.Write([]byte("unread")); err != nil {
				t.Fatal(err)
			}
			in, err := b.tun.Accept(within(t, time.Minute))
			if err != nil {
				t.Fatal(err)
			}
			_ = in.Refuse(micronet.NotFound, "no such thing")
			if err := refused.Answered(within(t, time.Minute)); micronet.KindOf(err) != micronet.NotFound {
				t.Errorf("seed %d: Answered = %v, want NotFound", seed, err)
			}
			_ = refused.Close()
		})
	}
}

func openPatiently(t *testing.T, a, b *testNode) tunnel.Outbound {
	t.Helper()
	for range 5 {
		if out, err := a.tun.Open(within(t, time.Minute), b.id, opening); err == nil {
			return out
		}
	}
	t.Fatal("five streams could not be opened")
	return nil
}

func TestInboundQueueIsBounded(t *testing.T) {
	inWorld(t, steady, func(t *testing.T, _ *netsim.World, a, b *testNode) {
		introduce(a, b)
		a.start(t)
		b.start(t)
		var outs []tunnel.Outbound
		for range InboundQueue + 1 {
			out, err := a.tun.Open(within(t, time.Minute), b.id, opening)
			if err != nil {
				t.Fatal(err)
			}
			outs = append(outs, out)
		}
		if err := outs[InboundQueue].Answered(within(t, time.Minute)); micronet.KindOf(err) != micronet.Overloaded {
			t.Errorf("Answered = %v, want Overloaded", err)
		}
		if got := b.dropped("inbound queue full"); got != 1 {
			t.Errorf("%d drops were counted, want 1", got)
		}
	})
}

// Connections that say nothing keep others out for a while, and are given up.
func TestUnreadOpeningsAreBounded(t *testing.T) {
	inWorld(t, steady, func(t *testing.T, _ *netsim.World, a, b *testNode) {
		introduce(a, b)
		a.start(t)
		b.start(t)
		for range maxWaiting / 64 {
			var group sync.WaitGroup
			for range 64 {
				group.Go(func() {
					c, err := a.net.Dial(t.Context(), netip.Addr{}, b.port)
					if err != nil {
						t.Error(err)
						return
					}
					t.Cleanup(func() { _ = c.Close() })
				})
			}
			group.Wait()
			time.Sleep(2 * testLatency) // until they are accepted
		}
		out, err := a.tun.Open(within(t, time.Minute), b.id, opening)
		if err != nil {
			t.Fatal(err)
		}
		if err := out.Answered(within(t, time.Minute)); micronet.KindOf(err) != micronet.Overloaded {
			t.Errorf("Answered = %v, want Overloaded", err)
		}
		_ = out.Close()
		if got := b.dropped("too many streams wait for their opening"); got != 1 {
			t.Errorf("%d drops were counted, want 1", got)
		}
		time.Sleep(openingTime)
		if used := len(b.tun.waiting); used != 0 {
			t.Errorf("%d of %d silent connections are kept", used, maxWaiting)
		}
		if got := b.dropped("no valid opening"); got != maxWaiting {
			t.Errorf("%d drops were counted, want %d", got, maxWaiting)
		}
		again, in := call(t, a, b)
		_, _ = again.Close(), in.Close()
	})
}

func TestIdlePeersAreForgotten(t *testing.T) {
	inWorld(t, steady, func(t *testing.T, _ *netsim.World, a, b *testNode) {
		introduce(a, b)
		a.start(t)
		b.start(t)
		out, in := call(t, a, b)
		_, _ = out.Close(), in.Close()
		time.Sleep(quic.DefaultIdle / 2)
		if got := len(a.tun.Connections()); got != 1 {
			t.Errorf("%d connections soon after the last stream, want 1", got)
		}
		time.Sleep(quic.DefaultIdle)
		if got := len(a.tun.Connections()) + len(a.tun.known()) + len(b.tun.known()); got != 0 {
			t.Errorf("%d peers are kept long after the last stream", got)
		}
		if ups, downs := a.changes(); ups != 1 || !slices.Equal(downs, []string{"idle"}) {
			t.Errorf("%d ups and downs %q, want one of each", ups, downs)
		}
	})
}

// A closed stream is kept until its peer has ended it too, and not for long.
func TestLingeringIsBounded(t *testing.T) {
	inWorld(t, steady, func(t *testing.T, _ *netsim.World, a, b *testNode) {
		introduce(a, b)
		a.start(t)
		b.start(t)
		out, in := call(t, a, b)
		_ = out.Close()
		time.Sleep(time.Second)
		if got := len(a.tun.lingering); got != 1 {
			t.Errorf("%d streams linger, want the one whose peer goes on", got)
		}
		time.Sleep(lingerTime)
		if got := len(a.tun.lingering); got != 0 {
			t.Errorf("%d streams linger for ever", got)
		}
		_ = in.Close()
		out, in = call(t, a, b)
		_, _ = out.Close(), in.Close()
		time.Sleep(3 * testLatency)
		if got := len(a.tun.lingering) + len(b.tun.lingering); got != 0 {
			t.Errorf("%d streams linger although both ends are closed", got)
		}
	})
}

// The end of Run ends everything at once, whatever is under way; a goroutine left over would fail the
// bubble.
func TestEndOfRun(t *testing.T) {
	inWorld(t, steady, func(t *testing.T, _ *netsim.World, a, b *testNode) {
		introduce(a, b)
		a.start(t)
		b.start(t)
		_, _ = call(t, a, b) // open
		out, _ := call(t, a, b)
		_ = out.Close() // lingering
		var group sync.WaitGroup
		group.Go(func() { // being dialled
			if _, err := a.tun.Open(t.Context(), micronet.NodeID{9}, opening); !errors.Is(err, context.Canceled) && micronet.KindOf(err) != micronet.Closed {
				t.Errorf("Open = %v, want Closed", err)
			}
		})
		c, err := b.net.Dial(t.Context(), netip.Addr{}, a.port) // without an opening
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		time.Sleep(100 * time.Millisecond)
		began := time.Now()
		a.stop()
		group.Wait()
		if took := time.Since(began); took > time.Millisecond {
			t.Errorf("the end took %v", took)
		}
	})
}
