package router

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
)

// reference is the rule of Pick written down without index, sampling or atomics.
type reference struct {
	candidates []Candidate
	inFlight   map[micronet.InstanceKey]int
	until      map[micronet.InstanceKey]time.Time
	latency    map[micronet.InstanceKey]float64 // fed at one instant, so nothing fades
}

func (m *reference) matches(c *Candidate, to micronet.Destination) bool {
	return c.Instance.Service == to.Service && c.Instance.HasTag(to.Tag) && (to.Cluster == "" || c.Cluster == to.Cluster)
}

func usable(c *Candidate) bool { return c.Down == "" && !c.Draining && c.Instance.Health.Serving() }

func (m *reference) cost(c *Candidate) float64 {
	var sum, n float64
	for i := range m.candidates {
		if o := &m.candidates[i]; o.Instance.Service == c.Instance.Service && usable(o) {
			sum, n = sum+float64(o.Instance.Weight), n+1
		}
	}
	latency, known := m.latency[c.Key()]
	if !known {
		latency = unknownLatency
	}
	return float64(c.RTT+c.Cost) + latency*(1+float64(m.inFlight[c.Key()])*sum/n/float64(c.Instance.Weight))
}

// equals returns who may be picked with what probability, nil when nobody.
func (m *reference) equals(now time.Time, to micronet.Destination, tried []micronet.InstanceKey) map[micronet.InstanceKey]float64 {
	var pool []*Candidate
	for _, damped := range []bool{false, true} {
		for i := range m.candidates {
			if c := &m.candidates[i]; m.matches(c, to) && usable(c) && c.Damped == damped {
				pool = append(pool, c)
			}
		}
		if len(pool) > 0 {
			break
		}
	}
	pool = slices.DeleteFunc(pool, func(c *Candidate) bool { return slices.Contains(tried, c.Key()) })
	up := slices.DeleteFunc(slices.Clone(pool), func(c *Candidate) bool { return m.until[c.Key()].After(now) })
	if len(up) > 0 {
		pool = up
	}
	best, sum := math.Inf(1), 0.0
	for _, c := range pool {
		best = min(best, m.cost(c))
	}
	out := make(map[micronet.InstanceKey]float64)
	for _, c := range pool {
		if m.cost(c) <= best+max(best/4, ms) {
			out[c.Key()] = float64(c.Instance.Weight)
			sum += float64(c.Instance.Weight)
		}
	}
	for k := range out {
		out[k] /= sum
	}
	return out
}

func drawCandidates(rng *rand.Rand) []Candidate {
	healths := []micronet.Health{micronet.Passing, micronet.Passing, micronet.Passing, micronet.Warning, micronet.Critical}
	var cs []Candidate
	for n := range 1 + rng.IntN(14) {
		c := instance(n, health(healths[rng.IntN(len(healths))]), weight(1+rng.IntN(300)), rtt(time.Duration(rng.IntN(5000))*time.Microsecond))
		c.Draining, c.Damped = rng.IntN(8) == 0, rng.IntN(6) == 0
		if rng.IntN(3) == 0 {
			c.Cluster = "eu"
		}
		if rng.IntN(2) == 0 {
			c.Instance.Tags = []string{"v2"}
		}
		cs = append(cs, c)
	}
	return cs
}

// TestPickAgreesWithTheReference draws whole situations and compares the distribution of picks.
func TestPickAgreesWithTheReference(t *testing.T) {
	rng := rand.New(rand.NewPCG(2026, 1))
	for round := range 150 {
		m := &reference{drawCandidates(rng), map[micronet.InstanceKey]int{}, map[micronet.InstanceKey]time.Time{}, map[micronet.InstanceKey]float64{}}
		r := New(Config{Rand: rng, Ejected: func(e micronet.Ejection) { m.until[e.Key] = start.Add(e.For) }})
		r.Update(start, m.candidates)
		for range rng.IntN(20) {
			c, err := r.Pick(start, web, nil)
			if err != nil {
				break
			}
			live(rng, r, m, c)
		}
		comparePicks(t, rng, round, r, m)
	}
}

// live lets a choice stay in flight, fail, or end with a latency.
func live(rng *rand.Rand, r *Router, m *reference, c Choice) {
	r.Start(c)
	switch rng.IntN(3) {
	case 0:
		m.inFlight[c.Route.Key()]++
	case 1:
		r.Done(start, c, Outcome{Err: unreachable})
	case 2:
		latency := time.Duration(1+rng.IntN(40)) * time.Millisecond
		m.latency[c.Route.Key()] = max(m.latency[c.Route.Key()], float64(latency))
		r.Done(start, c, Outcome{Latency: latency})
	}
}

func comparePicks(t *testing.T, rng *rand.Rand, round int, r *Router, m *reference) {
	t.Helper()
	const picks = 3000
	to := micronet.Destination{Service: "web", Tag: []string{"", "v2"}[rng.IntN(2)], Cluster: []string{"", "eu"}[rng.IntN(2)]}
	var tried []micronet.InstanceKey
	if rng.IntN(3) == 0 {
		tried = append(tried, m.candidates[0].Key())
	}
	now := start.Add(time.Duration(rng.IntN(2)) * time.Millisecond)
	want := m.equals(now, to, tried)
	got := make(map[micronet.InstanceKey]float64)
	for range picks {
		c, err := r.Pick(now, to, tried)
		if (err != nil) != (len(want) == 0) {
			t.Fatalf("round %d: Pick(%v) error %v, want candidates %v", round, to, err, want)
		}
		if err != nil {
			return
		}
		got[c.Route.Key()] += 1.0 / picks
	}
	for k := range got {
		if _, ok := want[k]; !ok {
			t.Fatalf("round %d: Pick(%v) gave %s, want one of %v", round, to, k.ID, want)
		}
	}
	for k, p := range want {
		if math.Abs(got[k]-p) > 0.05 {
			t.Errorf("round %d: Pick(%v) gave %s %.3f of the time, want %.3f", round, to, k.ID, got[k], p)
		}
	}
}
