package router

import (
	"math"
	"slices"
	"time"

	micronet "github.com/micro/micro-net"
)

// DampConfig is the curve of damping, that of RFC 2439 (BGP Route Flap Damping): each flap adds to a
// penalty, which halves every HalfLife. From Suppress on the instance is damped, until the penalty
// has fallen to Reuse. Zero fields take the default.
//
// The figures. Micro's router (go-micro v1.9) had a penalty of 1000 for a deletion, suppressed above
// 2000, reused below 750 and forgot after 5 minutes. These proportions are kept, in units of one
// flap. Its half-life of 2 s let an instance back four seconds after its last flap; BGP counts in
// minutes. Here it is two minutes: three flaps at once damp for four minutes, flaps that are two
// minutes apart or more do not damp. RFC 7196 asks for high thresholds, because richly connected
// routers see one flap as many updates; here a flap counts once, as its owner signed it.
type DampConfig struct {
	Flap     float64       // penalty of a flap; 1
	Suppress float64       // damped from this penalty on; 2
	Reuse    float64       // used again from this one down; 0.75
	HalfLife time.Duration // 2 min. Longer: flaps further apart are seen as one trouble
	Longest  time.Duration // 10 min: the longest damping after the last flap, however many there were
	Hold     time.Duration // 2 s: the shortest after a failure, so that one that flaps fast does not come and go until it is damped
	Memory   time.Duration // 5 min: an instance that is added again so long after its removal is a new one
}

// Defaults of DampConfig.
const (
	DefaultFlap       = 1
	DefaultSuppress   = 2
	DefaultReuse      = 0.75
	DefaultHalfLife   = 2 * time.Minute
	DefaultDampMax    = 10 * time.Minute
	DefaultDampHold   = 2 * time.Second
	DefaultDampMemory = 5 * time.Minute
)

// MaxDamped bounds the instances with a penalty, MaxDampedPerNode those of one owner: nobody can
// use up the table with instances that come and go. Flaps of further ones are not counted.
const (
	MaxDamped        = 65536
	MaxDampedPerNode = 1024
)

// EnsureDefaults fills what is zero.
func (c DampConfig) EnsureDefaults() DampConfig {
	orDefault(&c.Flap, DefaultFlap)
	orDefault(&c.Suppress, DefaultSuppress)
	orDefault(&c.Reuse, DefaultReuse)
	orDefault(&c.HalfLife, DefaultHalfLife)
	orDefault(&c.Longest, DefaultDampMax)
	orDefault(&c.Hold, DefaultDampHold)
	orDefault(&c.Memory, DefaultDampMemory)
	return c
}

func orDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// decayed is what is left of a penalty.
func (c *DampConfig) decayed(penalty float64, age time.Duration) float64 {
	return penalty * math.Exp2(-float64(max(age, 0))/float64(c.HalfLife))
}

// falls is how long a penalty takes to fall to a lower one.
func (c *DampConfig) falls(from, to float64) time.Duration {
	if from <= to {
		return 0
	}
	return time.Duration(math.Log2(from/to) * float64(c.HalfLife))
}

// ceiling is the highest penalty: it takes Longest to fall to Reuse.
func (c *DampConfig) ceiling() float64 {
	return c.Reuse * math.Exp2(float64(c.Longest)/float64(c.HalfLife))
}

// Flap is something that an owner said of an instance, with its signature.
type Flap uint8

// The kinds of a flap.
const (
	Failed    Flap = iota // it served and does not serve now
	Removed               // it is gone. No flap yet: services end
	Added                 // it is there. A flap when it was removed lately
	Restarted             // its owner began a new epoch: one flap, whatever it says of the instance meanwhile
)

// Damper counts flaps. Only what an owner signed is one: that a node is out of sight says nothing
// about its instances. Not safe for concurrent use.
type Damper struct {
	config DampConfig
	marks  map[micronet.InstanceKey]*mark
	held   map[micronet.NodeID]int // marks of each owner
	owners map[micronet.NodeID]*announced

	watched int // instances in owners
	ignored uint64
}

// mark is what stands against one instance.
type mark struct {
	penalty float64
	at      time.Time // when penalty was true
	held    time.Time // damped until then, whatever the penalty
	gone    time.Time // removed then; zero: it is there
	damped  bool      // by its penalty
	told    bool      // Sweep counts it among the damped
}

// NewDamper returns a damper that has seen nothing.
func NewDamper(c DampConfig) *Damper {
	return &Damper{
		config: c.EnsureDefaults(),
		marks:  make(map[micronet.InstanceKey]*mark),
		held:   make(map[micronet.NodeID]int),
		owners: make(map[micronet.NodeID]*announced),
	}
}

// Ignored is how many flaps were not counted because a bound was met.
func (d *Damper) Ignored() uint64 { return d.ignored }

// Transition counts a flap of an instance.
func (d *Damper) Transition(now time.Time, key micronet.InstanceKey, flap Flap) {
	m := d.marks[key]
	if m == nil && flap != Added {
		m = d.mark(now, key)
	}
	if m == nil {
		return
	}
	switch flap {
	case Removed:
		m.gone = now
	case Added:
		if !m.gone.IsZero() && now.Sub(m.gone) <= d.config.Memory {
			d.punish(now, m)
			m.held = now.Add(d.config.Hold)
		}
		m.gone = time.Time{}
	case Failed:
		d.punish(now, m)
		m.held = now.Add(d.config.Hold)
	case Restarted:
		d.punish(now, m)
		m.gone = time.Time{}
	}
}

// mark makes a mark, nil when there are too many.
func (d *Damper) mark(now time.Time, key micronet.InstanceKey) *mark {
	if len(d.marks) >= MaxDamped || d.held[key.Node] >= MaxDampedPerNode {
		d.ignored++
		return nil
	}
	m := &mark{at: now}
	d.marks[key] = m
	d.held[key.Node]++
	return m
}

func (d *Damper) unmark(key micronet.InstanceKey) {
	delete(d.marks, key)
	if d.held[key.Node]--; d.held[key.Node] == 0 {
		delete(d.held, key.Node)
	}
}

func (d *Damper) punish(now time.Time, m *mark) {
	left := d.config.decayed(m.penalty, now.Sub(m.at))
	m.damped = m.damped && left > d.config.Reuse
	m.penalty, m.at = min(left+d.config.Flap, d.config.ceiling()), now
	m.damped = m.damped || m.penalty >= d.config.Suppress
}

// State reports whether an instance is damped, until when if nothing happens, and its penalty in
// flaps.
func (d *Damper) State(now time.Time, key micronet.InstanceKey) (damped bool, until time.Time, penalty float64) {
	m := d.marks[key]
	if m == nil {
		return false, time.Time{}, 0
	}
	penalty = d.config.decayed(m.penalty, now.Sub(m.at))
	if until = d.until(m); now.Before(until) {
		return true, until, penalty
	}
	return false, time.Time{}, penalty
}

func (d *Damper) until(m *mark) time.Time {
	until := m.held
	if m.damped {
		if t := m.at.Add(d.config.falls(m.penalty, d.config.Reuse)); t.After(until) {
			until = t
		}
	}
	return until
}

// Sweep forgets what is over. It returns the instances that became damped, or ceased to be, since
// the last Sweep, sorted, and when the next one ceases to be: zero when none is damped. Call it
// after transitions and at that time.
func (d *Damper) Sweep(now time.Time) (changed []micronet.InstanceKey, next time.Time) {
	for key, m := range d.marks {
		until := d.until(m)
		damped := now.Before(until)
		if damped != m.told {
			m.told = damped
			changed = append(changed, key)
		}
		switch {
		case damped && (next.IsZero() || until.Before(next)):
			next = until
		case !damped && d.over(now, m):
			d.unmark(key)
		}
	}
	slices.SortFunc(changed, compareKeys)
	return changed, next
}

// over reports whether a mark has no effect any more. Below half of Reuse a penalty is none, as
// BGP routers have it.
func (d *Damper) over(now time.Time, m *mark) bool {
	return d.config.decayed(m.penalty, now.Sub(m.at)) < d.config.Reuse/2 &&
		(m.gone.IsZero() || now.Sub(m.gone) > d.config.Memory)
}
