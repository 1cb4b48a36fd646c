package lane

import (
	"bytes"
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
)

// offTheLane has the path lead over TCP, so that sessions go on below.
func offTheLane(a, b *testNode) {
	a.paths.(*field).setPath(b.self, func(p *tunnel.PathInfo) { p.TCP = true })
	time.Sleep(time.Second)
}

func onTheLane(a, b *testNode) {
	a.paths.(*field).setPath(b.self, func(p *tunnel.PathInfo) { p.TCP = false })
}

func TestRefusedSessionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t)
		start(t, a, b)
		for range 5 {
			out, err := a.Open(t.Context(), b.self, program)
			if err != nil {
				t.Fatal(err)
			}
			in, err := b.Accept(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := in.Refuse(micronet.Overloaded, "no"); err != nil {
				t.Error(err)
			}
			if err := out.Answered(t.Context()); micronet.KindOf(err) != micronet.Overloaded {
				t.Errorf("Answered = %v", err)
			}
			_ = out.Close()
			time.Sleep(time.Second)
			if left(a)+left(b) != 0 {
				t.Fatalf("%d and %d sessions are left", left(a), left(b))
			}
		}
	})
}

// TestWordsArriveBelow: the last word of a session that is on a stream is delivered before that ends.
func TestWordsArriveBelow(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, out tunnel.Outbound, in tunnel.Inbound){
		"caller aborts": func(t *testing.T, out tunnel.Outbound, in tunnel.Inbound) {
			t.Helper()
			out.Abort()
			if _, err := in.Read(make([]byte, 1)); !tunnel.IsReset(err) {
				t.Errorf("Read = %v, want a reset", err)
			}
		},
		"callee aborts": func(t *testing.T, out tunnel.Outbound, in tunnel.Inbound) {
			t.Helper()
			in.Abort()
			if _, err := out.Read(make([]byte, 1)); !tunnel.IsReset(err) {
				t.Errorf("Read = %v, want a reset", err)
			}
		},
		"both close": func(t *testing.T, out tunnel.Outbound, in tunnel.Inbound) { t.Helper(); finish(t, out, in) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := pair(t)
				start(t, a, b)
				out, in := call(t, a, b)
				say(t, out, in, "hello")
				offTheLane(a, b)
				began := time.Now()
				end(t, out, in)
				time.Sleep(100 * time.Millisecond)
				if took := time.Since(began); took > 200*time.Millisecond || left(a)+left(b) != 0 {
					t.Errorf("after %v %d and %d sessions are left", took, left(a), left(b))
				}
			})
		})
	}
}

func TestIdleLanesAreNotDeaf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t)
		start(t, a, b)
		a.warm(b.self)
		for range 20 {
			time.Sleep(10*time.Second + 7*time.Millisecond)
			a.warm(b.self)
			out, in := call(t, a, b)
			time.Sleep(2 * tick)
			if !onLane(t, out) || a.Counters()["moved"] != 0 {
				t.Fatalf("a healthy lane was left: %v", a.Counters())
			}
			finish(t, out, in)
		}
	})
}

// TestSessionsComeBack: a session that was below for long is back on a lane when the path is near again.
func TestSessionsComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t)
		start(t, a, b)
		out, in := call(t, a, b)
		say(t, out, in, "hello")
		offTheLane(a, b)
		time.Sleep(againMost + time.Minute)
		onTheLane(a, b)
		time.Sleep(settled + 4*tick)
		if !onLane(t, out) {
			t.Error("the stream is on no lane")
		}
		transfer(t, out, in, 100_000)
		finish(t, out, in)
		time.Sleep(2 * againMost)
		a.mu.Lock()
		defer a.mu.Unlock()
		if len(a.peers) != 0 {
			t.Errorf("%+v is kept of a peer that nobody talks to", a.peers[b.self])
		}
	})
}

// TestDialsInVainBackOff: dials that failed together count once, and a peer that hangs up after the handshake does not look
// like one that takes lanes.
func TestDialsInVainBackOff(t *testing.T) {
	for name, spoil := range map[string]func(b *testNode){
		"nobody listens": func(b *testNode) { _ = b.ln.Close() },
		"full": func(b *testNode) {
			b.mu.Lock()
			defer b.mu.Unlock()
			for range maxLanes {
				c := newCarrier(b.Tunnel, micronet.NodeID{9}, nil, &tunnel.Gather{}, false)
				c.hang, c.bye = func() {}, func() {}
				b.carriers[c] = true
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := pair(t)
				start(t, a, b)
				spoil(b)
				for range 8 {
					out, err := a.Tunnel.Open(t.Context(), b.self, program)
					if err != nil {
						t.Fatal(err)
					}
					out.Abort()
					time.Sleep(500 * time.Millisecond)
				}
				a.mu.Lock()
				defer a.mu.Unlock()
				if l := a.peers[b.self]; l.pause != againFirst || l.proved || l.dialling != 0 || a.counts.dialled.Load() > maxDials {
					t.Errorf("after 4 s: %+v, %d dials", l, a.counts.dialled.Load())
				}
			})
		})
	}
}

func TestStopSendsTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t)
		start(t, a, b)
		out, in := call(t, a, b)
		say(t, out, in, "hello")
		if err := in.Close(); err != nil {
			t.Error(err)
		}
		expectEnd(t, out)
		time.Sleep(time.Second)
		if left(b) != 0 {
			t.Error("the session of who has closed is still there")
		}
		if err := out.CloseWrite(); micronet.KindOf(err) != micronet.Closed {
			t.Errorf("CloseWrite = %v, want Closed", err)
		}
		_ = out.Close()
	})
}

// broken takes no byte.
type broken struct{ bytes.Reader }

func (*broken) Write([]byte) (int, error) { return 0, errors.New("broken") }

// TestAbortOnABrokenLane: an aborted session whose reset could not be sent is told when the peer asks for it, and forgotten
// otherwise.
func TestAbortOnABrokenLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeerless(t, false)
		open := append(make([]byte, 16), openingBytes(t)...)
		p.c.rw = &broken{}
		p.c.read(&reading{in: bytes.NewReader(shortFrame(kindOpen, 1, 0, open...))})
		in, err := p.Accept(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		in.Abort()
		synctest.Wait()
		p.lose(p.c)
		time.Sleep(orphanTime + tick)
		p.look(time.Now())
		if left(&testNode{Tunnel: p.Tunnel}) != 0 {
			t.Error("the session is still there")
		}
		var said bytes.Buffer
		other := newCarrier(p.Tunnel, p.c.peer, readWriter{nil, &said}, nil, false)
		other.hang = func() {}
		other.read(&reading{in: bytes.NewReader(resumption{move: 1}.frame(1, 0))})
		synctest.Wait()
		if want := goneFrame(1, endedBadly, p.life); !bytes.Equal(said.Bytes(), want) {
			t.Errorf("the peer was told %x, want %x", said.Bytes(), want)
		}
	})
}

func TestPast(t *testing.T) {
	p := past{of: map[key]byte{}}
	now := time.Now()
	k := func(i int) key { return key{id: sessionID{byte(i), byte(i >> 8)}} }
	if got := p.was(k(0), now); got != neverWas {
		t.Errorf("was = %d of one that never was", got)
	}
	for i := range maxEnded + 1 {
		p.note(k(i), i%2 == 1, now)
	}
	for i, want := range map[int]byte{1: endedWell, 2: endedBadly, 0: endedBadly, 5000: endedBadly} {
		if got := p.was(k(i), now); got != want {
			t.Errorf("was(%d) = %d, want %d", i, got, want)
		}
	}
	if got := p.was(k(5000), now.Add(askedFor)); got != neverWas {
		t.Errorf("was = %d after %v, want %d", got, askedFor, neverWas)
	}
	if len(p.of) != maxEnded {
		t.Errorf("%d are kept", len(p.of))
	}
}

// TestDisconnectWhileOneBegins: a session that is about to begin below when its peer is disconnected does not begin, and is
// counted nowhere.
func TestDisconnectWhileOneBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t)
		start(t, a, b)
		a.warm(b.self)
		a.mu.Lock()
		a.peers[b.self].idle = nil
		a.mu.Unlock()
		way, _ := a.paths.Path(b.self)
		s := newSession(a.Tunnel, key{peer: b.self, ours: true, id: sessionID{1}})
		if got := a.enlist(s, way); got != awaiting {
			t.Fatalf("enlist = %d, want %d", got, awaiting)
		}
		a.Disconnect(b.self, "test")
		a.warm(b.self)
		if err := a.beginBelow(t.Context(), s); micronet.KindOf(err) != micronet.Closed {
			t.Errorf("beginBelow = %v, want Closed", err)
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		if n := a.peers[b.self].below; n != 0 || len(a.sessions) != 0 {
			t.Errorf("%d are counted, %d sessions are there", n, len(a.sessions))
		}
	})
}

// TestLookingForACarrierAtTheEnd: a session without a carrier is left to Run when that ends: it ends with the error that all have.
func TestLookingForACarrierAtTheEnd(t *testing.T) {
	p := newPeerless(t, true)
	s := p.session(t)
	s.detach(p.c)
	ctx, cancel := context.WithCancel(p.ctx)
	p.ctx = ctx
	cancel()
	p.resume(s)
	s.mu.Lock()
	err := s.readErr
	s.mu.Unlock()
	if err != nil || left(&testNode{Tunnel: p.Tunnel}) != 1 {
		t.Errorf("it has ended with %v", err)
	}
	p.stop()
	if _, err := s.read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Read = %v, want net.ErrClosed", err)
	}
	p.group.Wait()
}
