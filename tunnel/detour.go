package tunnel

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	micronet "github.com/micro/micro-net"
)

const (
	// maxDetours is how many relays a peer is asked for over at once. With those that answer and have turned out to be grey there
	// are mostDetours; maxObservedDetours is how many more ways over relays are remembered because the peer came over
	// them, the one longest silent out.
	maxDetours         = 3
	mostDetours        = 3 * maxDetours
	maxObservedDetours = 3
	// detourTries is how many probes a relay gets to show that it leads to the peer; then the next one is tried.
	detourTries = 4
	// detourAgain is how long after all relays were tried in vain the first is tried again; it doubles each time, up
	// to detourMost: the other half of a mesh that is split is reached by none of ours.
	detourAgain = 5 * time.Second
	detourMost  = 20 * time.Second
	// detourLinger is how long a way over a relay is kept beside a direct one after the peer used it last.
	detourLinger = 5 * time.Second
	// stuckAfter is how many probes an address may leave unanswered before relays are tried as well.
	stuckAfter = 3

	// nearbyFor is how long the list of relays by nearness is used.
	nearbyFor = time.Second

	// detourRate is how many relays a second a node tries for all its peers, and detourBurst how many at once: enough
	// for a link between clouds that dies, not for a mesh that is split, whose other half no relay reaches.
	detourRate  = 4
	detourBurst = 64
	detourWait  = time.Second

	// approachEvery is how often a way is looked for to a node that others need: whom we relay for, or who may relay
	// for us. It doubles each time in vain, up to approachMost. approachFor is how long its addresses are probed then,
	// and approachWait how soon who waits for it asks again.
	approachEvery = 5 * time.Second
	approachMost  = time.Minute
	approachFor   = urgentFor
	approachWait  = 200 * time.Millisecond
)

// detours tells, for one peer, which relays did not lead to it.
type detours struct {
	tried []tag
	pause time.Duration
	rest  time.Time // until then no relay is tried
	calm  bool      // those tried were tried while another relay did, see spare
	spare time.Time // until then no spare is looked for
}

// detour looks for ways over relays while QUIC is sent to the peer and it has no direct one that answers, and lets them
// go when it has. It returns the new ones, which are to be probed. Gossip takes the ways that there are: in a
// split everybody gossips with everybody whom no relay reaches either.
func (c *core) detour(now time.Time, p *peer) []*candidate {
	if p.paths.answers() && !p.paths.best.doubted() && !p.paths.best.parting() {
		if p.paths.best.via != nil {
			return c.spare(now, p)
		}
		p.detours = detours{} // what did not lead there before may do when this way ends
		p.paths.straighten(now)
		return nil
	}
	if !p.paths.inUse(now) || now.Before(p.detours.rest) || !p.paths.stuck(len(p.Relays) > 0) {
		return nil
	}
	before := len(p.paths.candidates)
	for p.paths.mayDetour() {
		relay, waits := c.relayTo(now, p)
		if relay == nil {
			p.detours.exhausted(now, waits || p.paths.mayBeLed())
			break
		}
		if !c.searches.take(now, 1) {
			p.detours.rest = now.Add(detourWait)
			break
		}
		p.paths.candidates = append(p.paths.candidates, newDetour(p, relay))
	}
	return p.paths.candidates[before:]
}

func newDetour(p, relay *peer) *candidate {
	k := newCandidate(relay.flow.identity.AddrPort())
	k.via, k.hurried, k.binding = relay, true, &binding{flow: p.flow}
	return k
}

// giveUp lets go of relays that do not lead to the peer.
func (p *peer) giveUp() {
	p.paths.candidates = slices.DeleteFunc(p.paths.candidates, func(k *candidate) bool {
		if k.via == nil || k.confirmed || k.attempts < detourTries {
			return false
		}
		if !slices.Contains(p.detours.tried, k.via.tag) {
			p.detours.tried = append(p.detours.tried, k.via.tag)
		}
		return true
	})
}

// relayTo returns the next relay to try for a peer, nil when there is none now, and whether a way is looked for to one: first
// those that the peer keeps in touch with, then the nearest ones of ours, and in the last place any of ours: those that lead to
// the peer may all be far away.
func (c *core) relayTo(now time.Time, p *peer) (relay *peer, waits bool) {
	for _, t := range p.Relays {
		r := c.tags[tag(t)]
		switch {
		case r == nil || !c.mayRelay(p, r):
		case r.direct():
			return r, false
		default:
			c.approach(now, r)
			waits = waits || now.Sub(r.approached) < approachFor
		}
	}
	near := c.nearRelays(now)
	from := 0
	if (p.detours.calm || p.paths.detours() == maxDetours-1) && len(near) > 0 { // those nearby may all be as cut off
		from = int(c.nonce % uint64(len(near)))
	}
	for i := range near {
		if r := near[(from+i)%len(near)]; r.direct() && c.mayRelay(p, r) {
			return r, false
		}
	}
	return nil, waits
}

// exhausted takes note that there is no relay to try now. waits says that the round is not over: some may answer yet, and
// those that do not are tried again after the next pause. What was tried before there was need does not count.
func (d *detours) exhausted(now time.Time, waits bool) {
	if d.calm {
		d.calm, d.tried, waits = false, nil, true
	}
	if waits {
		d.rest = now.Add(approachWait)
		return
	}
	d.tried, d.pause = nil, min(detourMost, max(detourAgain, 2*d.pause))
	d.rest = now.Add(d.pause)
}

// tryAgain has a relay asked again whose own way has changed: it may reach whom it did not.
func (c *core) tryAgain(relay *peer) {
	if !relay.relays() || !relay.direct() {
		return
	}
	c.near = nearby{}
	for _, p := range c.peers {
		if slices.Contains(p.detours.tried, relay.tag) || !p.detours.rest.IsZero() {
			p.detours = detours{}
		}
	}
}

func (c *core) mayRelay(p, r *peer) bool {
	return r != p && r.relays() && !slices.Contains(p.detours.tried, r.tag) && p.paths.find(r.flow.identity.AddrPort()) == nil
}

// approach has a direct way looked for to a relay, or to whom we relay for. A relay must reach the next node directly:
// no relay is asked for it, or one question would spread to all of them.
func (c *core) approach(now time.Time, p *peer) {
	if !p.approached.IsZero() && now.Sub(p.approached) < p.approachPause {
		return
	}
	if p.approached.Before(p.paths.arrived) {
		p.approachPause = 0
	}
	c.sync(p)
	p.approached, p.approachPause = now, min(approachMost, max(approachEvery, 2*p.approachPause))
	p.paths.approach(now)
	c.agenda.set(p, now)
}

// direct reports whether a peer answers directly.
func (p *peer) direct() bool { return p.door() != nil }

// door is the direct way to a peer, nil when it does not answer directly. What a relay is to forward goes there: also where
// QUIC's own packets to it take another way, because they alone do not pass.
func (p *peer) door() *candidate {
	switch b := p.paths.best; {
	case b == nil || !b.confirmed || !p.known:
		return nil
	case b.via == nil:
		return b
	}
	for _, k := range p.paths.candidates {
		if k.via == nil && k.grey && k.confirmed {
			return k
		}
	}
	return nil
}

// relay is over whom packets to a candidate go, zero: directly.
func (k *candidate) relay() (id micronet.NodeID) {
	if k.via != nil {
		id = k.via.flow.id
	}
	return id
}

// remote is the address that packets over a candidate go to, zero when its relay is not reached directly any more.
func (k *candidate) remote() netip.AddrPort {
	switch {
	case k.trunk():
		return k.real
	case k.via == nil:
		return k.addr
	case k.via.direct():
		return k.via.door().remote()
	}
	return netip.AddrPort{}
}

// overTCP reports whether packets to a candidate leave over a trunk.
func (k *candidate) overTCP() bool {
	return k.trunk() || (k.via != nil && k.via.direct() && k.via.door().trunk())
}

// nearby are the relays that we reach directly, by their round trips, as they were a moment ago.
type nearby struct {
	relays []*peer
	until  time.Time
}

func (c *core) nearRelays(now time.Time) []*peer {
	if now.Before(c.near.until) {
		return c.near.relays
	}
	list := c.near.relays[:0]
	for _, r := range c.peers {
		if r.relays() && r.direct() {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b *peer) int {
		return cmp.Or(cmp.Compare(a.door().rtt.value, b.door().rtt.value), a.ID.Compare(b.ID))
	})
	c.near = nearby{list, now.Add(nearbyFor)}
	return list
}

// observeDetour notes that a peer's frame came over a relay; nil when there is no room for it.
func (c *core) observeDetour(a arrival, p *peer, fresh bool) *candidate {
	if a.via == p {
		return nil
	}
	if p.paths.find(a.from) == nil {
		if p.paths.detours() >= mostDetours+maxObservedDetours && !p.paths.dropDetour() {
			return nil
		}
		p.paths.candidates = append(p.paths.candidates, newDetour(p, a.via))
		if b := p.paths.best; b != nil {
			b.hurried = true
		}
	}
	return p.paths.observe(a.now, a.from, fresh)
}

// meet tries all ways to a peer that asks for us over a relay, unless one is proven: that both send at the same time opens
// the devices between them.
func (c *core) meet(now time.Time, p *peer, out *effects) {
	if p.paths.proven() {
		return
	}
	p.paths.seek(now)
	c.hello(now, p, false, out)
}

// dismiss takes a peer that is removed out of the ways to others.
func (c *core) dismiss(gone *peer) {
	c.homes = slices.DeleteFunc(c.homes, func(r *peer) bool { return r == gone })
	c.near, c.lonely = nearby{}, lonely{}
	c.carried.forget(gone)
	for _, p := range c.peers {
		had := len(p.paths.candidates)
		p.paths.candidates = slices.DeleteFunc(p.paths.candidates, func(k *candidate) bool { return k.via == gone })
		if len(p.paths.candidates) == had {
			continue
		}
		if b := p.paths.best; b != nil && b.via == gone {
			p.paths.best, p.paths.gaveUp = nil, true
			c.publish(p)
		}
		c.agenda.set(p, c.start) // at once
	}
}

// proven reports whether the way in use has answered and was not given up since.
func (s *paths) proven() bool { return s.best != nil && s.best.confirmed }

// answers reports whether the way in use does, and is not grey.
func (s *paths) answers() bool { return s.proven() && !s.silent(s.best) && !s.best.grey }

// stuck reports, of a peer that no way answers for, whether that is so for too long, or not worth waiting for: the way
// that was proven has fallen silent, or, with listed, the peer names relays, because it is not reached directly.
func (s *paths) stuck(listed bool) bool {
	return s.proven() || listed || len(s.candidates) == 0 ||
		slices.ContainsFunc(s.candidates, func(k *candidate) bool { return k.attempts >= stuckAfter })
}

// detours counts the ways over relays.
func (s *paths) detours() (n int) {
	for _, k := range s.candidates {
		if k.via != nil {
			n++
		}
	}
	return n
}

// mayBeLed reports whether there is a way over a relay of which it is not known that it carries nothing.
func (s *paths) mayBeLed() bool {
	return slices.ContainsFunc(s.candidates, func(k *candidate) bool { return k.via != nil && !k.grey })
}

// mayDetour reports whether another relay may be tried.
func (s *paths) mayDetour() bool {
	hopeful := 0
	for _, k := range s.candidates {
		if k.via != nil && !k.grey && k.missed == 0 {
			hopeful++
		}
	}
	return hopeful < maxDetours && s.detours() < mostDetours
}

// straighten lets go of the ways over relays that neither side uses. When the peer takes one again, that is news: the
// direct way is looked at then.
func (s *paths) straighten(now time.Time) {
	s.candidates = slices.DeleteFunc(s.candidates, func(k *candidate) bool {
		return k.via != nil && k != s.best && now.Sub(k.came) >= detourLinger
	})
}

// dropDetour lets the way over a relay go that was not heard for longest.
func (s *paths) dropDetour() bool {
	victim := -1
	for i, k := range s.candidates {
		if k.via != nil && k != s.best && !k.confirmed && (victim < 0 || k.heard.Before(s.candidates[victim].heard)) {
			victim = i
		}
	}
	if victim < 0 {
		return false
	}
	s.candidates = slices.Delete(s.candidates, victim, victim+1)
	return true
}
