package gossip

import (
	"time"

	micronet "github.com/micro/micro-net"
)

const (
	// compareSettle is how long a change of the own set has to reach others before who differs is compared
	// with; compareSpacing is the time between two comparisons.
	compareSettle  = 300 * time.Millisecond
	compareSpacing = 500 * time.Millisecond
	// compareFailed is until the same peer is asked again after a comparison that failed, compareFutile after
	// one that moved nothing.
	compareFailed = 3 * time.Second
	compareFutile = 30 * time.Second
	// compareTime is how long a peer that is being compared with is not compared with again: whoever stalls
	// would take the turns of all others.
	compareTime = 8 * time.Second
	// maxCompared bounds the peers that are remembered; of further ones nothing is known.
	maxCompared = 1024
)

// Comparisons decides with whom to compare ledgers, from the fingerprints that peers tell all the time. A
// revocation must be known before anything else: who differs is compared with at once, where Divergence
// gives broadcasts of the catalog a second. It is a pure core and not safe for concurrent use.
type Comparisons struct {
	peers   map[micronet.NodeID]compared
	changed time.Time // of the own set
	last    time.Time // comparison
}

// compared is what is known of a peer: it holds the same, or is not to be asked before a time.
type compared struct {
	same   bool
	resume time.Time
	heard  time.Time
}

// NewComparisons returns one that has heard nothing.
func NewComparisons() *Comparisons { return &Comparisons{peers: map[micronet.NodeID]compared{}} }

// Changed says that the own set is another one: of no peer it is known that it holds the same.
func (c *Comparisons) Changed(now time.Time) {
	clear(c.peers)
	c.changed = now
}

// Heard takes whether a peer says that it holds the same, and returns whether to compare with it now; tell
// the outcome with Compared.
func (c *Comparisons) Heard(now time.Time, id micronet.NodeID, same bool) bool {
	p := c.peers[id]
	p.same, p.heard = same, now
	c.set(id, p)
	if same || now.Sub(c.changed) < compareSettle || now.Sub(c.last) < compareSpacing || now.Before(p.resume) {
		return false
	}
	p.resume = now.Add(compareTime)
	c.set(id, p)
	c.last = now
	return true
}

// Same reports whether a peer is known to hold the same. Who is not is compared with before anything else
// is asked of it.
func (c *Comparisons) Same(id micronet.NodeID) bool { return c.peers[id].same }

// Compared tells how a comparison ended: err is why it failed, moved how many statements it carried.
func (c *Comparisons) Compared(now time.Time, id micronet.NodeID, moved int, err error) {
	p := c.peers[id]
	switch {
	case err != nil:
		p.resume = now.Add(compareFailed)
	case moved == 0:
		p.resume = now.Add(compareFutile)
	default:
		p.resume = time.Time{}
	}
	p.same, p.heard = err == nil, now
	c.set(id, p)
}

func (c *Comparisons) set(id micronet.NodeID, p compared) {
	if _, known := c.peers[id]; known || len(c.peers) < maxCompared {
		c.peers[id] = p
	}
}

// Expire forgets peers that have told nothing for a while.
func (c *Comparisons) Expire(now time.Time) {
	for id, p := range c.peers {
		if now.Sub(p.heard) > 2*compareFutile {
			delete(c.peers, id)
		}
	}
}
