package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	micronet "github.com/micro/micro-net"
)

// behaviour is what a simulated node does with a stream.
type behaviour int

const (
	accepts         behaviour = iota
	acceptsLate               // after 600 ms
	acceptsVeryLate           // after 2 s
	refuses                   // at once
	refusesLate               // after 120 ms, having read what came
	denies                    // by policy
	silent                    // reads and never answers
	deaf                      // never answers, never reads
	unopened                  // the opening frame cannot be sent: OpenService waits for ctx
	unreachable               // OpenService fails at once
	breaks                    // reads, then the stream is reset before an answer
	behaviours
)

// mesh is a set of nodes with one instance each, numbered from 1, behind Routes and Opener.
type mesh struct {
	t     testing.TB
	does  []behaviour // by node, [0] is unused
	fresh map[byte]bool

	mu       sync.Mutex
	got      map[byte][]byte // payload that a node read and did not refuse
	opened   []byte          // nodes, in the order of their opening frames
	picked   int
	returned map[byte][]Outcome
	wg       sync.WaitGroup
}

func newMesh(t testing.TB, does ...behaviour) *mesh {
	return &mesh{
		t: t, does: append([]behaviour{0}, does...), fresh: map[byte]bool{},
		got: map[byte][]byte{}, returned: map[byte][]Outcome{},
	}
}

func (m *mesh) allFresh() *mesh {
	for i := range m.does {
		m.fresh[byte(i)] = true
	}
	return m
}

func nodeID(i byte) micronet.NodeID { return micronet.NodeID{i} }

func (m *mesh) Pick(_ time.Time, _ micronet.Destination, tried []micronet.InstanceKey) (Ticket, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := byte(1); int(i) < len(m.does); i++ {
		r := micronet.Route{Node: nodeID(i), NodeName: fmt.Sprint("n", i), Instance: micronet.Instance{ID: "x", Service: "web"}}
		if slices.Contains(tried, r.Key()) {
			continue
		}
		m.picked++
		done := false
		return Ticket{Route: r, Done: func(_ time.Time, o Outcome) {
			m.mu.Lock()
			defer m.mu.Unlock()
			if done {
				m.t.Errorf("the ticket of node %d was given back twice", i)
			}
			done = true
			m.returned[i] = append(m.returned[i], o)
		}}, nil
	}
	return Ticket{}, micronet.E("mesh.pick", micronet.Unreachable, "all were tried")
}

func (m *mesh) Fresh(id micronet.NodeID) bool { return m.fresh[id[0]] }

func (m *mesh) OpenService(ctx context.Context, r micronet.Route, _ micronet.Caller) (Opened, error) {
	i := r.Node[0]
	switch m.does[i] {
	case unreachable:
		return nil, micronet.E("mesh.open", micronet.Unreachable, "no way to %d", i)
	case unopened:
		<-ctx.Done()
		return nil, micronet.E("mesh.open", micronet.Timeout, "%w", ctx.Err())
	}
	m.mu.Lock()
	m.opened = append(m.opened, i)
	m.mu.Unlock()
	mine, theirs := memStreams()
	m.wg.Go(func() { m.node(i, theirs, mine) })
	return mine, nil
}

// node plays the far daemon and its backend, which answers an end of input with "from N".
func (m *mesh) node(i byte, s, caller *memStream) {
	switch m.does[i] {
	case accepts:
		time.Sleep(3 * time.Millisecond)
	case acceptsLate:
		time.Sleep(600 * time.Millisecond)
	case acceptsVeryLate:
		time.Sleep(2 * time.Second)
	case refuses:
		time.Sleep(3 * time.Millisecond)
		s.answer(caller, micronet.E("tunnel.open", micronet.NotFound, "nobody listens"))
		return
	case denies:
		s.answer(caller, micronet.E("tunnel.open", micronet.Refused, "policy no-c"))
		return
	case refusesLate:
		s.memConn.SetReadDeadline(time.Now().Add(120 * time.Millisecond))
		io.Copy(io.Discard, s.memConn)
		s.answer(caller, micronet.E("tunnel.open", micronet.NotFound, "nobody listens"))
		return
	case deaf:
		<-caller.closed
		return
	case breaks:
		buf := make([]byte, 1000)
		s.memConn.SetReadDeadline(time.Now().Add(40 * time.Millisecond))
		n, _ := s.memConn.Read(buf)
		m.note(i, buf[:n])
		caller.err = micronet.E("mesh.answer", micronet.Closed, "reset")
		close(s.answered)
		s.memConn.Abort()
		return
	}
	if m.does[i] != silent {
		s.answer(caller, nil)
	}
	m.backend(i, s, caller)
}

func (m *mesh) backend(i byte, s, caller *memStream) {
	buf := make([]byte, 4096)
	for {
		n, err := s.memConn.Read(buf)
		m.note(i, buf[:n])
		if err == io.EOF && m.does[i] != silent {
			fmt.Fprintf(s.memConn, "from %d", i)
			s.memConn.CloseWrite()
		}
		if err != nil {
			if err != io.EOF || m.does[i] != silent {
				return
			}
			<-caller.closed
			return
		}
	}
}

func (m *mesh) note(i byte, p []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(p) > 0 {
		m.got[i] = append(m.got[i], p...)
	}
}

func (m *mesh) dialer() *Dialer {
	return NewDialer(DialerConfig{Routes: m, Opener: m, Self: nodeID(255)})
}

// world runs f in a bubble with a running Dialer, and checks afterwards that every ticket was
// given back and every flow has ended.
func (m *mesh) run(t *testing.T, f func(d *Dialer)) {
	t.Helper()
	d := m.dialer()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); d.Run(ctx) }()
	f(d)
	cancel()
	<-ended
	if n := d.cfg.Flows.Active(); n != 0 {
		t.Errorf("%d flows are still open", n)
	}
	returned := 0
	for _, o := range m.returned {
		returned += len(o)
	}
	if returned != m.picked {
		t.Errorf("%d tickets were given back of %d", returned, m.picked)
	}
}

// ask sends payload, half-closes and returns the answer, how long it took, and what went wrong.
func ask(d *Dialer, payload []byte) (string, time.Duration, error) {
	began := time.Now()
	c, err := d.Dial(context.Background(), micronet.Destination{Service: "web"}, micronet.Caller{})
	if err != nil {
		return "", time.Since(began), err
	}
	defer c.Close()
	if _, err := c.Write(payload); err != nil {
		return "", time.Since(began), err
	}
	if err := c.CloseWrite(); err != nil {
		return "", time.Since(began), err
	}
	out, err := io.ReadAll(c)
	return string(out), time.Since(began), err
}

func TestFailOver(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		name    string
		does    []behaviour
		fresh   bool
		payload string
		want    string        // the answer, "" for an error
		kind    micronet.Kind // of the error
		within  time.Duration
		ejected []byte // nodes whose instance was reported failed
	}{
		{"first accepts", []behaviour{accepts, accepts}, false, "hi", "from 1", 0, 5 * ms, nil},
		{"first accepts, fresh", []behaviour{accepts, accepts}, true, "hi", "from 1", 0, 5 * ms, nil},
		{"refused", []behaviour{refuses, accepts}, false, "hi", "from 2", 0, 10 * ms, []byte{1}},
		{"refused, fresh, replayed", []behaviour{refuses, accepts}, true, "hi", "from 2", 0, 10 * ms, []byte{1}},
		{"refused late, fresh, replayed", []behaviour{refusesLate, accepts}, true, "hi", "from 2", 0, 130 * ms, []byte{1}},
		{"silent, not fresh", []behaviour{silent, accepts}, false, "hi", "from 2", 0, 255 * ms, []byte{1}},
		{"deaf, not fresh", []behaviour{deaf, accepts}, false, "hi", "from 2", 0, 255 * ms, []byte{1}},
		{"unopened", []behaviour{unopened, accepts}, false, "hi", "from 2", 0, 255 * ms, []byte{1}},
		{"unopened, fresh", []behaviour{unopened, accepts}, true, "hi", "from 2", 0, 255 * ms, []byte{1}},
		{"unreachable", []behaviour{unreachable, unreachable, accepts}, true, "hi", "from 3", 0, 5 * ms, []byte{1, 2}},
		{"late, not fresh, alone", []behaviour{acceptsLate}, false, "hi", "from 1", 0, 605 * ms, nil},
		{"late, fresh", []behaviour{acceptsLate, accepts}, true, "hi", "from 1", 0, 605 * ms, nil},
		{"silent after payload", []behaviour{silent, accepts}, true, "hi", "", micronet.Timeout, 2501 * ms, []byte{1}},
		{"late after payload", []behaviour{acceptsVeryLate, accepts}, true, "hi", "from 1", 0, 2005 * ms, []byte{1}},
		{"broken after payload", []behaviour{breaks, accepts}, true, "hi", "", micronet.Unreachable, 41 * ms, []byte{1}},
		{"denied everywhere", []behaviour{denies, denies}, true, "hi", "", micronet.Refused, 5 * ms, nil},
		{"refused everywhere", []behaviour{refuses, refuses}, true, "hi", "", micronet.Unreachable, 10 * ms, []byte{1, 2}},
		{"silent, alone", []behaviour{silent}, false, "hi", "", micronet.Timeout, 3001 * ms, []byte{1}},
		{"five attempts", []behaviour{refuses, refuses, refuses, refuses, refuses, accepts}, false, "hi", "", micronet.Unreachable, 20 * ms, []byte{1, 2, 3, 4, 5}},
		{"nothing there", nil, false, "hi", "", micronet.Unreachable, ms, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMesh(t, c.does...)
				if c.fresh {
					m.allFresh()
				}
				m.run(t, func(d *Dialer) {
					got, took, err := ask(d, []byte(c.payload))
					switch {
					case c.want != "" && (got != c.want || err != nil):
						t.Errorf("answer = %q, %v, want %q", got, err, c.want)
					case c.want == "" && (err == nil || micronet.KindOf(err) != c.kind):
						t.Errorf("answer = %q, %v, want kind %v", got, err, c.kind)
					}
					if took > c.within {
						t.Errorf("took %v, want at most %v", took, c.within)
					}
				})
				m.wg.Wait()
				var ejected []byte
				for i := byte(1); int(i) < len(m.does); i++ {
					for _, o := range m.returned[i] {
						if o.Failed {
							ejected = append(ejected, i)
						}
					}
				}
				if !slices.Equal(ejected, c.ejected) {
					t.Errorf("ejected = %v, want %v", ejected, c.ejected)
				}
			})
		})
	}
}

// A silent fresh node that was sent nothing but the opening frame costs a second, not the
// connection.
func TestSilentWithoutPayload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t, silent, accepts).allFresh()
		m.run(t, func(d *Dialer) {
			c, err := d.Dial(t.Context(), micronet.Destination{Service: "web"}, micronet.Caller{})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			began := time.Now()
			if err := c.Answered(t.Context()); err != nil || c.Route().Node != nodeID(2) {
				t.Errorf("Answered = %v with node %v, want nil with node 2", err, c.Route().Node[0])
			}
			if took := time.Since(began); took < time.Second || took > 1010*time.Millisecond {
				t.Errorf("took %v, want a second", took)
			}
		})
		m.wg.Wait()
	})
}

// Thousands of seeded worlds: whatever the nodes do, the payload is at one node at most, and
// whoever answers has got all of it.
func TestNothingIsSentTwice(t *testing.T) {
	trials := 2000
	if testing.Short() {
		trials = 300
	}
	answered, failed, replayed := 0, 0, 0
	synctest.Test(t, func(t *testing.T) {
		for seed := range trials {
			rng := rand.New(rand.NewPCG(uint64(seed), 1))
			m := newMesh(t)
			for i := range 1 + rng.IntN(6) {
				m.does = append(m.does, behaviour(rng.IntN(int(behaviours))))
				m.fresh[byte(i+1)] = rng.IntN(2) == 0
			}
			payload := make([]byte, 1+rng.IntN(100_000))
			for i := range payload {
				payload[i] = byte(rng.Uint32())
			}
			ok := false
			m.run(t, func(d *Dialer) { ok = chat(t, d, rng, payload) })
			m.wg.Wait()
			holders := 0
			for i, got := range m.got {
				holders++
				if !bytes.HasPrefix(payload, got) {
					t.Fatalf("seed %d: node %d got other bytes than were sent", seed, i)
				}
				if m.does[i] < refuses && ok && len(got) != len(payload) {
					t.Fatalf("seed %d: node %d answered after %d bytes of %d", seed, i, len(got), len(payload))
				}
			}
			if holders > 1 {
				t.Fatalf("seed %d: the payload reached %d nodes: %v", seed, holders, m.does)
			}
			if ok {
				answered++
				if len(m.opened) > 1 {
					replayed++
				}
			} else {
				failed++
			}
		}
	})
	t.Logf("%d answered, %d of them by another instance, %d failed", answered, replayed, failed)
	if replayed < trials/20 {
		t.Errorf("only %d of %d trials failed over: the test has lost its point", replayed, trials)
	}
}

// chat writes payload in pieces and at intervals while another goroutine reads.
func chat(t *testing.T, d *Dialer, rng *rand.Rand, payload []byte) bool {
	c, err := d.Dial(t.Context(), micronet.Destination{Service: "web"}, micronet.Caller{})
	if err != nil {
		return false
	}
	var out []byte
	var rerr error
	var wg sync.WaitGroup
	wg.Go(func() { out, rerr = io.ReadAll(c) })
	var werr error
	for rest := payload; len(rest) > 0 && werr == nil; {
		n := 1 + rng.IntN(len(rest))
		_, werr = c.Write(rest[:n])
		rest = rest[n:]
		time.Sleep(time.Duration(rng.IntN(3)) * 70 * time.Millisecond)
	}
	if werr == nil {
		werr = c.CloseWrite()
	}
	if werr != nil {
		c.Abort()
	}
	wg.Wait()
	c.Close()
	return werr == nil && rerr == nil && bytes.HasPrefix(out, []byte("from "))
}

// What is written before the answer is bounded; the writer waits for the answer.
func TestEarlyWritesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t, acceptsLate).allFresh()
		m.run(t, func(d *Dialer) {
			c, _ := d.Dial(t.Context(), micronet.Destination{Service: "web"}, micronet.Caller{})
			defer c.Close()
			began := time.Now()
			if n, err := c.Write(make([]byte, maxKept)); n != maxKept || err != nil || time.Since(began) != 0 {
				t.Errorf("Write of all that is kept = %d, %v after %v, want it at once", n, err, time.Since(began))
			}
			if n, err := c.Write([]byte("x")); n != 1 || err != nil || time.Since(began) != 600*time.Millisecond {
				t.Errorf("one byte more = %d, %v after %v, want it with the answer", n, err, time.Since(began))
			}
		})
		m.wg.Wait()
	})
}

func TestDeadlinesBeforeTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t, acceptsLate).allFresh()
		m.run(t, func(d *Dialer) {
			c, _ := d.Dial(t.Context(), micronet.Destination{Service: "web"}, micronet.Caller{})
			defer c.Close()
			began := time.Now()
			c.SetDeadline(began.Add(100 * time.Millisecond))
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != 100*time.Millisecond {
				t.Errorf("Read = %v after %v, want the deadline after 100ms", err, time.Since(began))
			}
			time.Sleep(time.Millisecond)
			if n, err := c.Write([]byte("x")); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("Write = %d, %v, want the deadline", n, err)
			}
			c.SetDeadline(time.Time{})
			c.Write([]byte("x"))
			c.CloseWrite()
			if out, err := io.ReadAll(c); string(out) != "from 1" || err != nil {
				t.Errorf("then = %q, %v", out, err)
			}
		})
		m.wg.Wait()
	})
}

// Closing before the answer, and the end of Run, leave nothing behind.
func TestCloseBeforeTheAnswer(t *testing.T) {
	for name, end := range map[string]func(Conn){"close": func(c Conn) { c.Close() }, "abort": Conn.Abort, "run ends": func(Conn) {}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMesh(t, deaf, accepts).allFresh()
				m.run(t, func(d *Dialer) {
					c, err := d.Dial(t.Context(), micronet.Destination{Service: "web"}, micronet.Caller{})
					if err != nil {
						t.Fatal(err)
					}
					c.Write([]byte("x"))
					end(c)
				})
				for _, o := range m.returned[1] {
					if o.Failed {
						t.Error("the instance was blamed for its caller's leaving")
					}
					if o.Err == nil {
						t.Error("the instance was praised, and never answered")
					}
				}
				synctest.Wait()
			})
		})
	}
}

func TestDialAfterRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t, accepts).allFresh()
		var after *Dialer
		m.run(t, func(d *Dialer) { after = d })
		if _, err := after.Dial(t.Context(), micronet.Destination{Service: "web"}, micronet.Caller{}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Dial after the end of Run = %v, want net.ErrClosed", err)
		}
		m.wg.Wait()
	})
}

func TestDialHonoursContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t, unopened, accepts)
		m.run(t, func(d *Dialer) {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			_, err := d.Dial(ctx, micronet.Destination{Service: "web"}, micronet.Caller{})
			if micronet.KindOf(err) != micronet.Timeout || len(m.opened) != 0 {
				t.Errorf("Dial = %v, want Timeout", err)
			}
		})
		if o := m.returned[1]; len(o) != 1 || o[0].Failed {
			t.Errorf("outcome = %v, want one without blame", o)
		}
	})
}

// Own instances are dialled from the caller's address; a refused one costs nothing.
func TestLocalInstances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		from := netip.MustParseAddr("127.81.2.3")
		at := netip.MustParseAddrPort("127.0.0.1:8080")
		ln, _ := n.Listen(t.Context(), at)
		go func() {
			c, err := ln.Accept()
			if err == nil {
				io.Copy(c, c)
				c.Close()
			}
		}()
		ports := []uint16{9, 8080}
		var outcomes []Outcome
		routes := pickFunc(func(tried []micronet.InstanceKey) (Ticket, error) {
			i := len(tried)
			r := micronet.Route{Node: nodeID(1), Path: micronet.PathLocal, Instance: micronet.Instance{ID: fmt.Sprint(i), Address: at.Addr(), Port: ports[i]}}
			return Ticket{Route: r, Done: func(_ time.Time, o Outcome) { outcomes = append(outcomes, o) }}, nil
		})
		d := NewDialer(DialerConfig{
			Env: micronet.Env{Net: n, Host: micronet.Host{OS: "linux"}}, Self: nodeID(1), Routes: routes,
			LocalFrom: func(micronet.Caller) netip.Addr { return from },
		})
		got, _, err := ask(d, []byte("hello"))
		if got != "hello" || err != nil {
			t.Errorf("answer = %q, %v", got, err)
		}
		if !slices.Equal(n.froms, []netip.Addr{from, from}) {
			t.Errorf("dialled from %v, want twice from %v", n.froms, from)
		}
		if len(outcomes) != 2 || !outcomes[0].Failed || !errors.Is(outcomes[0].Err, syscall.ECONNREFUSED) || outcomes[1].Failed {
			t.Errorf("outcomes = %v", outcomes)
		}
		totals := d.cfg.Flows.Totals()
		if len(totals) != 1 || totals[0].Sent != 5 || totals[0].Received != 5 || totals[0].Opened != 1 {
			t.Errorf("totals = %+v, want 5 bytes each way", totals)
		}
	})
}

type pickFunc func(tried []micronet.InstanceKey) (Ticket, error)

func (f pickFunc) Pick(_ time.Time, _ micronet.Destination, tried []micronet.InstanceKey) (Ticket, error) {
	return f(tried)
}

// The latency that is reported is that of the first byte.
func TestLatencyIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t, accepts)
		m.run(t, func(d *Dialer) {
			c, _ := d.Dial(t.Context(), micronet.Destination{Service: "web"}, micronet.Caller{})
			time.Sleep(time.Second)
			c.Write([]byte("x"))
			time.Sleep(20 * time.Millisecond)
			c.CloseWrite()
			io.ReadAll(c)
			c.Close()
		})
		m.wg.Wait()
		if o := m.returned[1]; len(o) != 1 || o[0].Latency != 20*time.Millisecond || o[0].Err != nil {
			t.Errorf("outcome = %+v, want a latency of 20ms", o)
		}
	})
}

func TestWaits(t *testing.T) {
	for _, c := range []struct{ rtt, patience, silence time.Duration }{
		{0, 250 * time.Millisecond, time.Second},
		{60 * time.Millisecond, 250 * time.Millisecond, time.Second},
		{125 * time.Millisecond, 500 * time.Millisecond, time.Second},
		{200 * time.Millisecond, 800 * time.Millisecond, 1150 * time.Millisecond},
	} {
		if p, s := patience(c.rtt), silenceOf(c.rtt); p != c.patience || s != c.silence {
			t.Errorf("at %v: patience %v, silence %v, want %v, %v", c.rtt, p, s, c.patience, c.silence)
		}
	}
}
