package lane

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/sim/netsim"
	"github.com/micro/micro-net/tunnel"
	"github.com/micro/micro-net/tunnel/tunneltest"
)

var program = tunnel.Opening{Purpose: tunnel.PurposeService, Service: "web"}

// start runs nodes until the test ends.
func start(t *testing.T, nodes ...*testNode) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	for _, n := range nodes {
		group.Go(func() {
			if err := n.Run(ctx); err != nil {
				t.Errorf("Run = %v", err)
			}
		})
		<-n.Ready()
	}
	t.Cleanup(func() { cancel(); group.Wait() })
}

// call opens a stream and accepts it at the other side.
func call(t *testing.T, a, b *testNode) (tunnel.Outbound, tunnel.Inbound) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	out, err := a.Open(ctx, b.self, program)
	if err != nil {
		t.Fatal(err)
	}
	in, err := b.Accept(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Accept(); err != nil {
		t.Fatal(err)
	}
	return out, in
}

// onLane reports whether a stream is on a lane now.
func onLane(t *testing.T, c net.Conn) bool {
	t.Helper()
	s := sessionOf(t, c)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.carrier != nil && s.carrier.isLane()
}

func sessionOf(t *testing.T, c net.Conn) *session {
	t.Helper()
	switch c := c.(type) {
	case *outbound:
		return c.s
	case *inbound:
		return c.s
	}
	t.Fatalf("%T is no session", c)
	return nil
}

// laneOf is the carrier that a stream is on, nil for none.
func laneOf(t *testing.T, c net.Conn) *carrier {
	t.Helper()
	s := sessionOf(t, c)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.carrier
}

// left is how many sessions a node has.
func left(n *testNode) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.sessions)
}

func say(t *testing.T, from, to net.Conn, word string) {
	t.Helper()
	if _, err := io.WriteString(from, word); err != nil {
		t.Fatalf("Write = %v", err)
	}
	got := make([]byte, len(word))
	if _, err := io.ReadFull(to, got); err != nil || string(got) != word {
		t.Fatalf("read %q and %v, want %q", got, err, word)
	}
}

// expectEnd reads the end of a stream.
func expectEnd(t *testing.T, c net.Conn) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("Read = %d, %v, want the end", n, err)
	}
}

func finish(t *testing.T, out, in net.Conn) {
	t.Helper()
	for _, c := range []net.Conn{in, out} {
		if err := c.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
	}
}

func TestLanesAreUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t)
		start(t, a, b)
		for range 300 {
			out, in := call(t, a, b)
			if !onLane(t, out) {
				t.Fatal("a stream of a program did not go over a lane")
			}
			say(t, out, in, "question")
			say(t, in, out, "answer")
			finish(t, out, in)
			time.Sleep(10 * time.Millisecond)
		}
		if n := a.Counters(); n["dialled"] > spareLanes+2 || n["sessions"] != 300 || n["moved"] != 0 {
			t.Errorf("counters = %v, want 300 sessions over at most %d lanes", n, spareLanes+2)
		}
		if left(a)+left(b) != 0 {
			t.Errorf("%d and %d sessions are left", left(a), left(b))
		}
	})
}

// transfer sends n bytes of a seed each way at the same time, and checks what comes.
func transfer(t *testing.T, out, in net.Conn, n int) {
	t.Helper()
	var group sync.WaitGroup
	for i, way := range [][2]net.Conn{{out, in}, {in, out}} {
		want := make([]byte, n)
		_, _ = rand.NewChaCha8([32]byte{byte(i)}).Read(want)
		group.Go(func() {
			for rest := want; len(rest) > 0; {
				k := min(len(rest), 1+len(rest)%70_000)
				if _, err := way[0].Write(rest[:k]); err != nil {
					t.Errorf("Write = %v", err)
					return
				}
				rest = rest[k:]
			}
			if err := way[0].(tunnel.Stream).CloseWrite(); err != nil {
				t.Errorf("CloseWrite = %v", err)
			}
		})
		group.Go(func() {
			if got, err := io.ReadAll(way[1]); err != nil || !bytes.Equal(got, want) {
				t.Errorf("way %d: read %d bytes and %v, want %d and the end", i, len(got), err, n)
			}
		})
	}
	group.Wait()
}

// TestSessionsOutliveLanes cuts lanes while streams run over them, at moments drawn from seeds.
func TestSessionsOutliveLanes(t *testing.T) {
	for seed := range uint64(12) {
		synctest.Test(t, func(t *testing.T) {
			a, b := pair(t)
			start(t, a, b)
			draw := rand.New(rand.NewPCG(seed, 1))
			var group sync.WaitGroup
			for range 3 {
				out, in := call(t, a, b)
				group.Go(func() {
					transfer(t, out, in, 2<<20)
					finish(t, out, in)
				})
				for range draw.IntN(4) {
					time.Sleep(time.Duration(draw.IntN(30_000)) * time.Microsecond)
					victim := out
					if c := laneOf(t, victim); c != nil {
						c.end()
					}
				}
			}
			group.Wait()
			time.Sleep(orphanTime + time.Second)
			if n := a.Counters(); left(a)+left(b) != 0 {
				t.Errorf("seed %d: %d and %d sessions are left (%v)", seed, left(a), left(b), n)
			}
		})
		if t.Failed() {
			return
		}
	}
}

// TestSilentLanesAreLeft: what goes over TCP gets lost from one moment on, and nobody says so.
func TestSilentLanesAreLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cut, a, b := pairOn(t)
		start(t, a, b)
		for _, c := range []struct {
			name     string
			from, to int
		}{{"caller", 0, 1}, {"callee", 1, 0}} {
			nodes := []*testNode{a, b}
			out, in := call(t, a, b)
			say(t, out, in, "hello")
			for !onLane(t, out) {
				time.Sleep(tick)
			}
			time.Sleep(tick)
			heal := cut(nodes[c.from], nodes[c.to])
			began := time.Now()
			both := []net.Conn{out, in}
			say(t, both[c.from], both[c.to], "is anybody there")
			if took := time.Since(began); took > deafAfter+2*tick+time.Second || onLane(t, out) {
				t.Errorf("%s: bytes took %v, lane: %v", c.name, took, onLane(t, out))
			}
			time.Sleep(2 * time.Second)
			if onLane(t, out) {
				t.Errorf("%s: the stream is on another lane that leads nowhere", c.name)
			}
			heal()
			time.Sleep(2 * againFirst)
			transfer(t, out, in, 1<<20)
			finish(t, out, in)
		}
	})
}

func TestLanesFollowThePath(t *testing.T) {
	for name, change := range map[string]func(*tunnel.PathInfo){
		"relay":   func(p *tunnel.PathInfo) { p.Relay = micronet.NodeID{7} },
		"TCP":     func(p *tunnel.PathInfo) { p.TCP = true },
		"in vain": func(p *tunnel.PathInfo) { p.InVain = true },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := pair(t)
				start(t, a, b)
				out, in := call(t, a, b)
				a.paths.(*field).setPath(b.self, change)
				time.Sleep(tick + 10*time.Millisecond)
				if onLane(t, out) {
					t.Error("the stream is on a lane although the path leads elsewhere")
				}
				transfer(t, out, in, 2<<20)
				finish(t, out, in)
				if plain, err := a.Tunnel.Open(t.Context(), b.self, program); err != nil {
					t.Error(err)
				} else if _, lane := plain.(*outbound); lane {
					t.Error("a new stream went over a lane")
				} else {
					plain.Abort()
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t)
		start(t, a, b)
		a.paths.(*field).setPath(b.self, func(p *tunnel.PathInfo) { p.RTT = 5 * time.Millisecond })
		if a.warm(b.self) {
			t.Error("a path of 5 ms got lanes")
		}
		a.paths.(*field).setPath(b.self, func(p *tunnel.PathInfo) { p.RTT = time.Millisecond })
		out, in := call(t, a, b)
		a.paths.(*field).setPath(b.self, func(p *tunnel.PathInfo) { p.RTT = 5 * time.Millisecond })
		time.Sleep(2 * tick)
		if !onLane(t, out) || !a.warm(b.self) {
			t.Error("a path that load makes slower lost its lanes")
		}
		finish(t, out, in)
	})
}

func TestResetsFreeTheLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t)
		start(t, a, b)
		for i := range 100 {
			out, in := call(t, a, b)
			say(t, out, in, "hello")
			if i%2 == 0 {
				out.Abort()
				if _, err := in.Read(make([]byte, 1)); !tunnel.IsReset(err) {
					t.Fatalf("Read = %v, want a reset", err)
				}
			} else {
				in.Abort()
				if _, err := out.Read(make([]byte, 1)); !tunnel.IsReset(err) {
					t.Fatalf("Read = %v, want a reset", err)
				}
			}
			finish(t, out, in)
			time.Sleep(10 * time.Millisecond)
		}
		if n := a.Counters(); n["dialled"] > spareLanes+2 {
			t.Errorf("counters = %v, want at most %d lanes dialled", n, spareLanes+2)
		}
	})
}

// TestRestartedPeer: a session whose other end has begun a new life is reset, however little of it was carried.
func TestRestartedPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, hosts := world(t, netsim.Link{Latency: 500 * time.Microsecond})
		f := newField()
		a := f.newNode(t, hosts[0].Env(), tunneltest.NewIdentity(t, 1), "10.0.0.1:8085")
		start(t, a)
		who := tunneltest.NewIdentity(t, 2)
		b := f.newNode(t, hosts[1].Env(), who, "10.0.0.2:8085")
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() { _ = b.Run(ctx) })
		<-b.Ready()
		fresh, _ := a.Open(t.Context(), who.ID, program)
		out, in := call(t, a, b)
		say(t, out, in, "hello")
		cancel()
		group.Wait()
		again := f.newNode(t, hosts[1].Env(), who, "10.0.0.2:8085")
		start(t, again)
		for name, c := range map[string]tunnel.Outbound{"used": out, "fresh": fresh} {
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s: Read = %v, want a reset", name, err)
			}
		}
	})
}

func TestLanesGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t)
		start(t, a, b)
		out, in := call(t, a, b)
		finish(t, out, in)
		if n := len(a.Connections()); n < 1 {
			t.Errorf("%d connections, want lanes", n)
		}
		time.Sleep(2*spareFor + time.Second)
		if n := a.Counters()["open"]; n != 0 {
			t.Errorf("%d lanes are open that nobody has used for %v", n, 2*spareFor)
		}
		out, in = call(t, a, b)
		old := laneOf(t, out)
		for range 13 {
			time.Sleep(time.Minute)
			say(t, out, in, "still here")
		}
		finish(t, out, in)
		out, in = call(t, a, b)
		if laneOf(t, out) == old {
			t.Errorf("a lane older than %v took another session", maxAge)
		}
		finish(t, out, in)
	})
}

func TestUnreachablePeerEndsSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cut, a, b := pairOn(t)
		start(t, a, b)
		out, in := call(t, a, b)
		cut(a, b)
		a.paths.(*field).sever()
		began := time.Now()
		_, err := in.Read(make([]byte, 1))
		if err == nil || time.Since(began) > 2*deafAfter+orphanTime+2*time.Second {
			t.Errorf("Read = %v after %v", err, time.Since(began))
		}
		out.Abort()
	})
}

// TestSessionsBeginAgain: what the lane lost before the other side saw anything of it begins anew below, with all that was
// written meanwhile.
func TestSessionsBeginAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cut, a, b := pairOn(t)
		start(t, a, b)
		if !a.warm(b.self) {
			t.Fatal("no lane")
		}
		time.Sleep(tick)
		heal := cut(a, b)
		defer heal()
		out, err := a.Open(t.Context(), b.self, program)
		if err != nil || !onLane(t, out) {
			t.Fatalf("Open = %v, over a lane: %v", err, err == nil && onLane(t, out))
		}
		hello := strings.Repeat("hello, ", 80)
		if _, err := io.WriteString(out, hello); err != nil {
			t.Fatal(err)
		}
		var group sync.WaitGroup
		group.Go(func() {
			in, err := b.Accept(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			if err := in.Accept(); err != nil {
				t.Error(err)
			}
			got := make([]byte, len(hello))
			if _, err := io.ReadFull(in, got); err != nil || string(got) != hello {
				t.Errorf("read %q and %v", got, err)
			}
			transfer(t, out, in, 300_000)
			finish(t, out, in)
		})
		group.Wait()
	})
}

// TestSessionsMoveToLanes: connections that found no lane get one while they run, and lose nothing by it.
func TestSessionsMoveToLanes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t)
		start(t, a, b)
		a.warm(b.self)
		time.Sleep(2 * settled)
		var group sync.WaitGroup
		below := 0
		for range 20 {
			out, err := a.Tunnel.Open(t.Context(), b.self, program)
			if err != nil {
				t.Fatal(err)
			}
			if !onLane(t, out) {
				below++
			}
			in, err := b.Accept(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := in.Accept(); err != nil {
				t.Fatal(err)
			}
			group.Go(func() {
				say(t, out, in, "hello")
				time.Sleep(time.Second)
				if !onLane(t, out) {
					t.Error("a stream is on no lane after a second")
				}
				transfer(t, out, in, 400_000)
				finish(t, out, in)
			})
		}
		group.Wait()
		if below == 0 {
			t.Error("all streams found a lane at once: nothing was tested")
		}
		time.Sleep(time.Second)
		if left(a)+left(b) != 0 {
			t.Errorf("%d and %d sessions are left", left(a), left(b))
		}
	})
}

// TestSessionsMoveToAndFro: lanes come and go while streams run.
func TestSessionsMoveToAndFro(t *testing.T) {
	for seed := range uint64(5) {
		synctest.Test(t, func(t *testing.T) {
			a, b := pair(t)
			start(t, a, b)
			draw := rand.New(rand.NewPCG(seed, 2))
			out, in := call(t, a, b)
			done := make(chan struct{})
			var group sync.WaitGroup
			group.Go(func() {
				transfer(t, slow{out}, slow{in}, 4<<20)
				close(done)
			})
			for running := true; running; {
				select {
				case <-done:
					running = false
				case <-time.After(time.Duration(draw.IntN(1500)) * time.Millisecond):
					if c := laneOf(t, out); c != nil && c.isLane() {
						c.end()
					}
				}
			}
			group.Wait()
			finish(t, out, in)
			if n := a.Counters()["moved"]; n < 3 {
				t.Errorf("seed %d: moved %d times, want more", seed, n)
			}
		})
	}
}

// slow is a stream whose user writes a little at a time.
type slow struct{ net.Conn }

func (s slow) Write(p []byte) (int, error) {
	time.Sleep(80 * time.Millisecond)
	return s.Conn.Write(p)
}

func (s slow) CloseWrite() error { return s.Conn.(tunnel.Stream).CloseWrite() }
func (s slow) Abort()            { s.Conn.(tunnel.Stream).Abort() }
