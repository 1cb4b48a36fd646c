package gossip

import (
	"time"

	micronet "github.com/micro/micro-net"
)

const (
	// divergeFor is how long a peer's catalog must have been another one until it is compared:
	// broadcasts need about that long to reach everybody.
	divergeFor = time.Second
	// divergeSpacing is the time between two comparisons, divergeFutile that until the same peer is
	// asked again after a comparison that brought nothing.
	divergeSpacing = 2 * time.Second
	divergeFutile  = 30 * time.Second
	// aloneAmong is how many packets in a row must have told of another catalog until a node takes itself
	// for the one that missed something, whoever sent them.
	aloneAmong = 4
	// maxDivergent bounds the peers that are remembered; further ones wait for the periodic comparison.
	maxDivergent = 1024
)

// Divergence decides with whom to compare the whole catalog, from what peers tell of theirs all the
// time: a hash over everything they hold (Catalog.Fingerprint). Broadcasts reach most nodes at once; who
// missed one, because it was cut off or has few neighbours, finds out within seconds this way and
// needs not wait for the periodic comparison.
//
// It is a pure core and not safe for concurrent use.
type Divergence struct {
	peers map[micronet.NodeID]*divergent
	last  time.Time // the latest comparison
	alone solitude
}

// solitude is that nobody who was heard holds the same as we do. In a mesh of many nodes the same one is
// heard every few seconds only; that none of them agrees shows within a second.
type solitude struct {
	since  time.Time // when the first of them was heard
	heard  int       // packets since
	resume time.Time // it is no reason to compare before that: it was of no use
}

type divergent struct {
	since  time.Time // when it was first heard to be another one
	heard  time.Time // when it was last
	resume time.Time // no comparison before that
}

// NewDivergence returns one that has heard nothing.
func NewDivergence() *Divergence { return &Divergence{peers: map[micronet.NodeID]*divergent{}} }

// Heard says whether a peer holds the same as we do. It returns whether the peer is to be compared with
// now; tell the outcome with Compared.
func (d *Divergence) Heard(now time.Time, id micronet.NodeID, same bool) bool {
	alone := d.alone.hear(now, same)
	if same {
		delete(d.peers, id)
		return false
	}
	p := d.remember(now, id)
	if p == nil || now.Before(p.resume) || now.Sub(d.last) < divergeSpacing {
		return false
	}
	if !alone && now.Sub(p.since) < divergeFor {
		return false
	}
	d.last = now
	return true
}

// remember returns nil when there are too many.
func (d *Divergence) remember(now time.Time, id micronet.NodeID) *divergent {
	p := d.peers[id]
	if p == nil && len(d.peers) < maxDivergent {
		p = &divergent{since: now}
		d.peers[id] = p
	}
	if p != nil {
		p.heard = now
	}
	return p
}

// hear reports whether we are the only one for long enough.
func (s *solitude) hear(now time.Time, same bool) bool {
	if same {
		*s = solitude{}
		return false
	}
	if s.heard == 0 {
		s.since = now
	}
	s.heard++
	return s.heard >= aloneAmong && now.Sub(s.since) >= divergeFor && !now.Before(s.resume)
}

// Compared tells how a comparison ended: one that moved no document is not repeated soon.
func (d *Divergence) Compared(now time.Time, id micronet.NodeID, moved bool) {
	p := d.peers[id]
	switch {
	case p == nil:
	case moved:
		delete(d.peers, id)
		d.alone = solitude{}
	default:
		p.resume = now.Add(divergeFutile)
		d.alone.resume = p.resume
	}
}

// Expire forgets peers that have told nothing for a while.
func (d *Divergence) Expire(now time.Time) {
	for id, p := range d.peers {
		if now.Sub(p.heard) > 2*divergeFutile {
			delete(d.peers, id)
		}
	}
}
