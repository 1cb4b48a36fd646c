package tunnel

import (
	"net/netip"
	"slices"
	"time"
)

const (
	// trunkAfter is how long no answer comes over UDP from a peer that was never heard until a trunk is dialled. One that
	// was heard and falls silent gets one at once.
	trunkAfter = time.Second
	// trunkAgain is how long after a call the same peer is called again; it doubles each time in vain, up to trunkMost.
	trunkAgain = 5 * time.Second
	trunkMost  = time.Minute
	// callRate is how many calls a second a node makes, and callBurst how many at once: in a split the whole other half
	// is called in vain.
	callRate  = 2
	callBurst = 8
	// maxLifelines is how many trunks a node has for gossip alone, when UDP reaches nobody.
	maxLifelines = 2
	// lonelyFor is how long the answer to whether UDP reaches anybody is used.
	lonelyFor = 500 * time.Millisecond
)

// calling is when a peer is called again.
type calling struct {
	pause    time.Duration
	made     time.Time // the last call
	next     time.Time
	calls    int       // made
	straight time.Time // since when UDP has answered although there are trunks
}

// fallBack asks for a trunk to a peer that UDP does not reach, and lets trunks go where it does.
func (c *core) fallBack(now time.Time, p *peer, out *effects) {
	if p.paths.answers() {
		if p.paths.best.replied.After(p.calling.next) {
			p.calling.pause = 0
		}
		p.spareTrunks(now, out)
		return
	}
	if !c.trunks || !p.paths.wanted(now) || !p.paths.unanswered(now) || p.paths.hasTrunk() {
		return
	}
	if p.paths.inUse(now) {
		c.place(now, p, out)
	} else {
		c.lifeline(now, p, out)
	}
}

// place calls a peer, unless it is too soon for that, and reports whether it did.
func (c *core) place(now time.Time, p *peer, out *effects) bool {
	to := p.dialled()
	if len(to) == 0 || now.Before(p.calling.next) || !c.placed.take(now, 1) {
		return false
	}
	k := &p.calling
	k.pause = min(trunkMost, max(trunkAgain, 2*k.pause))
	k.made, k.next = now, now.Add(k.pause)
	k.calls++
	p.paths.hangUp(trunkDeaf, out)
	out.calls = append(out.calls, call{p.ID, to})
	return true
}

// dialled are the addresses at which a peer takes trunks, other ones first each time. Only such as were believed are
// called, see declare.
func (p *peer) dialled() (out []netip.AddrPort) {
	if p.TCP == 0 {
		return nil
	}
	for _, k := range p.paths.candidates {
		to := k.addr
		if p.TCP != TCPSamePort {
			to = netip.AddrPortFrom(to.Addr(), p.TCP)
		}
		if k.declared && !slices.Contains(out, to) {
			out = append(out, to)
		}
	}
	if len(out) == 0 {
		return nil
	}
	from := p.calling.calls * maxCallTargets % len(out)
	return slices.Concat(out[from:], out[:from])
}

// spareTrunks lets trunks go once UDP has answered for a while.
func (p *peer) spareTrunks(now time.Time, out *effects) {
	switch {
	case !slices.ContainsFunc(p.paths.candidates, (*candidate).trunk) || p.paths.best.overTCP():
		p.calling.straight = time.Time{}
	case p.calling.straight.IsZero():
		p.calling.straight = now
	case now.Sub(p.calling.straight) >= trunkIdle:
		p.paths.hangUp(0, out)
	}
}

// lifeline calls somebody so that gossip gets through: a relay, which leads to all others as well, or else the peer that
// there is something to say to. Where UDP reaches anybody, gossip goes round by them.
func (c *core) lifeline(now time.Time, p *peer, out *effects) {
	if now.Sub(c.lonely.at) >= lonelyFor {
		c.lookWhoAnswers(now)
	}
	if c.lonely.reached || c.lonely.lines >= maxLifelines {
		return
	}
	if n := len(c.lonely.relays); n > 0 && !p.Relay {
		at := int(c.nonce % uint64(n))
		p = c.lonely.relays[at]
		c.lonely.relays = slices.Delete(c.lonely.relays, at, at+1)
	}
	if c.place(now, p, out) {
		c.lonely.lines++ // until they are counted anew
	}
}

// lonely tells whom UDP reaches.
type lonely struct {
	at      time.Time
	reached bool    // anybody
	lines   int     // trunks that answer
	relays  []*peer // that may be called now
}

func (c *core) lookWhoAnswers(now time.Time) {
	l := lonely{at: now, relays: c.lonely.relays[:0]}
	for _, p := range c.peers {
		b := p.paths.best
		switch {
		case (b == nil || !b.confirmed) && now.Sub(p.calling.made) < trunkGreeting:
			l.lines++ // perhaps: it is being called
		case b == nil || !b.confirmed:
			if p.relays() && len(p.dialled()) > 0 && !now.Before(p.calling.next) {
				l.relays = append(l.relays, p)
			}
		case b.trunk():
			l.lines++
		case b.straight() && !p.paths.silent(b):
			l.reached = true
		}
	}
	slices.SortFunc(l.relays, func(a, b *peer) int { return a.ID.Compare(b.ID) })
	c.lonely = l
}

// walledFor is how long a node still counts as walled whose trunks are down for a moment.
const walledFor = 30 * time.Second

// overTrunks tells how TCP has to do what UDP does not: walled, that our trunks lead to others and UDP reaches nobody, and
// dialled, that somebody has a trunk to us that answers.
func (c *core) overTrunks(now time.Time) (walled, dialled bool) {
	reached := false
	for _, p := range c.peers {
		reached = reached || (p.direct() && p.door().straight())
		for _, k := range p.paths.candidates {
			switch {
			case !k.trunk() || !k.confirmed:
			case k.dialled:
				c.walledUntil = now.Add(walledFor)
			default:
				dialled = true
			}
		}
	}
	if reached {
		c.walledUntil = time.Time{}
	}
	return now.Before(c.walledUntil), dialled
}

// trunkUp takes note of a trunk to or from a peer. One that is not known yet shows its credential over it.
func (c *core) trunkUp(now time.Time, t *trunk, out *effects) {
	p := c.peers[t.peer]
	if p == nil || p.paths.find(t.addr) != nil {
		return
	}
	k := newCandidate(t.addr)
	k.hurried, k.real, k.dialled = true, t.remote, t.ours
	p.paths.candidates = append(p.paths.candidates, k)
	if b := p.paths.best; b != nil {
		b.hurried = true // who comes over TCP does not get through otherwise
	}
	c.probe(now, p, k, true, out)
	c.settle(now, p, out)
}

// trunkDown takes note that a trunk has ended.
func (c *core) trunkDown(now time.Time, t *trunk, out *effects) {
	p := c.peers[t.peer]
	if p == nil {
		return
	}
	k := p.paths.find(t.addr)
	if k == nil {
		return
	}
	p.paths.candidates = slices.DeleteFunc(p.paths.candidates, func(x *candidate) bool { return x == k })
	c.dir.unbind(t.addr, k.binding)
	if k == p.paths.best && k.confirmed && p.paths.wanted(now) {
		p.paths.restart(now)
	}
	c.settle(now, p, out)
}

// trunk reports whether a candidate is a connection over TCP.
func (k *candidate) trunk() bool { return isTrunkAddr(k.addr.Addr()) }

// straight reports whether it is an address that UDP is sent to.
func (k *candidate) straight() bool { return k.via == nil && !k.trunk() }

// doubt has UDP looked at that the peer has stopped to use, as far as can be seen: what it sends comes over a trunk. As long
// as something comes, nothing else would tell us that what we send does not arrive.
func (s *paths) doubt(now time.Time) {
	b := s.best
	if b == nil || b.overTCP() || !b.confirmed || b.open {
		return
	}
	if now.Sub(b.heard) >= quietLeast && now.Sub(b.probed) >= quietLeast {
		b.hurried = true
		s.urgent = now.Add(urgentFor)
	}
}

// unanswered reports whether UDP has been asked for an answer for long enough: the way in use has fallen silent or is grey,
// or none has answered yet.
func (s *paths) unanswered(now time.Time) bool {
	return s.proven() || slices.ContainsFunc(s.candidates, func(k *candidate) bool {
		return !k.since.IsZero() && now.Sub(k.since) >= trunkAfter
	})
}

// hasTrunk reports whether a trunk is open already that has left no probe unanswered: it is asked when the way in use falls silent,
// and taken when it answers. A call takes longer than that, and the other end, which has just heard of us over the trunks that there
// are, has no room for another one.
func (s *paths) hasTrunk() bool {
	return slices.ContainsFunc(s.candidates, func(k *candidate) bool {
		return k.trunk() && k.confirmed && k.missed == 0 && !k.grey
	})
}

// hangUp ends the trunks to the peer over which nothing came for a while.
func (s *paths) hangUp(silence time.Duration, out *effects) {
	for _, k := range s.candidates {
		if k.trunk() {
			out.hangups = append(out.hangups, hangup{k.addr, silence})
		}
	}
}
