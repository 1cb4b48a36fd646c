package tunnel

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"
)

func TestBackoff(t *testing.T) {
	for n, want := range []time.Duration{100, 100, 200, 400, 800, 1600, 3200, 5000, 5000} {
		if got := backoff(n, probeMost); got != want*time.Millisecond {
			t.Errorf("backoff(%d) = %v, want %v ms", n, got, want)
		}
	}
	if got := backoff(1<<30, spareMost); got != spareMost {
		t.Errorf("backoff of many = %v", got)
	}
}

// pathWorld plays the network for a paths in a time of its own: each address answers after its
// round trip, or not at all.
type pathWorld struct {
	t     *testing.T
	now   time.Time
	s     paths
	rtt   map[netip.AddrPort]time.Duration // absent: no answer
	nonce uint64
	due   []pathReply
	log   []string
	base  time.Time
	held  time.Time // until then the peers are stopped: they answer what came meanwhile at the end
}

type pathReply struct {
	at    time.Time
	nonce uint64
	from  netip.AddrPort
}

func ap(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 8085)
}

func newPathWorld(t *testing.T, addrs ...netip.AddrPort) *pathWorld {
	w := &pathWorld{t: t, now: time.Unix(100, 0), base: time.Unix(100, 0), rtt: map[netip.AddrPort]time.Duration{}}
	w.s.declare(w.now, addrs)
	w.choose()
	return w
}

func (w *pathWorld) choose() {
	if m, ok := w.s.choose(); ok {
		w.log = append(w.log, fmt.Sprintf("%v %s %v", w.now.Sub(w.base), m.reason, m.to))
	}
}

func (w *pathWorld) probe(list []*candidate) {
	for _, c := range list {
		c.note(w.now)
		w.nonce++
		c.remember(sentProbe{nonce: w.nonce, at: w.now})
		if rtt, ok := w.rtt[c.addr]; ok {
			w.due = append(w.due, pathReply{later(w.now.Add(rtt), w.held), w.nonce, c.addr})
		}
	}
}

// stop holds up all answers for a while, as a peer does whose process is stopped.
func (w *pathWorld) stop(d time.Duration) {
	w.held = w.now.Add(d)
	for i := range w.due {
		w.due[i].at = later(w.due[i].at, w.held)
	}
}

// oversleep lets time pass in which our own process is stopped.
func (w *pathWorld) oversleep(d time.Duration) {
	w.now = w.now.Add(d)
	for i := range w.due {
		w.due[i].at = later(w.due[i].at, w.now)
	}
}

// run lets time pass; every gap a user sends a packet (0: never).
func (w *pathWorld) run(d, gap time.Duration) {
	end := w.now.Add(d)
	next := w.now
	for {
		at := end
		if gap > 0 && next.Before(at) {
			at = next
		}
		if n := w.s.next(w.now); !n.IsZero() && n.Before(at) {
			at = n
		}
		for _, r := range w.due {
			at = earlier(at, r.at)
		}
		if at.Before(w.now) {
			w.t.Fatalf("next goes back: %v before %v", at, w.now)
		}
		if w.now = at; !at.Before(end) {
			return
		}
		w.step(gap > 0 && !next.After(at))
		if gap > 0 && !next.After(at) {
			next = next.Add(gap)
		}
	}
}

func (w *pathWorld) step(send bool) {
	w.due = slices.DeleteFunc(w.due, func(r pathReply) bool {
		if r.at.After(w.now) {
			return false
		}
		if _, up := w.rtt[r.from]; up {
			w.s.observe(w.now, r.from, true)
			w.s.answered(w.now, r.nonce)
			w.choose()
		}
		return true
	})
	if send {
		w.s.use(w.now)
		w.probe(w.s.flight(w.now, nil))
		w.choose()
	}
	if n := w.s.next(w.now); !n.IsZero() && !n.After(w.now) {
		w.probe(w.s.due(w.now, nil))
		w.choose()
	}
}

func (w *pathWorld) want(log ...string) {
	w.t.Helper()
	if !slices.Equal(w.log, log) {
		w.t.Fatalf("path changes:\n%q\nwant:\n%q", w.log, log)
	}
}

func TestPathBackOffWhileNobodyAnswers(t *testing.T) {
	w := newPathWorld(t, ap(1))
	w.run(31*time.Second, 40*time.Second) // one packet: wanted for 30 s
	if n := w.nonce; n != 11 {            // at 0, .1, .3, .7, 1.5, 3.1, 6.3, 11.3, 16.3, 21.3, 26.3 s
		t.Errorf("%d probes, want 11", n)
	}
	if !w.s.next(w.now).IsZero() {
		t.Error("probing goes on without use")
	}
	w.want()
}

// TestSearchInVain: a peer counts as out of reach once a way to it was looked for for a while, and not when nobody has
// looked for one for long, nor when one answers.
func TestSearchInVain(t *testing.T) {
	w := newPathWorld(t, ap(1))
	inVain := func(want bool, when string) {
		t.Helper()
		if w.s.inVain(w.now) != want {
			t.Errorf("%s: in vain %v", when, !want)
		}
	}
	inVain(false, "at first")
	w.run(1900*time.Millisecond, time.Second)
	inVain(false, "just begun")
	w.run(1500*time.Millisecond, 10*time.Second)
	inVain(true, "after a while")
	w.rtt[ap(1)] = 10 * time.Millisecond
	w.run(5*time.Second, 10*time.Second)
	inVain(false, "answered")
	delete(w.rtt, ap(1))
	w.run(8*time.Second, time.Second)
	inVain(true, "silent again")
	w.run(idleAfter-2*time.Second, 0)
	inVain(true, "still looking")
	w.run(vainFor+10*time.Second, 0)
	inVain(false, "long after")
}

func TestPathLost(t *testing.T) {
	w := newPathWorld(t, ap(1))
	w.rtt[ap(1)] = 20 * time.Millisecond
	w.run(time.Second, 100*time.Millisecond)
	w.want("20ms confirmed 10.0.0.1:8085")
	delete(w.rtt, ap(1))
	w.run(20*time.Second, 100*time.Millisecond)
	// Nothing arrived for quietAfter: probes at 1.02 s, then each 500 ms.
	w.want("20ms confirmed 10.0.0.1:8085", "2.8s lost invalid AddrPort")
	if w.s.best == nil || w.s.best.confirmed {
		t.Error("packets have nowhere to go, or a lost path counts as confirmed")
	}
}

func TestPathHysteresis(t *testing.T) {
	for _, tt := range []struct {
		better time.Duration
		moves  bool
	}{
		{80 * time.Millisecond, false}, // 20 % better
		{76 * time.Millisecond, false},
		{70 * time.Millisecond, true},
	} {
		w := newPathWorld(t, ap(1))
		w.rtt[ap(1)], w.rtt[ap(2)] = 100*time.Millisecond, tt.better
		w.run(time.Second, 50*time.Millisecond)
		w.s.declare(w.now, []netip.AddrPort{ap(1), ap(2)})
		w.run(20*time.Second, 50*time.Millisecond)
		if moved := w.s.best.addr == ap(2); moved != tt.moves {
			t.Errorf("from 100 ms to %v: moved = %v, want %v", tt.better, moved, tt.moves)
		}
	}
	w := newPathWorld(t, ap(1), ap(2))
	w.rtt[ap(1)], w.rtt[ap(2)] = 2*time.Millisecond, 500*time.Microsecond
	w.run(time.Minute, 50*time.Millisecond)
	w.want("500µs confirmed 10.0.0.2:8085")
}

// Two paths of nearly one quality do not make packets jump to and fro.
func TestPathDoesNotFlap(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	w := newPathWorld(t, ap(1), ap(2))
	for range 600 {
		w.rtt[ap(1)] = 20*time.Millisecond + time.Duration(r.IntN(8))*time.Millisecond
		w.rtt[ap(2)] = 20*time.Millisecond + time.Duration(r.IntN(8))*time.Millisecond
		w.run(time.Second, 100*time.Millisecond)
	}
	if len(w.log) > 2 {
		t.Fatalf("%d changes in ten minutes: %q", len(w.log), w.log)
	}
}

func TestPathSilentGivesWay(t *testing.T) {
	w := newPathWorld(t, ap(1), ap(2))
	w.rtt[ap(1)], w.rtt[ap(2)] = 20*time.Millisecond, 200*time.Millisecond
	w.run(10*time.Second, 100*time.Millisecond)
	delete(w.rtt, ap(1))
	cut := w.now
	w.run(10*time.Second, 100*time.Millisecond)
	if w.s.best.addr != ap(2) || len(w.log) != 2 {
		t.Fatalf("changes %q", w.log)
	}
	took, err := time.ParseDuration(w.log[1][:slices.Index([]byte(w.log[1]), ' ')])
	if err != nil || w.base.Add(took).Sub(cut) > 2*time.Second {
		t.Fatalf("the second path took over at %v, cut at %v", took, cut.Sub(w.base))
	}
	w.rtt[ap(1)] = 20 * time.Millisecond
	w.run(2*time.Minute, 100*time.Millisecond)
	if w.s.best.addr != ap(1) {
		t.Fatalf("the better path was not found again: %q", w.log)
	}
}

// QUIC that goes on sending over a relay and gets nothing is starved, and complains once for what it has sent. One packet may be its
// thanks for another, and direct ways have rules of their own.
func TestStarvedOverARelay(t *testing.T) {
	t0 := time.Unix(100, 0)
	at := func(ms int) time.Time { return t0.Add(time.Duration(ms) * time.Millisecond) }
	way := newCandidate(ap(1))
	way.via, way.confirmed, way.rtt.value = &peer{}, true, 80*time.Millisecond
	s := paths{best: way, candidates: []*candidate{way}, met: at(-20)}
	send := func(ms int) {
		s.used = at(ms)
		s.ask(at(ms))
	}
	check := func(what string, ms int, want bool) {
		t.Helper()
		if s.starved(at(ms)) != want {
			t.Errorf("%s: starved is %v", what, !want)
		}
	}
	send(0)
	check("one packet", 500, false)
	send(115)
	check("two, a moment ago", 300, false)
	check("two", 330, true)
	s.complain(at(330))
	if !way.contested || !way.hurried || !s.complains(at(340)) {
		t.Error("there is no complaint")
	}
	check("nothing was sent since", 700, false)
	send(345)
	check("more, too soon for another complaint", 600, false)
	check("more", 700, true)
	way.via = nil
	check("a direct way", 700, false)
	way.via = &peer{}
	s.met = at(710)
	check("something came", 800, false)
	if s.complains(at(720)) {
		t.Error("it still complains")
	}
}

func TestPathObservedAreBounded(t *testing.T) {
	w := newPathWorld(t, ap(1))
	w.rtt[ap(1)] = time.Millisecond
	w.run(time.Second, 100*time.Millisecond)
	for i := range 100 {
		w.now = w.now.Add(time.Millisecond)
		w.s.observe(w.now, ap(10+i), true)
	}
	if n := len(w.s.candidates); n != 1+maxObserved {
		t.Fatalf("%d candidates", n)
	}
	if w.s.find(ap(109)) == nil || w.s.find(ap(1)) == nil || w.s.find(ap(10)) != nil {
		t.Fatal("the wrong candidates were kept")
	}
}

func TestPathDeclareKeepsWhatWasHeard(t *testing.T) {
	w := newPathWorld(t, ap(1), ap(2))
	w.rtt[ap(1)] = time.Millisecond
	w.run(time.Second, 100*time.Millisecond)
	w.s.declare(w.now, []netip.AddrPort{ap(3), ap(3)})
	var got []netip.AddrPort
	for _, c := range w.s.candidates {
		got = append(got, c.addr)
	}
	if want := []netip.AddrPort{ap(3), ap(1)}; !slices.Equal(got, want) {
		t.Fatalf("candidates %v, want %v", got, want)
	}
	var many []netip.AddrPort
	for i := range 100 {
		many = append(many, ap(i+1))
	}
	w.s.declare(w.now, many)
	if n := len(w.s.candidates); n != maxDeclared {
		t.Fatalf("%d candidates, want %d", n, maxDeclared)
	}
}

// Each address that a peer names is probed, and may be a stranger's: whoever names ever other ones is
// believed the first of them, and the one it is heard from.
func TestPathDeclareBoundsFreshAddresses(t *testing.T) {
	w := newPathWorld(t, ap(1))
	w.rtt[ap(1)] = time.Millisecond
	w.run(time.Second, 100*time.Millisecond)
	named := map[netip.AddrPort]bool{}
	for i := range 100 {
		w.s.declare(w.now, []netip.AddrPort{ap(2 + 2*i), ap(3 + 2*i)})
		for _, c := range w.s.candidates {
			named[c.addr] = true
		}
		w.run(100*time.Millisecond, 100*time.Millisecond)
	}
	if most := freshBurst + 11*freshRate + 1; float64(len(named)) > most || len(named) < freshBurst {
		t.Errorf("%d addresses were taken in 11 s, want %d to %v", len(named), freshBurst, most)
	}
	if w.s.best == nil || w.s.best.addr != ap(1) || !w.s.best.confirmed {
		t.Error("the address that answers is no longer the best one")
	}
	w.run(time.Minute, time.Second)
	w.s.declare(w.now, []netip.AddrPort{ap(250)})
	if w.s.find(ap(250)) == nil {
		t.Error("an address that comes later is not taken")
	}
}

// Whatever happens to a peer's addresses: once one of them answers, packets go there within 8 s,
// and never does an unanswered address count as confirmed for longer.
func TestPathsHeal(t *testing.T) {
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 3))
		w := newPathWorld(t, ap(1), ap(2), ap(3))
		for range 20 {
			for i := 1; i <= 3; i++ {
				delete(w.rtt, ap(i))
				if r.IntN(2) == 0 {
					w.rtt[ap(i)] = time.Duration(1+r.IntN(300)) * time.Millisecond
				}
			}
			w.run(time.Duration(r.IntN(20000))*time.Millisecond, 100*time.Millisecond)
		}
		clear(w.rtt)
		up := ap(1 + r.IntN(3))
		w.rtt[up] = 50 * time.Millisecond
		w.run(8*time.Second, 100*time.Millisecond)
		if b := w.s.best; b == nil || b.addr != up || !b.confirmed {
			t.Fatalf("seed %d: %v is up, packets go to %+v (%q)", seed, up, b, w.log)
		}
	}
}
