package heartbeat

import (
	"math"
	"time"

	micronet "github.com/micro/micro-net"
)

// ChainConfig is what a chain is made of.
type ChainConfig struct {
	Owner      micronet.NodeID // whose chain it is
	Seed       []byte          // at least MinSeed secret random bytes, never used for another chain; not kept
	Generation uint64          // above that of every earlier chain of the owner, over restarts too
	Length     uint32          // beats; 0: DefaultLength
	Interval   time.Duration   // between beats, whole milliseconds; 0: DefaultInterval
	Wall       time.Time       // the wall clock, to see a clock that stood still; zero: Due does not look
}

// EnsureDefaults fills what is zero.
func (c ChainConfig) EnsureDefaults() ChainConfig {
	if c.Length == 0 {
		c.Length = DefaultLength
	}
	if c.Interval == 0 {
		c.Interval = DefaultInterval
	}
	return c
}

// Chain is a node's own chain: the only source of its beats. Its values are computed from
// checkpoints, in two square roots of the length (2 KiB by default), with less than one hash per
// beat on average, and a square root of the length at once.
type Chain struct {
	owner  micronet.NodeID
	anchor Anchor
	tweak  tweak
	start  time.Time
	wall   time.Time

	stride      uint32  // between checkpoints
	checkpoints []value // v[stride], v[2·stride], …, v[n]
	segment     []value // v[first], v[first+1], …: the beats up to the next checkpoint
	first       uint32
	beat        uint32 // the newest that was revealed, 0: none
}

// NewChain begins a chain. Its first beat is due at once: it starts one interval before now. The
// cost is one hash per beat. Errors: Invalid.
func NewChain(now time.Time, c ChainConfig) (*Chain, error) {
	c = c.EnsureDefaults()
	if len(c.Seed) < MinSeed {
		return nil, micronet.E(opChain, micronet.Invalid, "a seed of %d bytes: want %d or more", len(c.Seed), MinSeed).
			WithFix("read it from the node's entropy source")
	}
	ch := &Chain{
		owner:  c.Owner,
		anchor: Anchor{Length: c.Length, Interval: c.Interval, Generation: c.Generation},
		tweak:  newTweak(c.Owner, c.Generation),
		start:  now.Add(-c.Interval),
		wall:   c.Wall.Add(-c.Interval),
	}
	if c.Wall.IsZero() {
		ch.wall = time.Time{}
	}
	if err := ch.anchor.check(); err != nil {
		return nil, err
	}
	ch.build(top(c.Owner, c.Generation, c.Seed))
	return ch, nil
}

// build hashes the whole chain once and keeps the checkpoints.
func (c *Chain) build(v value) {
	n := c.anchor.Length
	c.stride = uint32(math.Ceil(math.Sqrt(float64(n))))
	c.checkpoints = make([]value, (n+c.stride-1)/c.stride)
	c.checkpoints[len(c.checkpoints)-1] = v
	for k := n; k > 0; k-- {
		if k%c.stride == 0 {
			c.checkpoints[k/c.stride-1] = v
		}
		v = c.tweak.down(k, v)
	}
	c.anchor.Value = v
}

// Anchor returns what belongs into the owner's signed document before the first beat is told.
func (c *Chain) Anchor() Anchor { return c.anchor }

// Beat returns the beat of now: its number, its value and how long ago it was due. It never goes
// back, even if now does. When the chain is spent there is none.
func (c *Chain) Beat(now time.Time) (number uint32, v [valueSize]byte, age time.Duration, ok bool) {
	elapsed := now.Sub(c.start)
	k := elapsed / c.anchor.Interval
	if k > time.Duration(c.anchor.Length) {
		return 0, value{}, 0, false
	}
	c.beat = uint32(max(k, time.Duration(c.beat), 1))
	age = max(elapsed-time.Duration(c.beat)*c.anchor.Interval, 0)
	return c.beat, c.at(c.beat), age, true
}

// at returns v[k]. Going up costs less than one hash per value.
func (c *Chain) at(k uint32) value {
	if k < c.first || k-c.first >= uint32(len(c.segment)) {
		c.load(k)
	}
	return c.segment[k-c.first]
}

// load computes the values between two checkpoints.
func (c *Chain) load(k uint32) {
	i := (k - 1) / c.stride
	c.first = i*c.stride + 1
	last := min(c.first+c.stride-1, c.anchor.Length)
	c.segment = append(c.segment[:0], make([]value, last-c.first+1)...)
	v := c.checkpoints[i]
	for at := last; at >= c.first; at-- {
		c.segment[at-c.first] = v
		v = c.tweak.down(at, v)
	}
}

// Due reports whether the owner should publish a new generation: because only an eighth of the
// chain is left, or because the monotonic clock behind now fell behind the wall clock by more than
// Slack, as that of a host which was suspended does. A wall clock that was set costs no more than
// a new chain.
func (c *Chain) Due(now, wall time.Time) bool {
	elapsed := now.Sub(c.start)
	if elapsed >= time.Duration(c.anchor.Length)*c.anchor.Interval/8*7 {
		return true
	}
	// Round strips the monotonic reading, which stands still as well.
	return !c.wall.IsZero() && wall.Round(0).Sub(c.wall.Round(0))-elapsed > Slack
}
