package tunnel

import (
	"time"

	micronet "github.com/micro/micro-net"
)

// partedPenalty makes a way over a relay that has said goodbye the last one to be taken.
const partedPenalty = time.Hour

// SetParted tells that a node has said goodbye, or that it is back. A relay that stops forwards on for a moment: whose
// packets it carries look for another way at once, and take it as soon as it answers, instead of finding out by silence.
func (u *Underlay) SetParted(id micronet.NodeID, parted bool) {
	u.do(func(now time.Time, c *core, _ *effects) {
		p := c.peers[id]
		switch {
		case p == nil || parted != p.parted.IsZero():
		case parted:
			c.part(now, p)
		default:
			c.unpart(p)
		}
	})
}

// part has another way looked for wherever packets go over a relay.
func (c *core) part(now time.Time, relay *peer) {
	relay.parted, c.near = now, nearby{}
	for _, p := range c.peers {
		if b := p.paths.best; b == nil || b.via != relay {
			continue
		}
		p.paths.hurry()
		c.agenda.set(p, c.start) // at once
	}
}

// unpart takes a relay back. Of ways over it that answered before its end nothing is known any more.
func (c *core) unpart(relay *peer) {
	relay.parted, c.near = time.Time{}, nearby{}
	for _, p := range c.peers {
		for _, k := range p.paths.candidates {
			if k.via == relay && k != p.paths.best {
				k.forget()
			}
		}
	}
	c.tryAgain(relay)
}

// relays reports whether a peer forwards the packets of others, as far as it has said.
func (p *peer) relays() bool { return p.Relay && p.parted.IsZero() }

// parting reports whether packets to a candidate go over a relay that has said goodbye.
func (k *candidate) parting() bool { return k.via != nil && !k.via.parted.IsZero() }

// hurry has all ways but the one in use probed soon.
func (s *paths) hurry() {
	for _, k := range s.candidates {
		k.hurried = k.hurried || k != s.best
	}
}

// instead is the way to take in the place of one over a relay that stops: the fastest that has answered since, nil while
// there is none. As long as nothing answers, the relay may still forward.
func (s *paths) instead(parting *candidate) *candidate {
	return s.fastest(func(k *candidate) bool { return !k.parting() && k.replied.After(parting.via.parted) })
}

// Relaying reports whether packets of others were forwarded a moment ago.
func (u *Underlay) Relaying(lately time.Duration) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now()
	for _, p := range u.core.carried.active {
		if now.Sub(p.share.last) < lately {
			return true
		}
	}
	return false
}
