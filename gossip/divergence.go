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
	p := d.peers[id]
	if same {
		delete(d.peers, id)
		return false
	}
	if p == nil {
		if len(d.peers) < maxDivergent {
			d.peers[id] = &divergent{since: now, heard: now}
		}
		return false
	}
	p.heard = now
	if now.Sub(p.since) < divergeFor || now.Before(p.resume) || now.Sub(d.last) < divergeSpacing {
		return false
	}
	d.last = now
	return true
}

// Compared tells how a comparison ended: one that moved no document is not repeated soon.
func (d *Divergence) Compared(now time.Time, id micronet.NodeID, moved bool) {
	p := d.peers[id]
	switch {
	case p == nil:
	case moved:
		delete(d.peers, id)
	default:
		p.resume = now.Add(divergeFutile)
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
