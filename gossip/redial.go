package gossip

import (
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	micronet "github.com/micro/micro-net"
)

const (
	// AttemptTimeout is how long a caller of Redial may take for one attempt. One without a
	// Result after that counts as failed.
	AttemptTimeout = 5 * time.Second
	// RedialInterval is the longest time between two attempts while anybody is lost.
	RedialInterval = 5 * time.Second

	redialFirst   = 3                // peers dialled at once at the start
	redialSpacing = time.Second      // shortest time between two attempts after that
	redialBase    = 2 * time.Second  // back-off after the first failure; doubles
	redialMax     = 60 * time.Second // longest back-off
	redialSpread  = 2 * time.Second  // first attempts after a loss are spread over this
	redialGrace   = 10 * time.Second // after a success, until membership tells of it
	redialStale   = 24 * time.Hour   // peers not heard for longer come after the others
)

// RedialPeer is a peer as the node knows it now.
type RedialPeer struct {
	ID     micronet.NodeID
	Heard  time.Time           // last sign of life, zero for never
	Status micronet.NodeStatus // "" when it is remembered, but no member
	Near   string              // where it is: those with the same are likely reached, or not, together; may be ""
}

// lost reports whether the peer should be dialled. Suspects are members: they get the benefit
// of the doubt.
func (p RedialPeer) lost() bool { return p.Status == "" || p.Status == micronet.Dead }

// Redial decides which lost peers to dial and when. memberlist forgets the dead after half a
// minute, and two halves of a partition that lasted longer never meet again by themselves: so
// lost peers are dialled for ever, until they left or were revoked.
//
// Each peer has a back-off of its own, 2 s doubling to 60 s, jittered. Over it stands one
// promise: while anybody is lost, two attempts are never more than RedialInterval apart; if
// nobody is due, one is taken early. One success is enough to merge two halves, and all nodes of
// both try.
//
// Of those that are due, peers that were lost together come before single ones: they are likely an
// island of the mesh that lives on, and a single one a host that crashed. Islands take turns, and
// so do places within each, so that after a split into several all are tried soon.
//
// Redial is a pure core and not safe for concurrent use.
type Redial struct {
	rng     *rand.Rand
	peers   map[micronet.NodeID]*redialPeer
	sorted  []*redialPeer // the same by id: chance is drawn in this order
	started bool
	dials   int       // attempts made
	last    time.Time // the latest attempt
	since   time.Time // when somebody was lost after nobody had been
}

type redialPeer struct {
	id       micronet.NodeID
	near     string
	lost     bool
	lostAt   time.Time // when it was lost, before this start: when it was heard
	before   bool      // it was lost before this start
	island   *island   // of those that are in the queue
	tried    time.Time // start of the latest attempt, zero for none
	attempts int       // since it was last alive
	due      time.Time // when its back-off ends
	dialled  time.Time // start of the attempt without a Result, zero for none
}

// NewRedial returns a Redial that draws its jitter from rng.
func NewRedial(rng *rand.Rand) *Redial {
	return &Redial{rng: rng, peers: make(map[micronet.NodeID]*redialPeer)}
}

// Update says what all known peers are like now; those not listed are forgotten. It comes
// before the first Next, with all that is remembered. Chance is drawn in the order of peers.
func (r *Redial) Update(now time.Time, peers []RedialPeer) {
	if !r.anyLost() {
		r.since = now
	}
	known := make(map[micronet.NodeID]*redialPeer, len(peers))
	for _, p := range peers {
		e := r.peers[p.ID]
		if e == nil {
			e = &redialPeer{id: p.ID}
		}
		if lost := p.lost(); lost != e.lost {
			*e = redialPeer{id: p.ID, lost: lost, lostAt: now, due: r.firstDue(now, p.Heard)}
			if !r.started && !p.Heard.IsZero() {
				e.lostAt, e.before = p.Heard, true
			}
		}
		e.near = p.Near
		known[p.ID] = e
	}
	r.peers = known
	r.sorted = slices.SortedFunc(maps.Values(known), func(a, b *redialPeer) int { return a.id.Compare(b.id) })
}

func (r *Redial) anyLost() bool {
	for _, p := range r.sorted {
		if p.lost {
			return true
		}
	}
	return false
}

func (r *Redial) anyDialled() bool {
	for _, p := range r.sorted {
		if !p.dialled.IsZero() {
			return true
		}
	}
	return false
}

// firstDue spreads the first attempts, so that the nodes that lost the same peer do not all
// dial it at once. Peers not heard for long come later.
func (r *Redial) firstDue(now, heard time.Time) time.Time {
	due := now.Add(time.Duration(r.rng.Int64N(int64(redialSpread))))
	if now.Sub(heard) > redialStale {
		due = due.Add(redialSpread)
	}
	return due
}

// Next returns whom to dial now, and when to ask again: zero when nobody is lost. Each returned
// peer is taken as dialled; tell the outcome with Result.
func (r *Redial) Next(now time.Time) (ids []micronet.NodeID, at time.Time) {
	queue := r.queue(now)
	count := 0
	switch {
	case !r.started:
		count = min(redialFirst, len(queue))
	case len(queue) == 0:
	case !now.Before(r.slot(queue[0])):
		count = 1
	}
	r.started = true
	if count > 0 {
		gather(now, r.lost())
	}
	for range count {
		p := choose(now, queue, r.dials)
		r.dials++
		p.attempts++
		p.dialled, p.tried, r.last = now, now, now
		p.island.note(p)
		ids = append(ids, p.id)
		queue = slices.DeleteFunc(queue, func(q *redialPeer) bool { return q == p })
	}
	return ids, r.next(queue)
}

// gap is how long after another one this peer may have been lost together with it.
func (p *redialPeer) gap() time.Duration {
	if p.before {
		return bookGap
	}
	return islandGap
}

// queue returns the lost peers that are not being dialled, those due first in front.
func (r *Redial) queue(now time.Time) []*redialPeer {
	if !r.anyLost() && !r.anyDialled() {
		return nil
	}
	var queue []*redialPeer
	for _, p := range r.sorted {
		if !p.dialled.IsZero() && now.Sub(p.dialled) >= AttemptTimeout {
			r.retry(now, p)
		}
		if p.lost && p.dialled.IsZero() {
			queue = append(queue, p)
		}
	}
	slices.SortStableFunc(queue, func(a, b *redialPeer) int { return a.due.Compare(b.due) })
	return queue
}

// lost returns the lost peers by id, in a list of its own.
func (r *Redial) lost() (out []*redialPeer) {
	for _, p := range r.sorted {
		if p.lost {
			out = append(out, p)
		}
	}
	return out
}

// slot is when a peer may be dialled: when it is due and the last attempt is redialSpacing ago,
// or RedialInterval after the last attempt, whatever comes first.
func (r *Redial) slot(p *redialPeer) time.Time {
	slot := p.due
	if spaced := r.last.Add(redialSpacing); slot.Before(spaced) {
		slot = spaced
	}
	latest := r.last
	if latest.Before(r.since) {
		latest = r.since
	}
	if latest = latest.Add(RedialInterval); latest.Before(slot) {
		return latest
	}
	return slot
}

// next is when Next should be asked again: at the first slot, or when an attempt times out.
func (r *Redial) next(queue []*redialPeer) time.Time {
	if len(queue) > 0 {
		return r.slot(queue[0])
	}
	var at time.Time
	for _, p := range r.sorted {
		if p.dialled.IsZero() {
			continue
		}
		if end := p.dialled.Add(AttemptTimeout); at.IsZero() || end.Before(at) {
			at = end
		}
	}
	return at
}

// Result tells how an attempt ended. A peer that answered gets some time to appear among the
// members; a back-off starts for one that did not.
func (r *Redial) Result(now time.Time, id micronet.NodeID, ok bool) {
	p := r.peers[id]
	switch {
	case p == nil || p.dialled.IsZero():
	case ok:
		p.dialled, p.due = time.Time{}, now.Add(redialGrace)
	default:
		r.retry(now, p)
	}
}

// retry ends a failed attempt and starts the back-off: half of it fixed, half drawn, so that
// peers are never dialled at once nor in step with others.
func (r *Redial) retry(now time.Time, p *redialPeer) {
	wait := redialBackoff(p.attempts)
	p.dialled = time.Time{}
	p.due = now.Add(wait/2 + time.Duration(r.rng.Int64N(int64(wait/2)+1)))
}

// redialBackoff is the longest wait after a number of attempts.
func redialBackoff(attempts int) time.Duration {
	wait := redialBase
	for range attempts - 1 {
		if wait *= 2; wait >= redialMax {
			return redialMax
		}
	}
	return wait
}
