package router

import (
	"slices"
	"sort"

	micronet "github.com/micro/micro-net"
)

const (
	// scanMax is the largest group of which every member is looked at. More: better choices in
	// larger groups; each member costs about 20 ns.
	scanMax = 16

	// drawTries bounds the draws for one place of the sample when ejected or already tried
	// instances come up.
	drawTries = 4
)

// group is who can answer one destination. It never changes.
type group struct {
	ready  []*entry // may get traffic; sorted by path
	sums   []uint64 // sums[i] is the weight of ready[:i+1]
	tiers  []int    // where each run of equal path costs ends in ready
	others []*entry // may not, or are damped while others are there
}

// newGroup takes members sorted by path. The damped are used when there is nobody else.
func newGroup(members []*entry) *group {
	g := &group{}
	var damped []*entry
	for _, e := range members {
		switch {
		case e.idle != "":
			g.others = append(g.others, e)
		case e.damped:
			damped = append(damped, e)
		default:
			g.ready = append(g.ready, e)
		}
	}
	if len(g.ready) == 0 {
		g.ready = damped
	} else {
		g.others = append(g.others, damped...)
	}
	g.index()
	return g
}

func (g *group) index() {
	g.sums = make([]uint64, len(g.ready))
	sum, limit := uint64(0), -1.0
	for i, e := range g.ready {
		sum += e.weight
		g.sums[i] = sum
		if e.path > limit {
			if i > 0 {
				g.tiers = append(g.tiers, i)
			}
			limit = band(e.path)
		}
	}
	if len(g.ready) > 0 {
		g.tiers = append(g.tiers, len(g.ready))
	}
}

// question is one call of Pick.
type question struct {
	nanos int64
	tried []micronet.InstanceKey
	roll  roll
}

// open reports whether e may be taken. Ejected instances are open to those who find no other.
func (q *question) open(e *entry, ejected bool) bool {
	return (ejected || !e.stats.ejected(q.nanos)) && (len(q.tried) == 0 || !slices.Contains(q.tried, e.route.Key()))
}

func (g *group) pick(q *question) *entry {
	if len(g.ready) > scanMax {
		if e := g.sample(q); e != nil {
			return e
		}
	}
	if e := g.scan(q, false); e != nil {
		return e
	}
	return g.scan(q, true)
}

// scan looks at all: it finds the best, then draws by weight among its equals.
func (g *group) scan(q *question, ejected bool) *entry {
	var chosen *entry
	best := 0.0
	for _, e := range g.ready {
		if !q.open(e, ejected) {
			continue
		}
		if c := e.cost(q.nanos); chosen == nil || c < best {
			chosen, best = e, c
		}
	}
	if chosen == nil {
		return nil
	}
	limit, sum := band(best), uint64(0)
	for _, e := range g.ready {
		if !q.open(e, ejected) || e.cost(q.nanos) > limit {
			continue
		}
		// Each member takes the place of those before it with the probability of its share.
		sum += e.weight
		if q.roll.below(sum) < e.weight {
			chosen = e
		}
	}
	return chosen
}

// sample looks at four: two of the nearest tier that has someone, two of all behind it.
func (g *group) sample(q *question) *entry {
	var drawn [4]*entry
	n := 0
	from := 0
	for _, to := range g.tiers {
		if n = g.draw(q, from, to, drawn[:0:2]); n > 0 {
			n += g.draw(q, to, len(g.ready), drawn[n:n:n+2])
			break
		}
		from = to
	}
	return firstEqual(drawn[:n], q.nanos)
}

// draw fills out to its capacity with members of ready[from:to], drawn by weight, and returns
// how many it found.
func (g *group) draw(q *question, from, to int, out []*entry) int {
	for range cap(out) {
		for range drawTries {
			if from == to {
				return len(out)
			}
			if e := g.drawOne(q, from, to); q.open(e, false) {
				out = append(out, e)
				break
			}
		}
	}
	return len(out)
}

func (g *group) drawOne(q *question, from, to int) *entry {
	base := uint64(0)
	if from > 0 {
		base = g.sums[from-1]
	}
	at := base + q.roll.below(g.sums[to-1]-base)
	i := from + sort.Search(to-from, func(i int) bool { return g.sums[from+i] > at })
	return g.ready[i]
}

// firstEqual returns the first whose cost equals the best, nil of none.
func firstEqual(es []*entry, nanos int64) *entry {
	var costs [4]float64
	best := 0.0
	for i, e := range es {
		costs[i] = e.cost(nanos)
		if i == 0 || costs[i] < best {
			best = costs[i]
		}
	}
	limit := band(best)
	for i, e := range es {
		if costs[i] <= limit {
			return e
		}
	}
	return nil
}
