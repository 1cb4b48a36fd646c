package tunnel

import (
	"bytes"
	"cmp"
	"net/netip"
	"slices"
	"time"

	micronet "github.com/micro/micro-net"
)

// arrival is a datagram that begins with 0x80.
type arrival struct {
	now   time.Time
	from  netip.AddrPort
	local netip.Addr // our address that it came to, zero: not known
	data  []byte
	via   *peer // the relay it came over, nil: directly; from is then its identity address
}

// receive takes a sealed frame. The stages, each of which may drop it:
//
//  1. take the frame apart; it must be for us
//  2. find the sender by its tag, or by the credential that is attached
//  3. open it
//  4. a session that is confirmed must not have seen the counter; one that was before is refused
//  5. note where it came from
//  6. serve the message: a frame of an unknown session is answered, challenged and held, but
//     changes nothing until its sender has echoed a nonce of ours
func (c *core) receive(a arrival, out *effects) {
	f, err := parseFrame(a.data)
	switch {
	case err == errFrameVersion:
		out.drop(dropVersion, micronet.NodeID{})
		return
	case err != nil:
		out.drop(dropMalformed, micronet.NodeID{})
		return
	case !c.joined():
		out.drop(dropNotJoined, micronet.NodeID{})
		return
	case f.receiver != c.tag || f.sender == c.tag:
		out.drop(dropNotForUs, micronet.NodeID{})
		return
	}
	p := c.tags[f.sender]
	offer, ok := c.offer(a.now, p, &f, out)
	if !ok {
		return
	}
	if p == nil {
		c.receiveNew(a, &f, offer, out)
		return
	}
	plain, k := c.open(p, offer, &f, out)
	if k == nil {
		p.drop(out, dropForged)
		return
	}
	m, err := parseMessage(plain)
	if err != nil {
		p.drop(out, messageDrop(err))
		return
	}
	c.serve(a, p, &f, k, &m, offer, out)
}

func messageDrop(err error) dropReason {
	if err == errMessageKind {
		return dropUnknownKind
	}
	return dropMalformed
}

// offer returns the peer that the attached credential describes; nil when there is none, when we
// hold the same already, and when it is none for us. false: the frame is to be dropped. The frame is
// not opened yet: it changes nothing.
func (c *core) offer(now time.Time, p *peer, f *frame, out *effects) (*Peer, bool) {
	switch {
	case f.credential == nil && p == nil:
		out.drop(dropUnknownSender, micronet.NodeID{})
		return nil, false
	case f.credential == nil:
		return nil, true
	case p != nil && bytes.Equal(f.credential, p.Credential):
		return nil, true
	case p != nil && p.offered != nil && bytes.Equal(f.credential, p.offered.Credential):
		return p.offered, true
	case !c.checked.take(now, 1):
		out.drop(dropVerifyRate, micronet.NodeID{})
		return nil, false
	}
	offered, err := c.verify(f.credential)
	switch bad := err != nil || tagOf(offered.ID) != f.sender; {
	case bad && p != nil:
		// Its key speaks for it all the same. Two who each have a credential that the other one refuses could
		// otherwise never tell each other why.
		return nil, true
	case bad || (p != nil && offered.ID != p.ID):
		out.drop(dropCredential, micronet.NodeID{})
		return nil, false
	}
	offered.Credential = slices.Clone(f.credential)
	return &offered, true
}

// receiveNew takes the hello of a sender that is not known: only a probe makes it known.
func (c *core) receiveNew(a arrival, f *frame, offer *Peer, out *effects) {
	k, err := newPairing(c.key.private, c.local.ID, offer.ID, offer.BoxKey)
	if err != nil {
		out.drop(dropCredential, offer.ID)
		return
	}
	k.generation = c.key.generation
	plain, err := unseal(k, f, out)
	if err != nil {
		out.drop(dropForged, offer.ID)
		return
	}
	m, err := parseMessage(plain)
	if err != nil || m.kind != messageProbe {
		out.drop(dropUnknownSender, offer.ID)
		return
	}
	p, err := c.newPeer(*offer, out)
	if err != nil {
		out.drop(dropPeersFull, offer.ID)
		return
	}
	p.learned = true
	p.keep(k)
	c.adopt(a.now, p, *offer)
	out.learned = append(out.learned, p.Peer)
	c.serve(a, p, f, k, &m, nil, out)
}

// open tries the keys that the sender may have used, likeliest first.
func (c *core) open(p *peer, offer *Peer, f *frame, out *effects) ([]byte, *pairing) {
	if p.proven != nil {
		if plain, err := unseal(p.proven, f, out); err == nil {
			return plain, p.proven
		}
	}
	if offer != nil {
		c.pair(p, offer.BoxKey, c.former)
		c.pair(p, offer.BoxKey, c.key)
	}
	c.pair(p, p.BoxKey, c.former)
	c.pair(p, p.BoxKey, c.key)
	for _, k := range p.pairings {
		if k == p.proven {
			continue
		}
		if plain, err := unseal(k, f, out); err == nil {
			return plain, k
		}
	}
	return nil, nil
}

// unseal opens a frame into the arena.
func unseal(k *pairing, f *frame, out *effects) ([]byte, error) {
	start := len(out.arena)
	opened, err := k.recv.Open(out.arena, f.nonce(), f.sealed, f.header)
	if err != nil {
		return nil, err
	}
	out.arena = opened
	return opened[start:], nil
}

// serve is stages 4 to 6.
func (c *core) serve(a arrival, p *peer, f *frame, k *pairing, m *message, offer *Peer, out *effects) {
	fresh, ok := c.admit(a.now, p, f, out)
	if !ok {
		return
	}
	if m.kind == messageProbe && m.flags&probePoke != 0 {
		if fresh && a.via == nil && !isTrunkAddr(a.from.Addr()) {
			p.poked = a.now
		}
		return
	}
	from := c.observe(a, p, fresh)
	if from != nil && m.kind != messageReply {
		from.knock(a.now)
	}
	p.show(f, offer)
	if m.kind == messageReply {
		fresh = c.reply(a, p, f, m, fresh, out)
	}
	if fresh {
		c.refresh(a.now, p, k, out)
	}
	switch m.kind {
	case messagePacket:
		c.packet(a, p, f, m, fresh, out)
	case messageProbe:
		c.answer(a, p, k, from, m, out)
		if m.flags&probeComplains != 0 && fresh && from != nil {
			c.sync(p)
			p.paths.heed(a.now, from)
		}
		p.paths.wonder(a.now, from)
		if a.via != nil && fresh {
			c.meet(a.now, p, out)
		}
	}
	if !fresh && from != nil && m.kind != messageReply {
		c.challenge(a.now, p, from, out)
	}
	c.settle(a.now, p, out)
}

// show takes note of the credential that came with a frame, see offer.
func (p *peer) show(f *frame, offer *Peer) {
	switch {
	case offer != nil:
		p.offered, p.offerer = offer, f.session
	case f.credential != nil:
		p.refused = !bytes.Equal(f.credential, p.Credential)
	}
}

// admit is stage 4. fresh says that the session is confirmed: the frame cannot be a replay.
func (c *core) admit(now time.Time, p *peer, f *frame, out *effects) (fresh, ok bool) {
	switch {
	case p.known && f.session == p.boot:
		fresh, ok = true, p.window.accept(f.counter)
	case p.isOld(now, f.session):
		p.drop(out, dropOldBoot)
		return false, false
	default:
		if p.next == nil || f.session != p.next.session {
			p.next = &pendingSession{session: f.session}
		}
		ok = p.next.window.accept(f.counter)
	}
	if !ok {
		p.drop(out, dropReplay)
	}
	return fresh, ok
}

// challenge asks the sender of a frame of an unknown session for a sign of life.
func (c *core) challenge(now time.Time, p *peer, from *candidate, out *effects) {
	p.answered = 0 // a new session may mean that it lost our credential
	if p.paths.challenge(now, from) {
		c.probe(now, p, from, false, out)
	}
}

// observe notes the address that an authenticated frame came from; nil when nothing may be sent
// there.
func (c *core) observe(a arrival, p *peer, fresh bool) *candidate {
	if a.via != nil {
		return c.observeDetour(a, p, fresh)
	}
	end, ok := c.cameOver(a.from, p)
	if !ok {
		return nil
	}
	from := p.paths.find(a.from)
	if from == nil {
		before := slices.Clone(p.paths.candidates)
		from = p.paths.observe(a.now, a.from, fresh)
		from.real, from.dialled = end.remote, end.ours
		c.unbindGone(p, before)
	} else {
		p.paths.observe(a.now, a.from, fresh)
	}
	if fresh && from.trunk() {
		p.paths.doubt(a.now)
	}
	from.calling = from.calling || (!from.spoken && !from.trunk())
	from.credit(int64(len(a.data)))
	if a.local.IsValid() && a.local != from.local {
		from.local, from.source = a.local, c.source(a.local)
	}
	if b := c.dir.bind(a.from, p.flow, from.confirmed); b != nil {
		from.binding = b
	}
	return from
}

// cameOver reports whether a peer may be sent packets where a frame of it came from, with the other end where that is a
// trunk: one that has not ended, and is the peer's. Somebody may pass on what others sent.
func (c *core) cameOver(from netip.AddrPort, p *peer) (end trunkEnd, ok bool) {
	if !isTrunkAddr(from.Addr()) {
		return end, c.view.usable(from, p.Machine)
	}
	end, ok = c.behind(from)
	return end, ok && end.peer == p.ID
}

// reply takes the echo of a probe, and reports whether the frame is fresh now: an outstanding
// nonce of ours proves that its session is the sender's current one.
func (c *core) reply(a arrival, p *peer, f *frame, m *message, fresh bool, out *effects) bool {
	to, s := p.paths.answered(a.now, m.nonce)
	if to == nil {
		if !fresh {
			p.drop(out, dropUnasked)
		}
		return fresh
	}
	c.proved(p, to)
	p.answered = max(p.answered, s.generation)
	if observed := clean(m.observed); c.reportable(observed) {
		p.reported, p.reportedAt = observed, a.now
		to.seen = observed
	}
	if !fresh {
		c.confirm(a.now, p, f, m.floor, out)
	}
	c.weigh(a.now, p, to, s, m)
	c.wake(p, to, a.now, s.at)
	return true
}

// proved takes note that a reply came over a candidate.
func (c *core) proved(p *peer, k *candidate) {
	if k.via != nil {
		return
	}
	if k.calling {
		k.calling, k.unasked, c.called = false, true, true
	}
	if b := c.dir.bind(k.addr, p.flow, true); b != nil {
		k.binding = b
	}
}

// reportable reports whether an address can be one of ours.
func (c *core) reportable(a netip.AddrPort) bool {
	return a.IsValid() && a.Port() != 0 && !a.Addr().IsUnspecified() && !a.Addr().IsMulticast() &&
		!micronet.IsIdentityAddr(a.Addr())
}

// confirm makes a session the peer's current one and delivers what waited for that.
func (c *core) confirm(now time.Time, p *peer, f *frame, floor uint64, out *effects) {
	p.retire(now)
	p.boot, p.known = f.session, true
	p.window, p.next = p.next.window, nil
	p.window.floor = floor
	held := p.held
	p.held = nil
	c.held -= len(held)
	slices.SortStableFunc(held, func(a, b heldPacket) int { return cmp.Compare(a.counter, b.counter) })
	last := uint64(0)
	for _, h := range held {
		if h.session != p.boot || h.counter < floor || h.counter == last {
			p.drop(out, dropHeldStale)
			continue
		}
		last = h.counter
		p.window.accept(last) // what other sessions tried in between made the window forget it
		out.deliveries = append(out.deliveries, delivery{p.ID, h.channel, h.payload, now})
	}
}

// refresh takes note of a frame that cannot be a replay.
func (c *core) refresh(now time.Time, p *peer, k *pairing, out *effects) {
	p.flow.heard.Store(moment(c.start, now))
	p.proven = k
	o := p.offered
	if o == nil || o.BoxKey != k.boxKey || p.offerer != p.boot {
		return
	}
	p.offered = nil
	if o.Expires.Before(p.Expires) {
		return
	}
	c.adopt(now, p, *o)
	out.learned = append(out.learned, p.Peer)
}

// packet delivers a channel's packet, or holds it until its session is confirmed.
func (c *core) packet(a arrival, p *peer, f *frame, m *message, fresh bool, out *effects) {
	if fresh {
		out.deliveries = append(out.deliveries, delivery{p.ID, m.channel, m.payload, a.now})
		return
	}
	if len(p.held) >= maxHeld || c.held >= maxHeldTotal {
		p.drop(out, dropHeldFull)
		return
	}
	c.held++
	p.held = append(p.held, heldPacket{f.session, f.counter, m.channel, slices.Clone(m.payload), a.now})
}

// expireHeld lets go of packets whose session nobody confirmed.
func (c *core) expireHeld(now time.Time, p *peer, out *effects) {
	n := 0
	for n < len(p.held) && now.Sub(p.held[n].at) >= staleAfter {
		p.drop(out, dropHeldStale)
		n++
	}
	c.held -= n
	p.held = slices.Delete(p.held, 0, n)
	if len(p.held) == 0 {
		p.held = nil
	}
}

// answer replies to a probe with the keys that it was sealed with. Our credential goes along
// when it was asked for, or when the peer used a key that we have replaced.
func (c *core) answer(a arrival, p *peer, k *pairing, to *candidate, m *message, out *effects) {
	if to == nil {
		p.drop(out, dropNoPath)
		return
	}
	r := message{kind: messageReply, nonce: m.nonce, counts: true, took: c.took(to)}
	if a.via == nil && !to.trunk() {
		r.observed = a.from
	}
	attach := (m.flags&probeWantsCredential != 0 || k.generation != c.key.generation) && len(c.local.Credential) > 0
	attach = attach && to.allow(a.now, len(c.local.Credential))
	if !to.allow(a.now, c.frameLen(&r, false)) {
		p.drop(out, dropAmplification)
		return
	}
	c.seal(a.now, p, k, to, &r, attach, out)
}

// wake tells those who wait for a reply to a probe that left after they came.
func (c *core) wake(p *peer, via *candidate, now, sent time.Time) {
	p.waiters = slices.DeleteFunc(p.waiters, func(w *waiter) bool {
		if sent.Before(w.from) {
			return false
		}
		w.reply <- PathInfo{Peer: p.ID, Remote: via.remote(), Relay: via.relay(), TCP: via.overTCP(), Confirmed: true, RTT: now.Sub(sent), Heard: now}
		return true
	})
}
