package sim

import (
	"cmp"
	"math"
	"runtime"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/node"
	"github.com/micro/micro-net/sim/report"
)

const (
	// sampleEvery is how often everybody's belief is compared with the truth.
	sampleEvery = time.Second
	// watchEvery is how often it is while a mesh that became whole has not converged yet.
	watchEvery = 250 * time.Millisecond
	watchFor   = time.Minute
)

// observer asks all daemons what they believe, and compares it with the truth.
type observer struct {
	mesh    *mesh
	samples []report.Sample
	wholeAt time.Duration // when the mesh became whole, never while it is not
	settled bool          // it has converged since
	heals   []heal
	seen    []sight
	ticks   int // only the tick planned last counts
	traffic meter
}

// heal is a time at which the mesh became whole.
type heal struct {
	at    time.Duration
	took  time.Duration // until it had converged, 0: not yet
	until time.Duration // when it was broken again, 0: not yet
}

// sight is what one daemon believes.
type sight struct {
	machine *machine
	node.Snapshot
}

func newObserver(m *mesh) *observer {
	return &observer{mesh: m, wholeAt: never, traffic: newMeter()}
}

// plan begins to look.
func (o *observer) plan() { o.mesh.agenda.put(o.mesh.now(), o.tick) }

func (o *observer) tick() {
	m := o.mesh
	every := sampleEvery
	o.look()
	m.checkInvariants(o.seen)
	agreed := o.agreement(everybody)
	if o.watching(agreed) {
		every = watchEvery
	}
	if n := len(o.samples); n == 0 || m.now()-o.samples[n-1].At >= sampleEvery {
		o.samples = append(o.samples, o.sample(agreed))
	}
	o.lookAfter(every)
}

// lookAfter plans the next look, in the place of the one that was planned.
func (o *observer) lookAfter(d time.Duration) {
	o.ticks++
	number := o.ticks
	o.mesh.agenda.put(o.mesh.now()+d, func() {
		if number == o.ticks {
			o.tick()
		}
	})
}

// look asks all daemons.
func (o *observer) look() {
	o.seen = o.seen[:0]
	for _, x := range o.mesh.machines {
		if s, ok := x.snapshot(); ok {
			x.id = s.Self
			o.mesh.learn(s.Self, x)
			o.seen = append(o.seen, sight{x, s})
		}
	}
}

// connected notes when the mesh becomes whole, and when it is broken again.
func (o *observer) connected(whole bool) {
	now := o.mesh.now()
	switch n := len(o.heals); {
	case whole && o.wholeAt == never:
		o.wholeAt, o.settled = now, false
		o.heals = append(o.heals, heal{at: now})
		o.lookAfter(watchEvery)
	case !whole && o.wholeAt != never:
		o.wholeAt = never
		o.heals[n-1].until = now
	}
}

// watching notes when the mesh has converged after it became whole, and reports whether that is
// still to come.
func (o *observer) watching(a agreement) bool {
	if o.wholeAt == never || o.settled {
		return false
	}
	if a.full() {
		o.settled = true
		o.heals[len(o.heals)-1].took = max(o.mesh.now()-o.wholeAt, 1)
	}
	return !o.settled && o.mesh.now()-o.wholeAt < watchFor
}

// agreement is how far beliefs are the truth.
type agreement struct {
	members, catalog     float64
	alive, suspect, dead float64
	whyMembers           string // the first pair that does not agree
}

func (a agreement) full() bool { return a.members == 1 && a.catalog == 1 }

// everybody is a choice of all machines.
func everybody(*machine) bool { return true }

// agreement compares what some machines believe of each other with the truth, and their catalogs.
func (o *observer) agreement(among func(*machine) bool) agreement {
	var a agreement
	pairs, right, sums := 0, 0, map[[32]byte]int{}
	for i := range o.seen {
		s := &o.seen[i]
		if !s.machine.judged() || !among(s.machine) {
			continue
		}
		sums[s.Catalog]++
		for _, n := range s.Nodes {
			a.count(n.Status)
			x := o.mesh.machineOf(n.ID)
			if x == nil || x == s.machine || x.isStalled() || x.doubtful() || !among(x) {
				continue
			}
			pairs++
			if believed(x, n.ID, n.Status) {
				right++
			} else if a.whyMembers == "" {
				a.whyMembers = s.machine.name + " takes " + x.name + " for " + string(n.Status)
			}
		}
		missing := o.missing(s, among)
		pairs += missing
		if missing > 0 && a.whyMembers == "" {
			a.whyMembers = s.machine.name + " does not know all nodes"
		}
		if name, twice := s.namesakes(); twice > 0 {
			pairs += twice
			a.whyMembers = cmp.Or(a.whyMembers, s.machine.name+" knows two nodes called "+name)
		}
	}
	a.finish(pairs, right, sums, o.running(among))
	return a
}

func (a *agreement) count(s micronet.NodeStatus) {
	switch s {
	case micronet.Alive:
		a.alive++
	case micronet.Suspect:
		a.suspect++
	case micronet.Dead:
		a.dead++
	}
}

func (a *agreement) finish(pairs, right int, sums map[[32]byte]int, running int) {
	nodes, most := 0, 0
	for _, n := range sums {
		nodes += n
		most = max(most, n)
	}
	a.members, a.catalog = 1, 1
	if pairs > 0 {
		a.members = float64(right) / float64(pairs)
	}
	if running > 0 {
		a.catalog = float64(most) / float64(running)
	}
	if nodes > 0 {
		a.alive, a.suspect, a.dead = a.alive/float64(nodes), a.suspect/float64(nodes), a.dead/float64(nodes)
	}
}

func (o *observer) running(among func(*machine) bool) (n int) {
	for _, x := range o.mesh.machines {
		if x.judged() && among(x) {
			n++
		}
	}
	return n
}

// judged reports whether a machine's beliefs count.
func (m *machine) judged() bool { return m.alive() && !m.doubtful() }

// missing counts the running machines that a daemon does not know.
func (o *observer) missing(s *sight, among func(*machine) bool) (n int) {
	known := map[*machine]bool{s.machine: true}
	for i := range s.Nodes {
		if x := o.mesh.machineOf(s.Nodes[i].ID); x != nil && x.id == s.Nodes[i].ID {
			known[x] = true
		}
	}
	for _, x := range o.mesh.machines {
		if x.judged() && among(x) && !known[x] {
			n++
		}
	}
	return n
}

// namesakes counts the nodes that share the name of another one that has not left or was revoked, and names the
// first.
func (s *sight) namesakes() (name string, n int) {
	before := ""
	for i := range s.Nodes { // sorted by name
		x := &s.Nodes[i]
		if x.Status == micronet.Left || x.Status == micronet.Revoked || x.Name == "" {
			continue
		}
		if x.Name == before {
			name = cmp.Or(name, x.Name)
			n++
		}
		before = x.Name
	}
	return name, n
}

// believed reports whether a status is the truth about a node. Who left may be taken for dead by those
// who were not told. A machine that lost its disk is another node since.
func believed(x *machine, id micronet.NodeID, s micronet.NodeStatus) bool {
	if x.state == running && x.id == id {
		return s == micronet.Alive
	}
	return s == micronet.Dead || s == micronet.Left || s == micronet.Revoked
}

func (o *observer) sample(a agreement) report.Sample {
	s := report.Sample{
		At: o.mesh.now(), Members: a.members, Catalog: a.catalog, Alive: a.alive, Suspect: a.suspect, Dead: a.dead,
		GossipBytes: math.NaN(), Goroutines: runtime.NumGoroutine(),
	}
	if n := len(o.samples); n > 0 {
		if d := s.At - o.samples[n-1].At; d > 0 {
			s.GossipBytes = float64(o.traffic.fresh()) / float64(max(1, o.running(everybody))) / d.Seconds()
		}
	}
	return s
}
