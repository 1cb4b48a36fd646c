package sim

import (
	"fmt"
	"slices"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/node/api"
	"github.com/micro/micro-net/sim/report"
	"github.com/micro/micro-net/sim/scenario"
)

// verdict is how an expectation ended.
type verdict struct {
	held     bool
	judged   bool
	measured string
}

// planExpectations plans to look at the times that expectations name. The rest is judged at the end.
func (m *mesh) planExpectations() {
	for i := range m.scenario.Expect {
		e := &m.scenario.Expect[i]
		judge := func(look func() verdict) func() { return func() { m.judge(i, look()) } }
		switch c := e.Condition.(type) {
		case scenario.Always:
			m.always = append(m.always, c.Invariants...)
		case scenario.Resolves:
			m.agenda.put(c.At, judge(func() verdict { return m.lookResolves(c) }))
		case scenario.Status:
			m.agenda.put(c.At, judge(func() verdict { return m.lookStatus(c) }))
		case scenario.Path:
			m.agenda.put(c.At, judge(func() verdict { return m.lookPath(c) }))
		case scenario.Warns:
			m.agenda.put(c.At, judge(func() verdict { return m.lookWarns(c) }))
		case scenario.Converged:
			if c.AfterHeal == 0 {
				m.agenda.put(c.At+c.Within, judge(func() verdict { return m.lookConverged(c) }))
			}
		}
	}
}

// judge notes how an expectation ended; one that failed once has failed.
func (m *mesh) judge(i int, v verdict) {
	v.judged = true
	m.verdicts[i] = v
	if !v.held {
		m.fail("", m.scenario.Expect[i].Condition.Key(), m.scenario.Expect[i].Text+": "+v.measured)
	}
}

// judgeAll judges what is known only at the end.
func (m *mesh) judgeAll() {
	for i := range m.scenario.Expect {
		switch c := m.scenario.Expect[i].Condition.(type) {
		case scenario.Always:
			m.judgeAlways(i, c)
		case scenario.SuccessRate:
			m.judge(i, m.lookSuccess(c))
		case scenario.Latency:
			m.judge(i, m.lookLatency(c))
		case scenario.Pauses:
			m.judge(i, m.lookPauses(c))
		case scenario.FailsWithin:
			m.judge(i, m.lookFailures(c))
		case scenario.GoneWithin:
			m.judge(i, m.lookGone(c))
		case scenario.KnownWithin:
			m.judge(i, m.lookKnown(c))
		case scenario.RevokedWithin:
			m.judge(i, m.lookRevoked(c))
		case scenario.Converged:
			if c.AfterHeal > 0 {
				m.judge(i, m.lookHeals(c))
			}
		}
	}
}

// judgeAlways sums up what checkInvariants has told of already.
func (m *mesh) judgeAlways(i int, c scenario.Always) {
	broken := map[string]int{}
	for _, f := range m.failures {
		broken[f.invariant]++
	}
	v := verdict{held: true, judged: true, measured: "never broken"}
	for _, inv := range c.Invariants {
		if n := broken[string(inv)]; n > 0 {
			v.held, v.measured = false, fmt.Sprintf("%s was broken %d times", inv, n)
		}
	}
	m.verdicts[i] = v
}

func (m *mesh) lookConverged(c scenario.Converged) verdict {
	m.observer.look()
	among := everybody
	if !c.Among.IsZero() {
		list := set(m.selected(c.Among))
		among = func(x *machine) bool { return list[x] }
	}
	a := m.observer.agreement(among)
	if !a.full() {
		return verdict{measured: fmt.Sprintf("members agree to %.1f %%, catalogs to %.1f %%: %s", 100*a.members, 100*a.catalog, a.whyMembers)}
	}
	return verdict{held: true, measured: "membership and catalog are equal everywhere"}
}

// lookHeals: after each time the mesh became whole, unless it was broken again or the run ended first.
func (m *mesh) lookHeals(c scenario.Converged) verdict {
	v := verdict{held: true, measured: "the mesh was never healed"}
	worst := time.Duration(0)
	for i, h := range m.observer.heals {
		if i == 0 && len(m.observer.heals) > 1 && h.at < firstSteps {
			continue // the beginning is not a healing
		}
		switch {
		case h.took > 0 && h.took <= c.AfterHeal:
			worst = max(worst, h.took)
			v.measured = fmt.Sprintf("converged within %s", worst.Round(10*time.Millisecond))
		case h.took == 0 && m.brokenAgain(i, c.AfterHeal):
		default:
			return verdict{measured: fmt.Sprintf("healed at %s, converged after %s", h.at.Round(time.Millisecond), after(h.took))}
		}
	}
	return v
}

// firstSteps is how long a mesh may take to come up.
const firstSteps = 30 * time.Second

// brokenAgain reports whether the time after the ith healing was too short to judge it.
func (m *mesh) brokenAgain(i int, need time.Duration) bool {
	end := m.scenario.Duration
	if i+1 < len(m.observer.heals) {
		end = m.observer.heals[i].until
	}
	if m.observer.heals[i].until > 0 {
		end = m.observer.heals[i].until
	}
	return end-m.observer.heals[i].at < need
}

func after(d time.Duration) string {
	if d == 0 {
		return "never"
	}
	return d.Round(10 * time.Millisecond).String()
}

func (m *mesh) lookResolves(c scenario.Resolves) verdict {
	m.observer.look()
	from := set(m.selected(c.From))
	for i := range m.observer.seen {
		s := &m.observer.seen[i]
		if n := len(s.Offered(c.Service)); from[s.machine] && n != c.Instances {
			return verdict{measured: fmt.Sprintf("%s offers %d instances", s.machine.name, n)}
		}
	}
	return verdict{held: true, measured: fmt.Sprintf("%d nodes offer %d instances", len(from), c.Instances)}
}

func (m *mesh) lookStatus(c scenario.Status) verdict {
	want := micronet.NodeStatus(c.Is)
	return m.lookNodes(c.SeenBy, c.Nodes, string(want), func(by, of string, n *micronet.Node) (string, bool) {
		return fmt.Sprintf("%s shows %s as %s", by, of, n.Status), n.Status == want
	})
}

func (m *mesh) lookPath(c scenario.Path) verdict {
	return m.lookNodes(c.From, c.To, string(c.Is), func(from, to string, n *micronet.Node) (string, bool) {
		kind := n.Path
		if n.TCP && (n.Path == micronet.PathDirect || c.Is == scenario.OverTCP) {
			kind = micronet.PathKind(scenario.OverTCP)
		}
		if n.Lanes > 0 && c.Is == scenario.OverLanes {
			kind = micronet.PathKind(scenario.OverLanes)
		}
		return fmt.Sprintf("the path of %s to %s is %q", from, to, kind), kind == micronet.PathKind(c.Is)
	})
}

// lookNodes asks about what some nodes believe of others, each time whether it is as it should be, and what it is.
func (m *mesh) lookNodes(believers, others scenario.Selector, want string, is func(by, of string, n *micronet.Node) (string, bool)) verdict {
	m.observer.look()
	by, of := set(m.selected(believers)), set(m.selected(others))
	count := 0
	for i := range m.observer.seen {
		s := &m.observer.seen[i]
		for j := range s.Nodes {
			n := &s.Nodes[j]
			x := m.machineOf(n.ID)
			if !by[s.machine] || !of[x] || x == s.machine || x.id != n.ID {
				continue
			}
			if found, ok := is(s.machine.name, x.name, n); !ok {
				return verdict{measured: found}
			}
			count++
		}
	}
	return verdict{held: count > 0, measured: fmt.Sprintf("%d times %s", count, want)}
}

func (m *mesh) lookWarns(c scenario.Warns) verdict {
	list := m.selected(c.Nodes)
	for _, x := range list {
		if x.state != running {
			return verdict{measured: x.name + " does not run"}
		}
		shown := slices.ContainsFunc(x.life.node.Warnings(), func(w api.Warning) bool { return w.Code == c.Code })
		if shown != c.Shown {
			return verdict{measured: fmt.Sprintf("%s shows it: %v", x.name, shown)}
		}
	}
	return verdict{held: len(list) > 0, measured: fmt.Sprintf("%d nodes show it: %v", len(list), c.Shown)}
}

func (m *mesh) lookSuccess(c scenario.SuccessRate) verdict {
	calls := m.traffic.of(c.Service, c.Outside)
	good := 0
	why := map[string]int{}
	for _, x := range calls {
		if x.err == nil {
			good++
		} else {
			why[x.err.Error()]++
		}
	}
	rate := 1.0
	if len(calls) > 0 {
		rate = float64(good) / float64(len(calls))
	}
	text := fmt.Sprintf("%.3f %% of %d calls", 100*rate, len(calls))
	if word := commonest(why); word != "" {
		text += "; most failed with: " + word
	}
	return verdict{held: len(calls) > 0 && rate >= c.AtLeast, measured: text}
}

func commonest(words map[string]int) string {
	best := ""
	for w, n := range words {
		if n > words[best] || (n == words[best] && w < best) {
			best = w
		}
	}
	return best
}

func (m *mesh) lookLatency(c scenario.Latency) verdict {
	calls := m.traffic.of(c.Service, c.Outside)
	q := quantile(calls, c.Quantile)
	return verdict{held: len(calls) > 0 && q <= c.AtMost, measured: fmt.Sprintf("%s of %d calls", q.Round(10*time.Microsecond), len(calls))}
}

func (m *mesh) lookPauses(c scenario.Pauses) verdict {
	list := m.traffic.pausesOf(c.Service, c.Outside)
	if len(list) == 0 {
		return verdict{measured: "no stream stood still"}
	}
	q := quantile(list, c.Quantile)
	return verdict{held: q <= c.AtMost, measured: fmt.Sprintf("%s of %d pauses", q.Round(time.Millisecond), len(list))}
}

func (m *mesh) lookFailures(c scenario.FailsWithin) verdict {
	worst, count := time.Duration(0), 0
	for _, x := range m.traffic.of(c.Service, c.Outside) {
		if x.err != nil {
			worst, count = max(worst, x.stood), count+1
		}
	}
	return verdict{held: count > 0 && worst <= c.AtMost, measured: fmt.Sprintf("%s at most, %d failed", worst.Round(time.Millisecond), count)}
}

// lookGone uses the times at which nobody offered an instance any more; see watchGone.
func (m *mesh) lookGone(c scenario.GoneWithin) verdict {
	worst, count := time.Duration(0), 0
	for _, g := range m.departures {
		if g.verb != c.After || !slices.ContainsFunc(m.selected(c.ServiceOn), func(x *machine) bool { return x == g.machine }) {
			continue
		}
		if g.back && g.took <= c.AtMost {
			continue
		}
		if !g.over {
			return verdict{measured: fmt.Sprintf("%s is still offered at the end", g.machine.name)}
		}
		count++
		worst = max(worst, g.took)
	}
	return verdict{held: count > 0 && worst <= c.AtMost, measured: fmt.Sprintf("%s at most, %d times", worst.Round(time.Millisecond), count)}
}

// lookKnown uses the times at which everybody knew a registration; see watchArrival.
func (m *mesh) lookKnown(c scenario.KnownWithin) verdict {
	worst, count := time.Duration(0), 0
	for _, a := range m.arrivals {
		if a.service.spec.Name != c.Service || a.moot {
			continue
		}
		if !a.over {
			return verdict{measured: fmt.Sprintf("%s at %s is not known to all at the end", c.Service, a.machine.name)}
		}
		count++
		worst = max(worst, a.took)
	}
	return verdict{held: count > 0 && worst <= c.AtMost, measured: fmt.Sprintf("%s at most, %d times", worst.Round(time.Millisecond), count)}
}

// expectations are the sentences of the scenario for the report.
func (m *mesh) expectations() []report.Expectation {
	out := make([]report.Expectation, len(m.scenario.Expect))
	for i := range out {
		v := m.verdicts[i]
		out[i] = report.Expectation{Text: m.scenario.Expect[i].Text, Held: v.held && v.judged, Measured: v.measured}
	}
	return out
}
