package heartbeat

import (
	"testing"
	"time"
)

func everybody(_, _ *resident) bool { return true }

// of looks at what others know of one node.
func of(x *resident) func(_, of *resident) bool { return func(_, of *resident) bool { return of == x } }

// TestMesh measures how old the newest sign of life of a living node is, at every other node, with
// 5 % loss and the defaults: when nobody doubts, when all doubt one node, and when that one is
// heard by one bridge only. What was measured is beside the bounds.
func TestMesh(t *testing.T) {
	for _, c := range []struct {
		n                     int
		calm, doubted, bridge [2]time.Duration // p99.9, max
		rate                  int              // bytes per second and node
	}{
		{n: 5, calm: [2]time.Duration{4 * sec, 4 * sec}, doubted: [2]time.Duration{4 * sec, 4 * sec}, bridge: [2]time.Duration{6 * sec, 6 * sec}, rate: 1000},
		{n: 30, calm: [2]time.Duration{6 * sec, 8 * sec}, doubted: [2]time.Duration{6 * sec, 8 * sec}, bridge: [2]time.Duration{6 * sec, 8 * sec}, rate: 3000},
		{n: 100, calm: [2]time.Duration{16 * sec, 30 * sec}, doubted: [2]time.Duration{6 * sec, 8 * sec}, bridge: [2]time.Duration{6 * sec, 8 * sec}, rate: 3000},
		{n: 300, calm: [2]time.Duration{45 * sec, 60 * sec}, doubted: [2]time.Duration{6 * sec, 8 * sec}, bridge: [2]time.Duration{6 * sec, 8 * sec}, rate: 3000},
	} {
		if (testing.Short() && c.n > 100) || (raceEnabled && c.n > 30) { // there is no second goroutine to race with
			continue
		}
		w := newWorld(t, c.n, 1)
		w.begin()
		w.run(15 * time.Second)
		w.bytes = 0
		calm := w.measure(15*time.Second, everybody)
		rate := w.bytes / 15 / c.n

		x, bridge := w.nodes[0], w.nodes[1]
		w.doubted = func(_, of *resident) bool { return of == x }
		w.run(5 * time.Second)
		doubted := w.measure(30*time.Second, of(x))
		w.cutOff(x, bridge)
		change := w.measure(20*time.Second, of(x))
		bridged := w.measure(40*time.Second, of(x))

		t.Logf("n=%d: %d B/s; calm %v; doubted %v; one bridge: at first %v, then %v", c.n, rate, calm, doubted, change, bridged)
		for what, x := range map[string]struct {
			ages  ages
			bound [2]time.Duration
		}{"calm": {calm, c.calm}, "doubted": {doubted, c.doubted}, "one bridge": {bridged, c.bridge}} {
			if x.ages.at(.999) > x.bound[0] || x.ages.at(1) > x.bound[1] {
				t.Errorf("n=%d, %s: %v, want at most %v", c.n, what, x.ages, x.bound)
			}
		}
		if rate > c.rate {
			t.Errorf("n=%d: every node sends %d bytes per second, want at most %d", c.n, rate, c.rate)
		}
		w.checkWork()
	}
}

// cutOff leaves one node a single link. It doubts all others, and they it.
func (w *world) cutOff(x, bridge *resident) {
	w.link = func(from, to *resident) bool { return (from != x && to != x) || from == bridge || to == bridge }
	w.doubted = func(at, of *resident) bool { return of == x || (at == x && of != bridge) }
}

// checkWork demands that honest nodes cost each other about a hash per beat and refuse nothing.
func (w *world) checkWork() {
	w.t.Helper()
	beats := uint64(w.now.Sub(epoch)/DefaultInterval) + 2
	for _, r := range w.nodes {
		s := r.table.Stats()
		if bad := s.Malformed + s.Unknown + s.Otherwise + s.Impossible + s.Ahead + s.Unpaid + s.Forged; bad > 0 {
			w.t.Fatalf("honest packets were refused: %+v", s)
		}
		if s.Hashes > beats*uint64(len(r.peers)) {
			w.t.Fatalf("%d hashes for %d owners with %d beats each", s.Hashes, len(r.peers), beats)
		}
	}
}

// A mesh falls apart into two halves and comes together again. The other half's beats grow old
// while it lasts, and within seconds everybody is heard again.
func TestPartition(t *testing.T) {
	const n, apart = 60, 3 * time.Minute
	w := newWorld(t, n, 2)
	side := func(r *resident) bool { return r.index < n/3 }
	across := func(at, of *resident) bool { return side(at) != side(of) }
	w.begin()
	w.run(20 * time.Second)
	w.link = func(from, to *resident) bool { return side(from) == side(to) }
	w.doubted = across
	split := w.now
	w.run(apart)
	for _, r := range w.nodes {
		for _, s := range w.nodes {
			at, _ := r.table.Heard(s.id)
			if across(r, s) && at.After(split.Add(500*time.Millisecond)) {
				t.Fatalf("node %d heard %d %v after the split", r.index, s.index, at.Sub(split))
			}
		}
	}
	w.link = nil
	w.run(15 * time.Second)
	if a := w.measure(10*time.Second, across); a.at(1) > 20*time.Second || a.at(.99) > 10*time.Second {
		t.Errorf("after the heal: %v", a)
	}
	w.checkWork()
}

// insider is a member that does its worst about one victim.
type insider struct {
	*resident
	w    *world
	held []entry // true beats of the victim, for later
}

// hoard keeps the victim's beats and tells nobody.
func (m *insider) hoard(x *resident) {
	m.held = append(m.held, beat(x.chain, uint32(m.w.now.Sub(x.chain.start)/x.chain.anchor.Interval), 0))
}

// spill sends everybody a held beat with an age of 0, every old beat and every old chain's beat
// likewise, and forged ones.
func (m *insider) spill(x *resident, former *Chain) {
	for _, to := range m.w.nodes {
		if to == x || to == m.resident || len(m.held) == 0 {
			continue
		}
		next := m.held[0]
		forged := beat(x.chain, next.beat+5, 0)
		forged.value[0]++
		old := beat(x.chain, 3, 0)
		p := packetOf(old, beat(former, 200, 0), forged, next)
		if _, err := to.table.Receive(m.w.now, m.id, p); err != nil {
			m.w.t.Fatal(err)
		}
	}
}

// A node is heard by an insider only, then dies. The insider withheld its beats and now tells them
// one by one, all with an age of 0, among forgeries and replays; all others go on gossiping. At no
// moment does the node look younger than its last beat, Slack and the shortest delay of its beats.
func TestDeadStaysDead(t *testing.T) {
	for _, n := range []int{5, 30, 100} {
		w := newWorld(t, n, 3)
		x, m := w.nodes[0], &insider{resident: w.nodes[1], w: w}
		former := x.chain
		x.chain = testChain(t, epoch, x.id, 2)
		x.table.Own(epoch, x.chain)
		for _, r := range w.nodes {
			if err := r.table.Track(epoch, x.id, x.chain.Anchor()); err != nil {
				t.Fatal(err)
			}
		}
		w.begin()
		w.run(30 * time.Second)
		w.link = func(from, to *resident) bool { return from != x && to != x }
		w.doubted = func(_, of *resident) bool { return of == x }
		for range 10 {
			w.run(2 * time.Second)
			m.hoard(x)
		}
		x.dead = true
		death, off := w.now, w.offOf(x)
		for i := range 60 {
			w.run(2 * time.Second)
			m.spill(x, former)
			if i%2 == 1 && len(m.held) > 1 {
				m.held = m.held[1:]
			}
			w.checkDead(x, m.resident, death, off)
		}
		if s := w.nodes[2].table.Stats(); s.Forged == 0 || s.Otherwise == 0 || s.Stale == 0 {
			t.Errorf("the insider was not heard: %+v", s)
		}
	}
}

// offOf returns by how much the estimates of a node's chain are off: by the shortest delay of one
// of its beats so far.
func (w *world) offOf(x *resident) map[*resident]time.Duration {
	off := make(map[*resident]time.Duration)
	for _, r := range w.nodes {
		if r == x {
			continue
		}
		off[r] = r.table.owners[x.id].estimate.start.Sub(x.chain.start)
		if off[r] < -ageUnit || off[r] > 3*time.Second {
			w.t.Errorf("n=%d: the estimate of node %d is %v off", len(w.nodes), r.index, off[r])
		}
	}
	return off
}

func (w *world) checkDead(x, m *resident, death time.Time, off map[*resident]time.Duration) {
	w.t.Helper()
	for _, r := range w.nodes {
		if r == x || r == m {
			continue
		}
		if at, _ := r.table.Heard(x.id); at.After(death.Add(off[r] + Slack + 200*time.Millisecond)) {
			w.t.Fatalf("n=%d, %v after the death: node %d believes it alive %v after it", len(w.nodes), w.now.Sub(death), r.index, at.Sub(death))
		}
	}
}

// Without insiders a dead node looks no younger than what the last packet took to arrive.
func TestDeadIsDead(t *testing.T) {
	w := newWorld(t, 50, 4)
	x := w.nodes[0]
	w.doubted = func(_, of *resident) bool { return of == x }
	w.begin()
	w.run(30 * time.Second)
	x.dead = true
	death := w.now
	w.run(time.Minute)
	for _, r := range w.nodes[1:] {
		at, ok := r.table.Heard(x.id)
		if !ok || at.After(death.Add(w.latency)) || at.Before(death.Add(-10*time.Second)) {
			t.Errorf("node %d heard it %v after its death", r.index, at.Sub(death))
		}
	}
}

// An insider tells everybody that a living node, which one bridge hears, was heard an hour ago. It
// floods them with it ten times a second, and with forgeries. The node stays alive for all.
func TestLivingStaysAlive(t *testing.T) {
	const n = 50
	w := newWorld(t, n, 5)
	x, bridge, m := w.nodes[0], w.nodes[1], w.nodes[2]
	w.begin()
	var slander func()
	slander = func() {
		o := m.table.owners[x.id]
		if o.chain.beat > 0 {
			old, forged := o.entry(w.now), o.entry(w.now)
			old.age = 36000
			forged.beat++
			for _, to := range w.nodes {
				if to != x && to != m {
					_, _ = to.table.Receive(w.now, m.id, packetOf(old, forged))
				}
			}
		}
		w.after(100*time.Millisecond, slander)
	}
	slander()
	w.run(20 * time.Second)
	w.cutOff(x, bridge)
	w.run(30 * time.Second)
	a := w.measure(2*time.Minute, func(at, of *resident) bool { return of == x && at != m })
	if a.at(.999) > 8*time.Second || a.at(1) > 10*time.Second {
		t.Errorf("signs of life: %v", a)
	}
	if s := w.nodes[5].table.Stats(); s.Forged < 100 || s.Hashes > 20000 {
		t.Errorf("%+v", s)
	}
}

// A newcomer knows nobody's past: the chains are an hour old. It verifies all within seconds.
func TestNewcomer(t *testing.T) {
	const n = 60
	w := newWorld(t, n, 6)
	x := w.nodes[0]
	x.dead = true
	w.now = epoch.Add(time.Hour)
	for _, r := range w.nodes {
		for _, s := range w.nodes[1:] {
			r.table.Direct(w.now, s.id)
		}
	}
	w.begin()
	w.run(20 * time.Second)
	x.dead, x.table = false, NewTable(x.id)
	x.chain = testChain(t, w.now, x.id, 2)
	x.table.Own(w.now, x.chain)
	for _, s := range w.nodes[1:] {
		if err := x.table.Track(w.now, s.id, s.chain.Anchor()); err != nil {
			t.Fatal(err)
		}
		if err := s.table.Track(w.now, x.id, x.chain.Anchor()); err != nil {
			t.Fatal(err)
		}
	}
	w.tick(x)
	w.run(10 * time.Second)
	a := w.measure(10*time.Second, func(at, _ *resident) bool { return at == x })
	if a.at(1) > 15*time.Second {
		t.Errorf("what the newcomer knows: %v", a)
	}
	if s := x.table.Stats(); s.Ahead+s.Unpaid+s.Forged > 0 || s.Hashes < 59*1800 {
		t.Errorf("%+v", s)
	}
}
