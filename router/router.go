package router

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	micronet "github.com/micro/micro-net"
)

// statsKept is how long the statistics of an instance that no table holds are kept: an owner
// that restarts finds its instances as it left them.
const statsKept = 10 * time.Minute

// Config is what a Router is made of. The zero value works.
type Config struct {
	Rand    *rand.Rand              // seeds all choices, used during New only; nil: the same choices in every process
	Ejected func(micronet.Ejection) // told of every ejection, from within Done; nil: nobody
}

// Router picks instances. All methods may be called from several goroutines; Pick, Start and
// a successful Done take no lock.
type Router struct {
	config Config // constant
	dice   dice
	table  atomic.Pointer[table]

	mu    sync.Mutex // orders updates and ejections; nothing is called under it
	stats map[micronet.InstanceKey]*stats
}

// New returns a Router that knows no instance.
func New(c Config) *Router {
	if c.Ejected == nil {
		c.Ejected = func(micronet.Ejection) {}
	}
	r := &Router{config: c, stats: make(map[micronet.InstanceKey]*stats)}
	r.dice.start(c.Rand)
	r.table.Store(&table{})
	return r
}

// Choice is a picked instance.
type Choice struct {
	Route *micronet.Route // never changes; nil in the zero Choice

	stats  *stats
	picked int64 // Unix nanoseconds
}

// Update replaces the table by one of exactly these candidates. What was learnt about an
// instance stays with its key, but for latencies that were measured over another way. The router keeps the tags and metadata it is given and does not
// change them, nor may the caller.
func (r *Router) Update(now time.Time, candidates []Candidate) {
	r.mu.Lock()
	defer r.mu.Unlock()
	entries := make([]*entry, len(candidates))
	for i := range candidates {
		entries[i] = newEntry(&candidates[i], r.statsLocked(now, candidates[i].Key()))
	}
	entries = cheapest(entries)
	for _, e := range entries {
		e.stats.followLocked(now.UnixNano(), wayOf(&e.route))
	}
	r.forgetLocked(now)
	r.table.Store(newTable(entries))
}

func (r *Router) statsLocked(now time.Time, key micronet.InstanceKey) *stats {
	s := r.stats[key]
	if s == nil {
		s = &stats{}
		r.stats[key] = s
	}
	s.seen = now.UnixNano()
	return s
}

func (r *Router) forgetLocked(now time.Time) {
	oldest := now.Add(-statsKept).UnixNano()
	for key, s := range r.stats {
		if s.seen < oldest {
			delete(r.stats, key)
		}
	}
}

// Pick chooses an instance for a destination, none of those in tried. It allocates nothing.
// Errors: NotFound when nobody offers the destination, Unreachable when nobody who offers it
// can be used.
func (r *Router) Pick(now time.Time, to micronet.Destination, tried []micronet.InstanceKey) (Choice, error) {
	t := r.table.Load()
	g := t.groups[to]
	if g == nil {
		return Choice{}, t.notFound(to)
	}
	q := question{nanos: now.UnixNano(), tried: tried, roll: r.dice.roll()}
	e := g.pick(&q)
	if e == nil {
		return Choice{}, g.unreachable(to)
	}
	return Choice{Route: &e.route, stats: e.stats, picked: q.nanos}, nil
}

// Start counts a connection or request as in flight. Call it once for a Choice that is used.
func (r *Router) Start(c Choice) { c.stats.inFlight.Add(1) }

// Done ends what Start began, and learns from the outcome. Call it once for each Start.
func (r *Router) Done(now time.Time, c Choice, o Outcome) {
	c.stats.inFlight.Add(-1)
	nanos := now.UnixNano()
	if o.Latency > 0 && c.picked > c.stats.moved.Load() {
		c.stats.observe(nanos, o.Latency)
	}
	switch {
	case Ejects(o.Err):
		r.eject(nanos, c, o.Err)
	case o.Err == nil:
		r.pardon(c)
	}
}
