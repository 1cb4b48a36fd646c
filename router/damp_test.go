package router

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
)

func key(n int) micronet.InstanceKey {
	return micronet.InstanceKey{Node: node(n), ID: fmt.Sprintf("web-%d", n)}
}

func near(a, b float64) bool { return math.Abs(a-b) < 0.0001 }

// wantState demands damped with the seconds from start until it ends, or 0 for not damped.
func wantState(t *testing.T, d *Damper, at time.Duration, k micronet.InstanceKey, until, penalty float64) {
	t.Helper()
	damped, end, got := d.State(start.Add(at), k)
	if damped != (until > 0) || (damped && !near(end.Sub(start).Seconds(), until)) || !near(got, penalty) {
		t.Errorf("after %v: damped %v until %v, penalty %.4f, want until %.4f, %.4f", at, damped, end.Sub(start).Seconds(), got, until, penalty)
	}
}

// The figures are computed by hand: half-life 120 s, suppress 2, reuse 0.75.
func TestDampCurve(t *testing.T) {
	d := NewDamper(DampConfig{})
	fails := func(at time.Duration) { d.Transition(start.Add(at), key(1), Failed) }
	wantState(t, d, 0, key(1), 0, 0)
	fails(0)
	wantState(t, d, 0, key(1), 2, 1) // held
	wantState(t, d, 2*time.Second, key(1), 0, 0.9885)
	wantState(t, d, 2*time.Minute, key(1), 0, 0.5)
	wantState(t, d, 4*time.Minute, key(1), 0, 0.25)

	fails(8 * time.Minute) // 1/16 + 1
	wantState(t, d, 9*time.Minute, key(1), 0, 1.0625*math.Sqrt2/2)
	fails(9 * time.Minute) // 0.7513 + 1
	wantState(t, d, 9*time.Minute+2*time.Second, key(1), 0, 1.7513*0.98851)
	fails(10 * time.Minute) // 1.2384 + 1, damped: log2(2.2384/0.75) half-lives
	wantState(t, d, 10*time.Minute, key(1), 600+120*1.577478, 2.238356)
	wantState(t, d, 12*time.Minute, key(1), 600+120*1.577478, 2.238356/2)
	wantState(t, d, 10*time.Minute+189*time.Second, key(1), 600+120*1.577478, 2.238356*math.Exp2(-189./120))
	wantState(t, d, 10*time.Minute+190*time.Second, key(1), 0, 2.238356*math.Exp2(-190./120))
	fails(14 * time.Minute) // 0.5596 + 1: it was used again, so it starts below
	wantState(t, d, 14*time.Minute+3*time.Second, key(1), 0, 1.559589*math.Exp2(-3./120))
}

// Three flaps at once are three, and four minutes.
func TestDampThreeAtOnce(t *testing.T) {
	d := NewDamper(DampConfig{})
	for range 3 {
		d.Transition(start, key(1), Failed)
	}
	wantState(t, d, 0, key(1), 240, 3)
	wantState(t, d, 240*time.Second-1, key(1), 240, 0.75)
	wantState(t, d, 240*time.Second, key(1), 0, 0.75)
}

// However many flaps there were, ten minutes after the last one it is over.
func TestDampCeiling(t *testing.T) {
	d := NewDamper(DampConfig{})
	for range 1000 {
		d.Transition(start, key(1), Failed)
	}
	wantState(t, d, 0, key(1), 600, 24)
}

// A flap in the middle of a damping adds to what is left.
func TestDampWhileDamped(t *testing.T) {
	d := NewDamper(DampConfig{})
	for range 3 {
		d.Transition(start, key(1), Restarted)
	}
	d.Transition(start.Add(2*time.Minute), key(1), Restarted) // 1.5 + 1
	wantState(t, d, 2*time.Minute, key(1), 120+120*math.Log2(2.5/.75), 2.5)
	d.Transition(start.Add(5*time.Minute), key(1), Restarted) // 0.8839 + 1 is below suppress, but it is damped
	wantState(t, d, 5*time.Minute, key(1), 300+120*math.Log2((2.5*math.Exp2(-1.5)+1)/.75), 2.5*math.Exp2(-1.5)+1)
}

func TestDampAddedAgain(t *testing.T) {
	for _, x := range []struct {
		after time.Duration
		want  float64
	}{{0, 1}, {DefaultDampMemory, 1}, {DefaultDampMemory + 1, 0}} {
		d := NewDamper(DampConfig{})
		d.Transition(start, key(1), Added)
		d.Transition(start, key(1), Removed)
		wantState(t, d, 0, key(1), 0, 0)
		d.Transition(start.Add(x.after), key(1), Added)
		if _, _, got := d.State(start.Add(x.after), key(1)); got != x.want {
			t.Errorf("added %v after its removal: penalty %v, want %v", x.after, got, x.want)
		}
		d.Transition(start.Add(x.after), key(1), Added)
		if _, _, got := d.State(start.Add(x.after), key(1)); got != x.want {
			t.Errorf("added twice: penalty %v, want %v", got, x.want)
		}
	}
}

// announce is what node 1 says: one health per instance, "-" for none.
func announce(epoch uint64, healths ...micronet.Health) Announcement {
	a := Announcement{Node: node(1), Start: epoch}
	for i, h := range healths {
		if h != "-" {
			a.Instances = append(a.Instances, micronet.Instance{Service: "web", ID: fmt.Sprint(i), Health: h})
		}
	}
	return a
}

// What owners say, one document after the other, and the penalties of their two instances.
func TestAnnounced(t *testing.T) {
	const up, warn, down, off = micronet.Passing, micronet.Warning, micronet.Critical, micronet.Maintenance
	for name, x := range map[string]struct {
		said []Announcement
		want [2]float64
	}{
		"first":            {[]Announcement{announce(1, up, down)}, [2]float64{}},
		"the same":         {[]Announcement{announce(1, up, down), announce(1, up, down)}, [2]float64{}},
		"fails":            {[]Announcement{announce(1, up, up), announce(1, down, up)}, [2]float64{1, 0}},
		"fails twice":      {[]Announcement{announce(1, up), announce(1, down), announce(1, warn), announce(1, down)}, [2]float64{2, 0}},
		"recovers":         {[]Announcement{announce(1, down), announce(1, up)}, [2]float64{}},
		"warns":            {[]Announcement{announce(1, up), announce(1, warn), announce(1, up)}, [2]float64{}},
		"maintained":       {[]Announcement{announce(1, up), announce(1, off), announce(1, up), announce(1, off)}, [2]float64{}},
		"removed":          {[]Announcement{announce(1, up, up), announce(1, up)}, [2]float64{}},
		"added again":      {[]Announcement{announce(1, up, up), announce(1, up), announce(1, up, up)}, [2]float64{0, 1}},
		"left and back":    {[]Announcement{announce(1, up, up), announce(1), announce(1, up, up)}, [2]float64{1, 1}},
		"restarted":        {[]Announcement{announce(1, up, down), announce(2, up, up)}, [2]float64{1, 1}},
		"restarted slowly": {[]Announcement{announce(1, up, up), announce(2), announce(2, down), announce(2, up, down), announce(2, up, up)}, [2]float64{1, 1}},
		"new after it":     {[]Announcement{announce(1, up), announce(2, up, up)}, [2]float64{1, 0}},
		"fails after it":   {[]Announcement{announce(1, up), announce(2), announce(2, up), announce(2, down)}, [2]float64{2, 0}},
		"an old document":  {[]Announcement{announce(2, up), announce(1, down), announce(2, up)}, [2]float64{}},
		"stops, restarts":  {[]Announcement{announce(1, up), announce(1), announce(2, up)}, [2]float64{}},
	} {
		d := NewDamper(DampConfig{})
		for _, a := range x.said {
			d.Announced(start, a)
		}
		for i, want := range x.want {
			if _, _, got := d.State(start, micronet.InstanceKey{Node: node(1), ID: fmt.Sprint(i)}); got != want {
				t.Errorf("%s: penalty of %d is %v, want %v", name, i, got, want)
			}
		}
	}
}

func TestDampSweep(t *testing.T) {
	d := NewDamper(DampConfig{})
	want := func(at time.Duration, changed []micronet.InstanceKey, next time.Duration) {
		t.Helper()
		got, n := d.Sweep(start.Add(at))
		if !slices.Equal(got, changed) || n.IsZero() != (next == 0) || (next != 0 && n.Sub(start).Round(time.Microsecond) != next) {
			t.Errorf("after %v: changed %v, next %v, want %v, %v", at, got, n.Sub(start), changed, next)
		}
	}
	want(0, nil, 0)
	d.Transition(start, key(2), Failed)
	for range 3 {
		d.Transition(start, key(1), Failed)
	}
	want(0, []micronet.InstanceKey{key(1), key(2)}, 2*time.Second)
	want(time.Second, nil, 2*time.Second)
	want(2*time.Second, []micronet.InstanceKey{key(2)}, 4*time.Minute)
	want(4*time.Minute, []micronet.InstanceKey{key(1)}, 0)
	if len(d.marks) != 1 { // the single failure is a quarter, below half of Reuse
		t.Errorf("%d marks", len(d.marks))
	}
	want(7*time.Minute, nil, 0)
	if len(d.marks)+len(d.held) != 0 {
		t.Errorf("%d marks, %d owners of them", len(d.marks), len(d.held))
	}
	d.Transition(start.Add(7*time.Minute), key(1), Removed)
	want(12*time.Minute, nil, 0)
	if len(d.marks) != 1 {
		t.Error("a removal was forgotten too soon")
	}
	want(12*time.Minute+1, nil, 0)
	if len(d.marks) != 0 {
		t.Error("a removal is kept for ever")
	}
}

func TestDampBounds(t *testing.T) {
	d := NewDamper(DampConfig{})
	for n := range MaxDampedPerNode + 5 {
		d.Transition(start, micronet.InstanceKey{Node: node(1), ID: fmt.Sprint(n)}, Removed)
	}
	if len(d.marks) != MaxDampedPerNode || d.Ignored() != 5 {
		t.Errorf("%d marks of one owner, %d ignored", len(d.marks), d.Ignored())
	}
	for n := range MaxDamped {
		d.Transition(start, key(n+2), Failed)
	}
	if len(d.marks) != MaxDamped || d.Ignored() != 5+MaxDampedPerNode {
		t.Errorf("%d marks, %d ignored", len(d.marks), d.Ignored())
	}
}

func TestAnnouncedBounds(t *testing.T) {
	d := NewDamper(DampConfig{})
	many := Announcement{Node: node(1), Start: 1, Instances: make([]micronet.Instance, MaxWatched+1)}
	for i := range many.Instances {
		many.Instances[i].ID = fmt.Sprint(i)
	}
	d.Announced(start, many)
	if d.watched != MaxWatched || d.Ignored() != 1 {
		t.Errorf("%d are watched, %d ignored", d.watched, d.Ignored())
	}
	d.Announced(start, announce(1, micronet.Passing))
	if d.watched != 1 {
		t.Errorf("%d are watched", d.watched)
	}
	d.Forget(node(1))
	d.Forget(node(1))
	if d.watched != 0 || len(d.owners) != 0 {
		t.Errorf("%d are watched of %d owners", d.watched, len(d.owners))
	}
}

// flappy is a service of two whose first instance flaps, as its owner's documents say, and a router
// that is told of it.
type flappy struct {
	damper *Damper
	router *Router
	up     bool
	others micronet.Health // the second instance's
}

func newFlappy() *flappy {
	f := &flappy{damper: NewDamper(DampConfig{}), router: newRouter(1), others: micronet.Passing}
	f.say(start, true)
	return f
}

// say publishes a document of the first instance's owner.
func (f *flappy) say(now time.Time, up bool) {
	f.up = up
	f.damper.Announced(now, Announcement{Node: node(1), Start: 1, Instances: []micronet.Instance{f.candidates(now)[0].Instance}})
}

func (f *flappy) candidates(now time.Time) []Candidate {
	h := micronet.Critical
	if f.up {
		h = micronet.Passing
	}
	first := instance(1, health(h))
	first.Damped, first.Damping.Until, first.Damping.Penalty = f.damper.State(now, first.Key())
	return []Candidate{first, instance(2, health(f.others))}
}

// offered lists the instances that get traffic, in order.
func (f *flappy) offered(now time.Time) string {
	f.router.Update(now, f.candidates(now))
	var up []string
	for _, v := range f.router.Routes(now, "web") {
		if v.State == micronet.RouteUp {
			up = append(up, v.Route.Instance.ID)
		}
	}
	slices.Sort(up)
	return strings.Join(up, " ")
}

// changes flaps with a period for an hour and returns the times at which the answers changed.
func (f *flappy) changes(period time.Duration) (at []time.Duration) {
	former := f.offered(start)
	for d := 250 * time.Millisecond; d < time.Hour; d += 250 * time.Millisecond {
		if up := d%period < period/2; up != f.up {
			f.say(start.Add(d), up)
		}
		if now := f.offered(start.Add(d)); now != former {
			at, former = append(at, d), now
		}
	}
	return at
}

// most is the highest number of times within ten minutes.
func most(at []time.Duration) (n int) {
	for i := range at {
		last := i
		for last < len(at) && at[last] < at[i]+10*time.Minute {
			last++
		}
		n = max(n, last-i)
	}
	return n
}

// An instance that flaps every second leaves the answers once. The goal is two changes in ten minutes
// at most. Slower ones are damped at the third flap, and those a little too rare for that never.
func TestFlappingChangesLittle(t *testing.T) {
	for _, x := range []struct {
		period time.Duration
		most   int
	}{{500 * time.Millisecond, 1}, {time.Second, 1}, {2 * time.Second, 1}, {10 * time.Second, 5}, {time.Minute, 5}, {3 * time.Minute, 7}} {
		at := newFlappy().changes(x.period)
		t.Logf("one flap in %v: %d changes in an hour, at most %d in ten minutes", x.period, len(at), most(at))
		if got := most(at); got != x.most {
			t.Errorf("one flap in %v: %d changes in ten minutes, want %d: %v", x.period, got, x.most, at)
		}
	}
}

// When it flaps no more it comes back, once, when State said it would.
func TestFlappingRecovers(t *testing.T) {
	f := newFlappy()
	for d := time.Duration(0); d < time.Minute; d += 500 * time.Millisecond {
		f.say(start.Add(d), d%time.Second == 0)
	}
	now := start.Add(time.Minute)
	f.say(now, true)
	damped, until, _ := f.damper.State(now, key(1))
	if !damped || until.After(now.Add(10*time.Minute)) || until.Before(now.Add(5*time.Minute)) {
		t.Fatalf("damped %v for %v", damped, until.Sub(now))
	}
	if got := f.offered(until.Add(-1)); got != "web-2" {
		t.Errorf("until then %q are offered", got)
	}
	if got := f.offered(until); got != "web-1 web-2" {
		t.Errorf("after that %q are offered", got)
	}
}

// The last healthy instance serves, damped or not; and if all flap, all do.
func TestFlappingLastServes(t *testing.T) {
	f := newFlappy()
	f.others = micronet.Critical
	for d := time.Duration(0); d < 10*time.Second; d += 500 * time.Millisecond {
		f.say(start.Add(d), d%time.Second == 0)
		want := ""
		if f.up {
			want = "web-1"
		}
		if got := f.offered(start.Add(d)); got != want {
			t.Errorf("after %v: %q are offered, want %q", d, got, want)
		}
	}
	now := start.Add(10 * time.Second)
	f.say(now, true)
	if got := f.offered(now); got != "web-1" {
		t.Errorf("%q are offered", got)
	}
	v := f.router.Routes(now, "web")
	i := slices.IndexFunc(v, func(v View) bool { return v.Route.Instance.ID == "web-1" })
	if v[i].Until.IsZero() || !strings.Contains(v[i].Reason, "it flaps, but nothing better serves") {
		t.Errorf("%+v", v[i])
	}
	f.router.Update(now, []Candidate{instance(1, damped), instance(2, damped), instance(3, damped)})
	got := shares(t, f.router, now, web, 3000)
	if ids := slices.Sorted(maps.Keys(got)); len(ids) != 3 {
		t.Errorf("of three that flap, %v serve", ids)
	}
}

// A node that is out of sight, dead or back does not flap.
func TestFlappingIsNotAbsence(t *testing.T) {
	f := newFlappy()
	for d := time.Duration(0); d < time.Minute; d += time.Second {
		now := start.Add(d)
		cs := f.candidates(now)
		switch int(d.Seconds()) % 3 {
		case 0:
			cs[0].Down = "its node is dead"
		case 1:
			cs = cs[1:]
		}
		f.router.Update(now, cs)
		f.damper.Sweep(now)
	}
	if damped, _, penalty := f.damper.State(start.Add(time.Minute), key(1)); damped || penalty != 0 {
		t.Errorf("damped %v, penalty %v", damped, penalty)
	}
}

func TestViewOfDamped(t *testing.T) {
	f := newFlappy()
	for range 3 {
		f.damper.Transition(start, key(1), Failed)
	}
	now := start.Add(90 * time.Second)
	f.offered(now)
	for _, v := range f.router.Routes(now, "web") {
		if v.Route.Instance.ID == "web-2" {
			if !v.Until.IsZero() {
				t.Errorf("%+v", v)
			}
			continue
		}
		want := "flapping: damped until 2001-09-09T01:50:40Z, for 2m30s, penalty 1.78"
		if v.State != micronet.RouteDamped || v.Reason != want || !v.Until.Equal(start.Add(4*time.Minute)) {
			t.Errorf("%s %q until %v, want %q", v.State, v.Reason, v.Until, want)
		}
	}
	_, err := f.router.Pick(now, web, []micronet.InstanceKey{key(2)})
	if err == nil || !strings.Contains(err.Error(), "damped for flapping") {
		t.Errorf("Pick: %v", err)
	}
}
