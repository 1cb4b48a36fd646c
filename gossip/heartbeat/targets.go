package heartbeat

import (
	"math/rand/v2"
	"slices"
	"time"

	micronet "github.com/micro/micro-net"
)

const (
	// lifelineShare and probeShare are one in how many draws goes to a lifeline and to a doubted
	// node, if there are any. All nodes together send a doubted one some packets a second, more
	// than chance would.
	lifelineShare = 2
	probeShare    = 32

	// nearest is how much longer ago than the newest a node may have been heard to be a lifeline of
	// one that is cut off.
	nearest = 5 * time.Second
)

// Targets chooses up to n of the peers to send a packet to each. Peers are all members, those
// believed dead among them, without this node. Most are drawn at random, some from the doubted:
// somebody may still reach them. Every other one is drawn from the lifelines, if there are any:
// nodes we hear directly that others doubt, who may be heard by few but us; or, when we ourselves
// doubt more than half of all, whoever we heard last. So a node that is cut off from all but one
// bridge speaks with it every second, not by chance once in a while.
func (t *Table) Targets(now time.Time, peers []micronet.NodeID, doubted func(micronet.NodeID) bool, rnd *rand.Rand, n int) []micronet.NodeID {
	n = max(min(n, len(peers)), 0)
	out := make([]micronet.NodeID, 0, n)
	suspects, lines := t.suspects(now, peers, doubted)
	for range 4 * n { // a bound: few lifelines are soon used up
		if len(out) == n {
			break
		}
		from := peers
		switch {
		case len(lines) > 0 && rnd.IntN(lifelineShare) == 0:
			from = lines
		case len(suspects) > 0 && rnd.IntN(probeShare) == 0:
			from = suspects
		}
		if id := from[rnd.IntN(len(from))]; !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

// suspects returns the doubted peers and the lifelines.
func (t *Table) suspects(now time.Time, peers []micronet.NodeID, doubted func(micronet.NodeID) bool) (suspects, lines []micronet.NodeID) {
	if doubted == nil {
		return nil, nil
	}
	for _, id := range peers {
		if !doubted(id) {
			continue
		}
		suspects = append(suspects, id)
		if t.hears(id, now.Add(-lifeline)) {
			lines = append(lines, id)
		}
	}
	if len(suspects) > len(peers)/2 {
		lines = t.nearest(now, peers)
	}
	return suspects, lines
}

// nearest returns the peers that were heard directly last.
func (t *Table) nearest(now time.Time, peers []micronet.NodeID) (out []micronet.NodeID) {
	newest := now.Add(-lifeline)
	for _, id := range peers {
		if o := t.owners[id]; o != nil {
			newest = later(newest, o.direct)
		}
	}
	for _, id := range peers {
		if t.hears(id, newest.Add(-nearest)) {
			out = append(out, id)
		}
	}
	return out
}

// hears reports whether a packet of the node itself arrived since then.
func (t *Table) hears(id micronet.NodeID, since time.Time) bool {
	o := t.owners[id]
	return o != nil && !o.direct.IsZero() && !o.direct.Before(since)
}
