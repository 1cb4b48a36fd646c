package gossip

import (
	"cmp"
	"slices"
	"time"
)

const (
	// islandGap and islandSpan say who was lost together: each within islandGap of the one before, all
	// within islandSpan. Members take that long to give up all of an island that was cut off.
	islandGap  = 15 * time.Second
	islandSpan = 2 * time.Minute
	// bookGap is the same for peers that were lost before this start: the address book knows to the hour
	// when they were alive.
	bookGap = 90 * time.Minute
	// anyEvery: of so many attempts one goes to whoever waited longest, the others to islands.
	anyEvery = 4
)

// island is a set of peers that were lost together. What separates an island from a host that crashed is
// that many were lost at once, and one that answers brings back all.
type island struct {
	size  int
	stale bool                 // lost more than redialStale ago
	tried time.Time            // the last attempt to any of them
	near  map[string]time.Time // the same, for those of one place
}

// rank orders islands by how much an attempt is worth: several that were lost lately, several that were
// lost long ago, a single one.
func (i *island) rank() int {
	switch {
	case i.size < 2:
		return 2
	case i.stale:
		return 1
	}
	return 0
}

// gather says of lost peers which of them were lost together.
func gather(now time.Time, lost []*redialPeer) {
	slices.SortStableFunc(lost, func(a, b *redialPeer) int { return a.lostAt.Compare(b.lostAt) })
	var here *island
	var first, last time.Time
	for _, p := range lost {
		if here == nil || p.lostAt.Sub(last) > p.gap() || p.lostAt.Sub(first) > max(islandSpan, p.gap()) {
			here, first = &island{near: map[string]time.Time{}}, p.lostAt
		}
		last = p.lostAt
		here.take(now, p)
	}
}

func (i *island) take(now time.Time, p *redialPeer) {
	p.island = i
	i.size++
	i.stale = now.Sub(p.lostAt) > redialStale
	i.note(p)
}

// note counts the last attempt to a peer.
func (i *island) note(p *redialPeer) {
	if p.tried.After(i.tried) {
		i.tried = p.tried
	}
	if p.tried.After(i.near[p.near]) {
		i.near[p.near] = p.tried
	}
}

// compareTurns orders peers by whose turn it is: that of the island, then of the place in it, that was
// tried longest ago, then who is due first.
func compareTurns(a, b *redialPeer) int {
	return cmp.Or(
		a.island.tried.Compare(b.island.tried),
		a.island.near[a.near].Compare(b.island.near[b.near]),
		a.due.Compare(b.due),
	)
}

// choose picks whom to dial of a queue that is not empty: of those whose time has come, or of all where it
// is nobody's, with islands first but for every anyEvery-th attempt.
func choose(now time.Time, queue []*redialPeer, attempt int) *redialPeer {
	among := slices.DeleteFunc(slices.Clone(queue), func(p *redialPeer) bool { return !p.ripe(now) })
	if len(among) == 0 {
		among = queue
	}
	if attempt%anyEvery != anyEvery-1 {
		best := slices.MinFunc(among, compareRanks).island.rank()
		among = slices.DeleteFunc(slices.Clone(among), func(p *redialPeer) bool { return p.island.rank() > best })
	}
	return slices.MinFunc(among, compareTurns)
}

func compareRanks(a, b *redialPeer) int { return cmp.Compare(a.island.rank(), b.island.rank()) }

// ripe reports whether a peer's time has come: it is due, or it stands for an island in a place where
// nobody was tried for a while. Without that, crashed hosts would take the turns of islands whose peers all wait.
func (p *redialPeer) ripe(now time.Time) bool {
	return !p.due.After(now) || (p.island.rank() == 0 && now.Sub(p.island.near[p.near]) >= RedialInterval)
}
