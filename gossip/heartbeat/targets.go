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

	// lately is how long ago a node may have been heard to be drawn ahead of others when nobody is
	// doubted, and how long ago a node may have shown that it is behind to be answered.
	lately = 5 * time.Second
)

// Targets chooses up to n of the peers to send a packet to each. Peers are all members, those
// believed dead among them, without this node. The first goes to one that is behind, if there is
// any: its last packet showed that it lacks what we know, or it has just started. Of the others most are drawn at random,
// some from the doubted: somebody may still reach them. Every other one is drawn from the
// lifelines: nodes we hear directly that others doubt, who may be heard by few but us; when we
// ourselves doubt more than half of all, whoever we heard last; and when there is nobody of either
// kind, whoever we heard lately. So signs of life find their way over a row of nodes of which each
// hears its neighbours alone, also before anybody doubts: who waits for them asks the few that it
// hears, and is answered in the next round.
func (t *Table) Targets(now time.Time, peers []micronet.NodeID, doubted func(micronet.NodeID) bool, rnd *rand.Rand, n int) []micronet.NodeID {
	n = max(min(n, len(peers)), 0)
	known := t.tracked(peers)
	out := answer(now, known, rnd, make([]micronet.NodeID, 0, n))
	suspects, lines := suspects(now, peers, known, doubted)
	if len(lines) == 0 {
		lines = heardSince(now.Add(-lately), known)
	}
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

// tracked returns what is known of each peer, nil for those that are not tracked. The slice is valid until
// the next call.
func (t *Table) tracked(peers []micronet.NodeID) []*owner {
	t.peers = t.peers[:0]
	for _, id := range peers {
		t.peers = append(t.peers, t.owners[id])
	}
	return t.peers
}

// answer appends one of the peers that are behind, if there is room. Whoever is drawn counts as
// answered; the others are answered later, or not at all: then somebody else has done it.
func answer(now time.Time, peers []*owner, rnd *rand.Rand, out []micronet.NodeID) []micronet.NodeID {
	var behind []*owner
	for _, o := range peers {
		if o != nil && !o.behind.IsZero() && now.Sub(o.behind) < lately {
			behind = append(behind, o)
		}
	}
	if len(behind) == 0 || cap(out) == 0 {
		return out
	}
	o := behind[rnd.IntN(len(behind))]
	o.behind = time.Time{}
	return append(out, o.id)
}

// suspects returns the doubted peers and the lifelines. known is what is known of each peer.
func suspects(now time.Time, peers []micronet.NodeID, known []*owner, doubted func(micronet.NodeID) bool) (suspects, lines []micronet.NodeID) {
	if doubted == nil {
		return nil, nil
	}
	for i, id := range peers {
		if !doubted(id) {
			continue
		}
		suspects = append(suspects, id)
		if known[i].hears(now.Add(-lifeline)) {
			lines = append(lines, id)
		}
	}
	if len(suspects) > len(peers)/2 {
		lines = nearestOf(now, known)
	}
	return suspects, lines
}

// nearestOf returns the peers that were heard directly last.
func nearestOf(now time.Time, peers []*owner) (out []micronet.NodeID) {
	newest := now.Add(-lifeline)
	for _, o := range peers {
		if o != nil {
			newest = later(newest, o.direct)
		}
	}
	return heardSince(newest.Add(-nearest), peers)
}

// heardSince returns the peers of which a packet of their own arrived since then.
func heardSince(since time.Time, peers []*owner) (out []micronet.NodeID) {
	for _, o := range peers {
		if o.hears(since) {
			out = append(out, o.id)
		}
	}
	return out
}

// hears reports whether a packet of the node itself arrived since then. Of one that is not tracked
// that is not known.
func (o *owner) hears(since time.Time) bool {
	return o != nil && !o.direct.IsZero() && !o.direct.Before(since)
}
