package tunnel

import (
	"cmp"
	"slices"
	"time"
)

// took is what a reply says about what QUIC sent: which count this is, as it begins at zero whenever the way is forgotten, and
// how many bytes have come.
func (c *core) took(k *candidate) uint64 {
	b := k.binding
	if b == nil {
		return 0
	}
	for b.count == 0 {
		c.nonce++
		b.count = uint32(c.nonce)
	}
	return uint64(b.count)<<32 | uint64(uint32(b.received.Load()))
}

// weigh enters a reply into the ledger of the way it came, and has other ways looked for when QUIC's packets get lost there.
func (c *core) weigh(now time.Time, p *peer, k *candidate, s sentProbe, m *message) {
	if !m.counts { // an older node, which does not say what it received
		k.untried = false
		return
	}
	fine, grey, used := k.carries(), k.grey, k == p.paths.best
	k.enter(now, receipt{at: s.at, small: s.small, large: s.large, took: m.took}, used)
	k.ledger.weigh(now, p.sizing.passedAt, k.rtt.value)
	if k.grey && !grey {
		c.greys++
	}
	if small, all := k.vanished(); used && all >= suspectAfter && small < suspectAfter {
		p.sizing.hurry(now)
	}
	if used && fine && !k.carries() {
		k.hurried = true
		p.paths.hurry()
	}
}

// changeWay forgets what tests have told of the way that was in use. One that had to be taken in a hurry is on trial.
func (p *peer) changeWay(reason string) {
	p.flow.wide.Store(0)
	p.sizing.leave()
	if b := p.paths.best; b != nil && (reason == PathLost || reason == pathSilent || reason == pathGrey || reason == pathStopped) {
		b.untried = true
	}
}

// curious reports that it is time to ask about what QUIC has sent.
func (s *paths) curious(now time.Time) bool {
	at := s.curiousAt(now)
	return !at.IsZero() && !now.Before(at)
}

// curiousAt is when to ask about what QUIC has sent, zero when there is nothing to ask: nothing of QUIC has come back for a while,
// what it sent before got lost, the way is new, or the peer has begun to send another way, as it does where it hears
// nothing. A single packet that nothing comes back for is the last one of a conversation, and tells nothing.
func (s *paths) curiousAt(now time.Time) time.Time {
	b := s.best
	if b == nil || !b.confirmed || b.open || b.unchecked() == 0 {
		return time.Time{}
	}
	at := b.probed.Add(max(helloEvery, b.rtt.value))
	switch {
	case b.suspected || b.untried || now.Sub(s.strange) < strangeFor:
		return at
	case s.unmet.After(s.met) && b.unchecked() >= suspectAfter:
		return later(at, s.unmet.Add(s.quietFor()))
	}
	return time.Time{}
}

// wonder takes note of a probe that came over the way in use: it may be that nothing else comes from us. What the peer
// sends tells nothing of what it receives. Connections that are idle send a packet a second, and are not to cost more.
func (s *paths) wonder(now time.Time, k *candidate) {
	if k != nil && k == s.best && k.confirmed && k.unchecked() >= suspectAfter && now.Sub(k.probed) >= max(quietLeast, 2*k.rtt.value) {
		k.hurried = true
	}
}

// seconds are the ways that copies of QUIC's packets go: the best of the others while it is in doubt whether that in use carries
// any, or else a grey one that has rested.
func (s *paths) seconds() (list []*candidate) {
	switch {
	case !s.proven():
		return nil
	case s.best.carries():
		list = s.others(func(k *candidate) bool { return k.onTrial() && k.unproven() < trialPackets })
		return list[:min(1, len(list))]
	}
	list = s.others(func(k *candidate) bool { return !k.grey })
	return list[:min(maxCopies, len(list))]
}

// others are the confirmed candidates that answer, pass ok and are not in use, best first.
func (s *paths) others(ok func(*candidate) bool) (list []*candidate) {
	for _, k := range s.candidates {
		if k != s.best && k.confirmed && k.missed == 0 && ok(k) {
			list = append(list, k)
		}
	}
	slices.SortStableFunc(list, func(a, b *candidate) int { return cmp.Compare(a.cost(), b.cost()) })
	return list
}

// outCopies sends QUIC packets, perhaps a batch, over other ways as well. QUIC takes the copy that comes later for what it is.
func (u *Underlay) outCopies(f *flow, b, oob []byte) {
	u.do(func(now time.Time, c *core, out *effects) {
		p := c.peers[f.id]
		if p == nil {
			return
		}
		for one := range u.packets(b, oob) {
			for _, k := range p.paths.seconds() {
				c.carry(now, p, k, one, out)
				k.hurried = k.hurried || k.grey
			}
		}
		c.settle(now, p, out)
	})
}

// carry sends a QUIC packet over a way, cut in two where a relay could not forward it whole.
func (c *core) carry(now time.Time, p *peer, k *candidate, b []byte, out *effects) {
	switch {
	case k.via == nil:
		out.datagrams = append(out.datagrams, outgoing{p, k.addr, k.udp, k.source, b})
	case len(b) > maxCarried:
		c.cutOver(now, p, k, b, out)
		return
	case !c.enclose(now, k.via, legTo, p.tag, b, out):
		return
	}
	k.left.add(1, len(b), int(p.flow.wide.Load()))
}

func (u *Underlay) greys() uint64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.core.greys
}
