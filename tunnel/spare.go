package tunnel

import (
	"slices"
	"time"
)

const (
	// spareRate is how many relays a second a node tries for all its peers that a relay leads to already, and spareBurst how
	// many at once. It is apart from detourRate: who has no way comes first.
	spareRate  = 1
	spareBurst = 16
	// spareRest is how long none is tried for a peer after all were.
	spareRest = time.Minute
)

// spare looks for further relays, one at a time, while only relays lead to a peer and the one in use is fine, until as many
// answer as are tried at once. Where that one turns grey, a search among relays that do not reach the peer would take about
// as long as QUIC waits, and by then it hardly sends any more: what is at hand carries copies from the first doubt on.
func (c *core) spare(now time.Time, p *peer) []*candidate {
	p.detours.pause, p.detours.rest, p.detours.calm = 0, time.Time{}, true
	if !p.paths.inUse(now) || now.Before(p.detours.spare) || p.paths.trying() || !p.paths.mayDetour() {
		return nil
	}
	relay, _ := c.relayTo(now, p)
	if relay == nil {
		p.detours.tried, p.detours.spare = nil, now.Add(spareRest)
		return nil
	}
	if !c.spares.take(now, 1) {
		return nil
	}
	k := newDetour(p, relay)
	p.paths.candidates = append(p.paths.candidates, k)
	return []*candidate{k}
}

// trying reports whether a relay is being tried.
func (s *paths) trying() bool {
	return slices.ContainsFunc(s.candidates, func(k *candidate) bool { return k.via != nil && !k.confirmed })
}
