package router

import (
	"cmp"
	"slices"
	"time"

	micronet "github.com/micro/micro-net"
)

// Candidate is one way to one instance, usable or not: what is not usable explains refusals.
type Candidate struct {
	micronet.Route
	Cost     time.Duration // configured cost, for instance of crossing a link
	Draining bool          // its owner asked for no new connections
	Damped   bool          // flaps; used only when its service has nothing better
	Damping  Damping       // of a damped one, for people; zero: not known
	Down     string        // why its node cannot be used ("its node is dead"), "" when it can
}

// Damping is what Damper.State says of a damped instance.
type Damping struct {
	Until   time.Time
	Penalty float64 // in flaps, at the time of the update
}

// entry is a candidate in a table. It never changes.
type entry struct {
	route  micronet.Route
	idle   string // why it gets no traffic, "" when it may
	drain  bool   // idle because it drains
	damped bool
	until  time.Time // damped until then, zero when not known
	flaps  float64   // its penalty
	path   float64   // round trip plus configured cost, nanoseconds
	share  float64   // mean weight of the service / own weight
	weight uint64
	stats  *stats
}

func newEntry(c *Candidate, s *stats) *entry {
	e := &entry{route: c.Route, damped: c.Damped, until: c.Damping.Until, flaps: c.Damping.Penalty, stats: s, share: 1}
	e.path = float64(max(c.RTT, 0) + max(c.Cost, 0))
	e.weight = micronet.DefaultWeight
	if c.Instance.Weight > 0 {
		e.weight = uint64(c.Instance.Weight)
	}
	switch {
	case c.Down != "":
		e.idle = c.Down
	case !c.Instance.Health.Serving():
		e.idle = string(c.Instance.Health)
		if e.idle == "" {
			e.idle = "of unknown health"
		}
	case c.Draining:
		e.idle, e.drain = "draining", true
	}
	return e
}

func (e *entry) cost(nanos int64) float64 {
	return expectedCost(e.path, e.stats.latency(nanos), e.share, e.stats.inFlight.Load())
}

// compareEntries orders by path, then by instance, so that equal inputs give equal tables.
func compareEntries(a, b *entry) int {
	return cmp.Or(cmp.Compare(a.path, b.path), a.route.Node.Compare(b.route.Node),
		cmp.Compare(a.route.Instance.ID, b.route.Instance.ID))
}

// table is an immutable snapshot: for each destination that can be asked for, who can answer.
type table struct {
	groups map[micronet.Destination]*group
}

// newTable indexes entries, one for each instance.
func newTable(entries []*entry) *table {
	members := make(map[micronet.Destination][]*entry)
	for _, e := range entries {
		for _, d := range destinations(&e.route) {
			members[d] = append(members[d], e)
		}
	}
	t := &table{groups: make(map[micronet.Destination]*group, len(members))}
	for d, es := range members {
		if d.Tag == "" && d.Cluster == "" {
			setShares(es)
		}
	}
	for d, es := range members {
		t.groups[d] = newGroup(es)
	}
	return t
}

// cheapest keeps one of several ways to one instance: two would count its weight twice.
func cheapest(entries []*entry) []*entry {
	slices.SortFunc(entries, compareEntries)
	have := make(map[*stats]bool, len(entries))
	return slices.DeleteFunc(entries, func(e *entry) bool {
		again := have[e.stats]
		have[e.stats] = true
		return again
	})
}

// destinations lists what an instance may be asked for as. Tags are a set.
func destinations(r *micronet.Route) []micronet.Destination {
	service := r.Instance.Service
	ds := []micronet.Destination{{Service: service}}
	for i, tag := range r.Instance.Tags {
		if tag != "" && !slices.Contains(r.Instance.Tags[:i], tag) {
			ds = append(ds, micronet.Destination{Service: service, Tag: tag})
		}
	}
	if r.Cluster == "" {
		return ds
	}
	for _, d := range ds[:len(ds):len(ds)] {
		d.Cluster = r.Cluster
		ds = append(ds, d)
	}
	return ds
}

func setShares(es []*entry) {
	var sum, n float64
	for _, e := range es {
		if e.idle == "" {
			sum += float64(e.weight)
			n++
		}
	}
	if n == 0 {
		return
	}
	for _, e := range es {
		e.share = sum / n / float64(e.weight)
	}
}
