package heartbeat

import (
	"time"

	micronet "github.com/micro/micro-net"
)

// owner is what a table knows of one node. What is looked at of every owner for every packet comes first:
// of many owners most are in no cache.
type owner struct {
	direct time.Time // when a packet of its own last arrived
	behind time.Time // when a packet of its own showed last that it lacks what is known here; zero: answered
	made   time.Time // when the newest beat was made, by our estimate; zero: not known
	teller *owner    // who told the newest beat; nil: a stranger
	told   int       // how often the newest beat was told
	packet uint64    // the last packet that it was chosen for
	chain  proof

	id   micronet.NodeID
	next *owner // with the same prefix
	at   int    // in Table.order

	estimate estimate
	leaps    bucket
	news     uint64 // the last packet that brought news of it
	budget   budget // as a sender
}

// proof is a chain as far as it was verified.
type proof struct {
	beat    uint32    // the newest verified; 0: the anchor
	value   value     // of that beat
	checked time.Time // when it was verified
	anchor  Anchor
	tweak   tweak
}

func newProof(now time.Time, id micronet.NodeID, a Anchor) proof {
	return proof{anchor: a, tweak: newTweak(id, a.Generation), value: a.Value, checked: now}
}

func (p *proof) mark() byte { return p.anchor.Value[0] }

// leap reports whether beat k is further ahead than the time since the last verified one allows.
// That can be honest: of a chain which is older than our knowledge, or when our own clock stood
// still. Only the owner can make one that proves true, but checking a false one is dear.
func (p *proof) leap(now time.Time, k uint32) bool {
	passed := float64(now.Sub(p.checked)) * (1 + drift) / float64(p.anchor.Interval)
	return float64(k-p.beat) > passed+leapSlack
}

// elapsed is the time from the beginning of the chain to the newest beat.
func (p *proof) elapsed() time.Duration { return time.Duration(p.beat) * p.anchor.Interval }

// verify reports whether v is the value of beat k, above the newest verified.
func (p *proof) verify(k uint32, v value) bool { return p.tweak.walk(k, p.beat, v) == p.value }

// heard is the newest sign of life.
func (o *owner) heard() time.Time { return later(o.made, o.direct) }

// tells reports whether there is something to tell others.
func (o *owner) tells(now time.Time) bool {
	return o.chain.beat > 0 && !o.made.IsZero() && now.Sub(o.made) < tellFor
}

func (o *owner) entry(now time.Time) entry {
	return entry{
		prefix: prefixOf(o.id), mark: o.chain.mark(), beat: o.chain.beat, value: o.chain.value,
		age: ageOf(now.Sub(o.made)),
	}
}
