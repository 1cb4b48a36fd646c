package router

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
)

var start = time.Unix(1_000_000_000, 0)

var web = micronet.Destination{Service: "web"}

func node(n int) micronet.NodeID { return micronet.NodeID{byte(n), byte(n >> 8), 1} }

// instance makes a passing candidate of "web"; mods change it.
func instance(n int, mods ...func(*Candidate)) Candidate {
	c := Candidate{Route: micronet.Route{
		Instance: micronet.Instance{Service: "web", ID: fmt.Sprintf("web-%d", n), Weight: 100, Health: micronet.Passing},
		Node:     node(n), NodeName: fmt.Sprintf("n%d", n), Cluster: "main", Path: micronet.PathDirect,
	}}
	for _, m := range mods {
		m(&c)
	}
	return c
}

func rtt(d time.Duration) func(*Candidate) { return func(c *Candidate) { c.RTT = d } }
func weight(w int) func(*Candidate)        { return func(c *Candidate) { c.Instance.Weight = w } }

func health(h micronet.Health) func(*Candidate) { return func(c *Candidate) { c.Instance.Health = h } }

func tags(t ...string) func(*Candidate) { return func(c *Candidate) { c.Instance.Tags = t } }
func cluster(s string) func(*Candidate) { return func(c *Candidate) { c.Cluster = s } }
func service(s string) func(*Candidate) { return func(c *Candidate) { c.Instance.Service = s } }
func damped(c *Candidate)               { c.Damped = true }
func draining(c *Candidate)             { c.Draining = true }
func dead(c *Candidate)                 { c.Down = "on a dead node" }

func newRouter(seed uint64, cs ...Candidate) *Router {
	r := New(Config{Rand: rand.New(rand.NewPCG(seed, 0))})
	r.Update(start, cs)
	return r
}

func mustPick(t *testing.T, r *Router, now time.Time, to micronet.Destination, tried ...micronet.InstanceKey) Choice {
	t.Helper()
	c, err := r.Pick(now, to, tried)
	if err != nil {
		t.Fatalf("Pick(%v) failed: %v", to, err)
	}
	return c
}

// shares picks n times and returns how often each instance came, as a share of all.
func shares(t *testing.T, r *Router, now time.Time, to micronet.Destination, n int) map[string]float64 {
	t.Helper()
	got := make(map[string]float64)
	for range n {
		got[mustPick(t, r, now, to).Route.Instance.ID] += 1 / float64(n)
	}
	return got
}

func wantShare(t *testing.T, got map[string]float64, id string, want float64) {
	t.Helper()
	if math.Abs(got[id]-want) > 0.015 {
		t.Errorf("share of %s = %.3f, want %.3f", id, got[id], want)
	}
}

var unreachable = micronet.E("dial", micronet.Unreachable, "no answer")

func fail(r *Router, now time.Time, c Choice) {
	r.Start(c)
	r.Done(now, c, Outcome{Err: unreachable})
}

func TestLoadSpreadsByWeight(t *testing.T) {
	r := newRouter(1, instance(1, weight(100)), instance(2, weight(200)), instance(3, weight(100)), instance(4, weight(400)))
	got := shares(t, r, start, web, 20000)
	for id, want := range map[string]float64{"web-1": .125, "web-2": .25, "web-3": .125, "web-4": .5} {
		wantShare(t, got, id, want)
	}
}

func TestLoadSpreadsByWeightInLargeGroups(t *testing.T) {
	var cs []Candidate
	for n := range 100 {
		w := 100
		if n == 7 {
			w = 2500
		}
		cs = append(cs, instance(n, weight(w), rtt(time.Duration(n)*5*time.Microsecond)))
	}
	got := shares(t, newRouter(2, cs...), start, web, 20000)
	wantShare(t, got, "web-7", 2500.0/(2500+99*100))
	for n := range 100 {
		if n != 7 {
			wantShare(t, got, fmt.Sprintf("web-%d", n), 100.0/(2500+99*100))
		}
	}
}

func TestLoadInFlightSpreadsByWeight(t *testing.T) {
	r := newRouter(3, instance(1, weight(100)), instance(2, weight(300)))
	held := map[string]int{}
	for range 400 {
		c := mustPick(t, r, start, web)
		r.Start(c)
		held[c.Route.Instance.ID]++
	}
	if held["web-1"] < 90 || held["web-1"] > 125 {
		t.Errorf("in flight %v, want about 100 and 300", held)
	}
}

func TestNearestTierWins(t *testing.T) {
	for _, far := range []int{2, 99} {
		cs := []Candidate{instance(0, rtt(100*time.Microsecond))}
		for n := range far {
			cs = append(cs, instance(n+1, rtt(50*time.Millisecond)))
		}
		got := shares(t, newRouter(4, cs...), start, web, 2000)
		if got["web-0"] < 0.9999 {
			t.Errorf("with %d far instances the near one got %.3f of the load, want all", far, got["web-0"])
		}
	}
}

func TestOverloadedNearInstanceLosesToFreeFarOne(t *testing.T) {
	for _, far := range []int{2, 99} {
		cs := []Candidate{instance(0, rtt(100*time.Microsecond))}
		for n := range far {
			cs = append(cs, instance(n+1, rtt(50*time.Millisecond)))
		}
		r := newRouter(5, cs...)
		near := mustPick(t, r, start, web)
		for range 200 {
			r.Start(near)
		}
		if got := shares(t, r, start, web, 500); got["web-0"] > 0 {
			t.Errorf("with %d far instances the overloaded one still got %.3f", far, got["web-0"])
		}
	}
}

func TestBandIsAQuarterOrAMillisecond(t *testing.T) {
	for _, c := range []struct {
		a, b  time.Duration
		equal bool
	}{
		{0, 1000 * time.Microsecond, true},
		{0, 1300 * time.Microsecond, false},
		{10 * time.Millisecond, 12700 * time.Microsecond, true},
		{10 * time.Millisecond, 12800 * time.Microsecond, false},
	} {
		// An unmeasured latency of 1 ms is part of both costs.
		got := shares(t, newRouter(6, instance(1, rtt(c.a)), instance(2, rtt(c.b))), start, web, 2000)
		if equal := got["web-2"] > 0.4; equal != c.equal {
			t.Errorf("paths %v and %v: second got %.2f, equal = %v, want %v", c.a, c.b, got["web-2"], equal, c.equal)
		}
	}
}

func TestConfiguredCostCounts(t *testing.T) {
	linked := instance(2)
	linked.Cost = 10 * time.Millisecond
	got := shares(t, newRouter(7, instance(1), linked), start, web, 200)
	wantShare(t, got, "web-1", 1)
}

func TestSlowInstanceIsAvoidedAndTriedAgain(t *testing.T) {
	r := newRouter(8, instance(1), instance(2))
	slow := mustPick(t, r, start, web)
	r.Start(slow)
	r.Done(start, slow, Outcome{Latency: 500 * time.Millisecond})
	id := slow.Route.Instance.ID
	if got := shares(t, r, start.Add(time.Second), web, 500); got[id] > 0 {
		t.Errorf("the slow instance got %.2f after a second, want nothing", got[id])
	}
	if got := shares(t, r, start.Add(2*time.Minute), web, 500); got[id] < 0.4 {
		t.Errorf("the slow instance got %.2f after two idle minutes, want half", got[id])
	}
}

func TestTagAndClusterNarrow(t *testing.T) {
	r := newRouter(9,
		instance(1, tags("v1")), instance(2, tags("v2", "v2")), instance(3, tags("v2"), cluster("eu")), instance(4, cluster("eu")))
	for _, c := range []struct {
		to   micronet.Destination
		want []string
	}{
		{web, []string{"web-1", "web-2", "web-3", "web-4"}},
		{micronet.Destination{Service: "web", Tag: "v2"}, []string{"web-2", "web-3"}},
		{micronet.Destination{Service: "web", Cluster: "eu"}, []string{"web-3", "web-4"}},
		{micronet.Destination{Service: "web", Tag: "v2", Cluster: "eu"}, []string{"web-3"}},
	} {
		got := shares(t, r, start, c.to, 4000)
		for _, id := range c.want {
			if math.Abs(got[id]-1/float64(len(c.want))) > 0.04 {
				t.Errorf("%v: share of %s = %.3f, want 1/%d", c.to, id, got[id], len(c.want))
			}
		}
		if len(got) != len(c.want) {
			t.Errorf("%v reached %v, want %v", c.to, got, c.want)
		}
	}
}

func TestRefusalsSayWhy(t *testing.T) {
	key := func(n int) micronet.InstanceKey {
		return micronet.InstanceKey{Node: node(n), ID: fmt.Sprintf("web-%d", n)}
	}
	for _, c := range []struct {
		name  string
		cs    []Candidate
		to    micronet.Destination
		tried []micronet.InstanceKey
		kind  micronet.Kind
		text  string
	}{
		{"nothing", nil, web, nil, micronet.NotFound, `no instance of "web" is registered`},
		{
			"no tag",
			[]Candidate{instance(1), instance(2)},
			micronet.Destination{Service: "web", Tag: "v9"},
			nil, micronet.NotFound,
			`"web" has 2 instances, none with tag "v9"`,
		},
		{
			"no cluster",
			[]Candidate{instance(1)},
			micronet.Destination{Service: "web", Tag: "v9", Cluster: "eu"},
			nil, micronet.NotFound,
			`"web" has 1 instance, none with tag "v9" in cluster "eu"`,
		},
		{
			"critical",
			[]Candidate{instance(1, health(micronet.Critical)), instance(2, health(micronet.Critical)), instance(3, health(micronet.Critical))},
			web, nil, micronet.Unreachable, `"web" has 3 instances, all critical`,
		},
		{"one", []Candidate{instance(1, health(micronet.Maintenance))}, web, nil, micronet.Unreachable, `"web" has 1 instance, maintenance`},
		{
			"dead",
			[]Candidate{instance(1, dead), instance(2, dead, health(micronet.Critical))},
			web, nil, micronet.Unreachable,
			`"web" has 2 instances, all on a dead node`,
		},
		{
			"mixed",
			[]Candidate{instance(1, draining), instance(2, health(micronet.Critical)), instance(3, health(micronet.Critical))},
			web, nil, micronet.Unreachable, `"web" has 3 instances: 1 draining, 2 critical`,
		},
		{
			"tried",
			[]Candidate{instance(1), instance(2)},
			web,
			[]micronet.InstanceKey{key(1), key(2)},
			micronet.Unreachable,
			`"web" has 2 instances, all already tried`,
		},
		{"unknown health", []Candidate{instance(1, health(""))}, web, nil, micronet.Unreachable, `"web" has 1 instance, of unknown health`},
	} {
		_, err := newRouter(1, c.cs...).Pick(start, c.to, c.tried)
		if micronet.KindOf(err) != c.kind || !strings.Contains(fmt.Sprint(err), c.text) {
			t.Errorf("%s: error %v of kind %v, want %q of kind %v", c.name, err, micronet.KindOf(err), c.text, c.kind)
		}
	}
}

func TestTriedIsLeftOut(t *testing.T) {
	for _, n := range []int{3, 40} {
		var cs []Candidate
		var tried []micronet.InstanceKey
		for i := range n {
			c := instance(i)
			cs = append(cs, c)
			if i != 2 {
				tried = append(tried, c.Key())
			}
		}
		r := newRouter(10, cs...)
		for range 50 {
			if c := mustPick(t, r, start, web, tried...); c.Route.Instance.ID != "web-2" {
				t.Fatalf("of %d with all but web-2 tried, got %s", n, c.Route.Instance.ID)
			}
		}
	}
}

func TestWarningServesDampedOnlyWhenAlone(t *testing.T) {
	r := newRouter(11, instance(1, damped), instance(2, health(micronet.Warning)))
	wantShare(t, shares(t, r, start, web, 100), "web-2", 1)
	r.Update(start, []Candidate{instance(1, damped), instance(2, health(micronet.Critical))})
	wantShare(t, shares(t, r, start, web, 100), "web-1", 1)
}

func TestFailedDialsEjectForGrowingTime(t *testing.T) {
	var events []micronet.Ejection
	r := New(Config{Rand: rand.New(rand.NewPCG(1, 1)), Ejected: func(e micronet.Ejection) { events = append(events, e) }})
	r.Update(start, []Candidate{instance(1, rtt(time.Microsecond)), instance(2, rtt(time.Second))})
	now := start
	for n := 1; n <= 8; n++ {
		c := mustPick(t, r, now, web)
		if c.Route.Instance.ID != "web-1" {
			t.Fatalf("round %d: %s was picked, want the near one back", n, c.Route.Instance.ID)
		}
		fail(r, now, c)
		if len(events) != n {
			t.Fatalf("round %d: %d ejections", n, len(events))
		}
		want := min(time.Second<<(n-1), time.Minute)
		got := events[n-1].For
		if got < want*8/10 || got > min(want*12/10, time.Minute) {
			t.Errorf("ejection %d lasts %v, want about %v", n, got, want)
		}
		if c := mustPick(t, r, now.Add(got-1), web); c.Route.Instance.ID != "web-2" {
			t.Errorf("round %d: the ejected instance was picked before its time", n)
		}
		now = now.Add(got)
	}
	if e := events[0]; e.Service != "web" || e.Key.ID != "web-1" || e.Reason != unreachable.Error() {
		t.Errorf("event %+v", e)
	}
	now = now.Add(ejectQuiet + 1)
	fail(r, now, mustPick(t, r, now, web))
	if got := events[8].For; got > 1200*time.Millisecond {
		t.Errorf("after a quiet minute the ejection lasts %v, want about 1 s", got)
	}
}

func TestSuccessForgivesEjections(t *testing.T) {
	var last time.Duration
	r := New(Config{Ejected: func(e micronet.Ejection) { last = e.For }})
	r.Update(start, []Candidate{instance(1), instance(2, rtt(time.Second))})
	now := start
	old := mustPick(t, r, now, web)
	for range 3 {
		now = now.Add(last + 1)
		fail(r, now, mustPick(t, r, now, web))
	}
	r.Start(old)
	r.Done(now, old, Outcome{}) // began before: proves nothing
	if c := mustPick(t, r, now, web); c.Route.Instance.ID != "web-2" {
		t.Fatal("an old connection's good end took the ejection back")
	}
	now = now.Add(last + 1)
	c := mustPick(t, r, now, web)
	r.Start(c)
	r.Done(now, c, Outcome{})
	fail(r, now.Add(1), mustPick(t, r, now.Add(1), web))
	if last > 1200*time.Millisecond {
		t.Errorf("after a success the ejection lasts %v, want about 1 s", last)
	}
}

func TestFailuresOfOneMomentAreOneEjection(t *testing.T) {
	events := 0
	r := New(Config{Ejected: func(micronet.Ejection) { events++ }})
	r.Update(start, []Candidate{instance(1), instance(2, rtt(time.Second))})
	c := mustPick(t, r, start, web)
	for range 10 {
		fail(r, start.Add(time.Second), c)
	}
	if events != 1 {
		t.Errorf("%d ejections, want 1", events)
	}
}

func TestLastInstanceIsNeverEjected(t *testing.T) {
	events := 0
	r := New(Config{Ejected: func(micronet.Ejection) { events++ }})
	r.Update(start, []Candidate{instance(1), instance(2), instance(3, health(micronet.Critical))})
	for n := range 6 {
		fail(r, start.Add(time.Duration(n)), mustPick(t, r, start.Add(time.Duration(n)), web))
	}
	if events != 1 {
		t.Errorf("%d ejections of two usable instances, want 1", events)
	}
	mustPick(t, r, start.Add(time.Millisecond), web)
}

func TestEjectedServesWhenTheOthersAreGone(t *testing.T) {
	r := newRouter(12, instance(1), instance(2))
	c := mustPick(t, r, start, web)
	fail(r, start, c)
	id := c.Route.Instance.ID
	var left Candidate
	for _, o := range []Candidate{instance(1), instance(2)} {
		if o.Instance.ID == id {
			left = o
		}
	}
	r.Update(start, []Candidate{left})
	if got := mustPick(t, r, start, web).Route.Instance.ID; got != id {
		t.Fatalf("picked %s, want %s", got, id)
	}
	if v := r.Routes(start, "web"); v[0].State != micronet.RouteUp {
		t.Errorf("the last instance is shown as %s, want up", v[0].State)
	}
}

func TestEjectsByKind(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{errors.New("reset"), false},
		{context.Canceled, false},
		{micronet.E("x", micronet.Timeout, "given up: %w", context.Canceled), false},
		{micronet.E("x", micronet.Unreachable, "y"), true},
		{micronet.E("x", micronet.Timeout, "y"), true},
		{micronet.E("x", micronet.NotFound, "y"), true},
		{micronet.E("x", micronet.Overloaded, "y"), true},
		{micronet.E("x", micronet.Refused, "y"), false},
		{micronet.E("x", micronet.Unauthorized, "y"), false},
		{micronet.E("x", micronet.Closed, "y"), false},
	} {
		if got := Ejects(c.err); got != c.want {
			t.Errorf("Ejects(%v) = %v, want %v", c.err, got, c.want)
		}
	}
}

func TestStatisticsSurviveUpdates(t *testing.T) {
	both := []Candidate{instance(1), instance(2)}
	r := newRouter(13, both...)
	c := mustPick(t, r, start, web)
	for range 50 {
		r.Start(c)
	}
	r.Update(start.Add(time.Second), both[:0])
	r.Update(start.Add(9*time.Minute), both)
	for range 20 {
		if got := mustPick(t, r, start.Add(9*time.Minute), web); got.Route.Key() == c.Route.Key() {
			t.Fatal("connections in flight were forgotten by updates")
		}
	}
	r.Update(start.Add(10*time.Minute), nil)
	r.Update(start.Add(20*time.Minute), nil)
	if len(r.stats) != 0 {
		t.Errorf("%d statistics are kept of instances unseen for 10 minutes", len(r.stats))
	}
}

func over(relay int) func(*Candidate) {
	return func(c *Candidate) { c.Path, c.Relay = micronet.PathRelay, node(relay) }
}

// The metric is that of the way in use: neither what was measured over the former one counts, nor a call that was
// under way when packets took another.
func TestLatencyOfAFormerWayDoesNotCount(t *testing.T) {
	direct, relayed := instance(1, rtt(4*time.Millisecond)), instance(1, rtt(240*time.Millisecond), over(2))
	r := newRouter(1, direct)
	metric := func(now time.Time) time.Duration {
		return time.Duration(r.Routes(now, "web")[0].Metric) * time.Microsecond
	}
	call := func(now time.Time, latency time.Duration) {
		c := mustPick(t, r, now, web)
		r.Start(c)
		r.Done(now.Add(latency), c, Outcome{Latency: latency})
	}
	want := func(what string, now time.Time, most time.Duration) {
		t.Helper()
		if got := metric(now); got > most {
			t.Errorf("%s: the metric is %v, want %v at most", what, got, most)
		}
	}
	now := start.Add(time.Second)
	call(now, 8*time.Millisecond)
	stalled := mustPick(t, r, now, web)
	r.Start(stalled)
	now = now.Add(time.Second)
	r.Update(now, []Candidate{relayed})
	r.Done(now, stalled, Outcome{Latency: time.Second})
	want("a call that waited for the other way", now, 241*time.Millisecond)
	for range 10 {
		now = now.Add(500 * time.Millisecond)
		call(now, 480*time.Millisecond)
	}
	if got := metric(now); got < 600*time.Millisecond {
		t.Errorf("what is measured over a relay does not count: %v", got)
	}
	slow := mustPick(t, r, now, web)
	r.Start(slow)
	now = now.Add(time.Second)
	r.Update(now, []Candidate{direct})
	want("directly again", now, 6*time.Millisecond)
	r.Done(now, slow, Outcome{Latency: 480 * time.Millisecond})
	want("a call from before", now, 5*time.Millisecond)
	now = now.Add(time.Millisecond)
	call(now, 8*time.Millisecond)
	if got := metric(now); got < 11*time.Millisecond {
		t.Errorf("what is measured directly does not count: %v", got)
	}
	r.Update(now, []Candidate{direct})
	if got := metric(now); got < 11*time.Millisecond {
		t.Errorf("an update that changes nothing forgets: %v", got)
	}
}

// Where there are two ways to an instance, what is learnt belongs to the one that is taken.
func TestLatencyStaysWhereASecondWayIsDearer(t *testing.T) {
	both := []Candidate{instance(1, rtt(4*time.Millisecond)), instance(1, rtt(240*time.Millisecond), over(2))}
	r := newRouter(1, both...)
	c := mustPick(t, r, start.Add(time.Second), web)
	r.Start(c)
	r.Done(start.Add(time.Second), c, Outcome{Latency: 50 * time.Millisecond})
	r.Update(start.Add(time.Second), both)
	if got := r.Routes(start.Add(time.Second), "web")[0].Metric; got < 50_000 {
		t.Errorf("the metric is %d µs, want more than what was measured", got)
	}
}

func TestTwoWaysToOneInstanceCountOnce(t *testing.T) {
	r := newRouter(14, instance(1, rtt(400*time.Microsecond)), instance(1), instance(2))
	got := shares(t, r, start, web, 5000)
	wantShare(t, got, "web-1", 0.5)
	if v := r.Routes(start, "web"); len(v) != 2 || v[0].Route.RTT != 0 {
		t.Errorf("routes %+v, want the cheaper way of two instances", v)
	}
}

func TestRoutesAreSortedAndExplained(t *testing.T) {
	r := newRouter(15,
		instance(1, rtt(30*time.Millisecond)), instance(2, rtt(time.Millisecond)), instance(3, draining, rtt(time.Second)),
		instance(4, damped, rtt(2*time.Second)), instance(5, dead, rtt(3*time.Second)), instance(6, service("api")))
	fail(r, start, mustPick(t, r, start, web))
	var got []string
	for _, v := range r.Routes(start, "") {
		got = append(got, fmt.Sprintf("%s %s %d %s: %s", v.Route.Instance.Service, v.Route.Instance.ID, v.Metric, v.State, v.Reason))
	}
	want := []string{
		"api web-6 1000 up: path 0s, latency 1ms, 0 in flight",
		"web web-2 2000 ejected: it could not be reached, next try in ",
		"web web-1 31000 up: path 30ms, latency 1ms, 0 in flight",
		"web web-3 1001000 draining: draining",
		"web web-4 2001000 damped: damped for flapping",
		"web web-5 3001000 ejected: on a dead node",
	}
	if len(got) != len(want) {
		t.Fatalf("routes %q, want %q", got, want)
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("route %d = %q, want %q", i, got[i], want[i])
		}
	}
	if v := r.Routes(start, "nobody"); v == nil || len(v) != 0 {
		t.Errorf("routes of an unknown service = %v, want an empty list", v)
	}
}

func TestChoicesRepeatWithTheSeed(t *testing.T) {
	draw := func(seed uint64) string {
		r := newRouter(seed, instance(1), instance(2), instance(3), instance(4))
		var b strings.Builder
		for range 64 {
			b.WriteString(mustPick(t, r, start, web).Route.Instance.ID)
		}
		return b.String()
	}
	first, again := draw(1), draw(1)
	if first != again {
		t.Error("the same seed gave other choices")
	}
	if draw(1) == draw(2) {
		t.Error("two seeds gave the same choices")
	}
}
