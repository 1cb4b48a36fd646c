package tunnel

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"

	micronet "github.com/micro/micro-net"
)

const (
	// maxPeers bounds the peers that are known. Beyond it the one whose session was never
	// confirmed, and that was not heard for longest, gives way; if there is none, the new one.
	maxPeers = 4096
	// maxHeldTotal bounds the packets of all peers that wait for a challenge; newest dropped.
	maxHeldTotal = 256

	// Checking a signature takes about a tenth of a millisecond, and anybody can ask for it.
	verifyRate  = 500 // a second
	verifyBurst = 1000
)

// ownKey is a static key of ours.
type ownKey struct {
	generation uint64 // counts keys, 0: none
	private    [32]byte
}

// core is the protocol of sealed frames: who is who, which session is confirmed, which path is
// taken. It is told the time and what arrived, and fills effects; it does no I/O and is not safe
// for concurrent use. The directory is the one thing it shares.
type core struct {
	start   time.Time
	view    vantage
	verify  Verify
	entropy io.Reader
	dir     *directory
	source  func(netip.Addr) []byte               // control message for an address of ours
	behind  func(netip.AddrPort) (trunkEnd, bool) // what a trunk's address stands for

	local      Local
	tag        tag
	key        ownKey // zero generation: not joined
	former     ownKey // what peers may still use
	credential uint64 // generation of our credential

	peers       map[micronet.NodeID]*peer
	tags        map[tag]*peer
	agenda      agenda
	held        int
	near        nearby  // relays
	homes       []*peer // relays that we keep in touch with
	carried     quota
	searches    bucket // relays that may be tried
	spares      bucket // the same, where one leads to the peer
	placed      bucket // calls
	lonely      lonely
	trunks      bool      // trunks may be dialled
	walledUntil time.Time // see overTrunks
	called      bool      // somebody whom we had not spoken to reached us
	survey      *survey   // nil: none is under way
	nonce       uint64    // of probes; unique is enough, frames are sealed
	greys       uint64    // ways that were found to be grey
	checked     bucket
}

func newCore(start time.Time, view vantage, entropy io.Reader, verify Verify, dir *directory) (*core, error) {
	var seed [8]byte
	if _, err := io.ReadFull(entropy, seed[:]); err != nil {
		return nil, fmt.Errorf("entropy: %w", err)
	}
	return &core{
		start: start, view: view, verify: verify, entropy: entropy, dir: dir,
		source:   func(netip.Addr) []byte { return nil },
		peers:    map[micronet.NodeID]*peer{},
		tags:     map[tag]*peer{},
		nonce:    binary.BigEndian.Uint64(seed[:]) | 1,
		checked:  bucket{rate: verifyRate, burst: verifyBurst},
		carried:  newQuota(),
		searches: bucket{rate: detourRate, burst: detourBurst},
		spares:   bucket{rate: spareRate, burst: spareBurst},
		placed:   bucket{rate: callRate, burst: callBurst},
		behind:   func(netip.AddrPort) (trunkEnd, bool) { return trunkEnd{}, false },
	}, nil
}

// setLocal replaces our own side. Peers in use are told at once.
func (c *core) setLocal(now time.Time, l Local, out *effects) {
	if l.ID != c.local.ID {
		c.former = ownKey{}
		c.key.generation++
		c.key.private = l.BoxPrivate
		for _, p := range c.peers {
			p.pairings, p.proven = nil, nil
		}
	} else if l.BoxPrivate != c.local.BoxPrivate {
		c.former = c.key
		c.key = ownKey{generation: c.key.generation + 1, private: l.BoxPrivate}
	}
	if l.ID != c.local.ID || string(l.Credential) != string(c.local.Credential) {
		c.credential++
	}
	machine := l.Machine != c.view.machine
	c.local, c.tag, c.view.machine = l, tagOf(l.ID), l.Machine
	for _, p := range c.peers {
		if machine {
			c.declare(now, p)
		}
		if p.paths.best != nil && p.paths.wanted(now) {
			p.paths.best.hurried = true
		}
		c.settle(now, p, out)
	}
}

// joined reports whether we have an identity to seal with.
func (c *core) joined() bool { return !c.local.ID.IsZero() }

// addPeer takes what the node knows of a peer. It replaces the credential at once: whoever calls
// has compared epochs, which a frame alone does not allow.
func (c *core) addPeer(now time.Time, in Peer, out *effects) error {
	p := c.peers[in.ID]
	if p == nil {
		if in.ID.IsZero() || in.ID == c.local.ID {
			return fmt.Errorf("%s cannot be a peer", in.ID.Short())
		}
		var err error
		if p, err = c.newPeer(in, out); err != nil {
			return err
		}
	}
	p.learned = false
	c.adopt(now, p, in)
	if p.proven != nil && p.proven.boxKey != in.BoxKey {
		p.proven, p.answered = nil, 0
	}
	c.settle(now, p, out)
	return nil
}

func (c *core) newPeer(in Peer, out *effects) (*peer, error) {
	t := tagOf(in.ID)
	if other := c.tags[t]; other != nil {
		return nil, fmt.Errorf("the tag of %s is that of %s", in.ID.Short(), other.ID.Short())
	}
	if len(c.peers) >= maxPeers && !c.evict(out) {
		return nil, fmt.Errorf("%d peers are known already", len(c.peers))
	}
	p := &peer{Peer: Peer{ID: in.ID}, tag: t, flow: newFlow(in.ID), index: -1}
	if _, err := io.ReadFull(c.entropy, p.session[:]); err != nil {
		return nil, fmt.Errorf("entropy: %w", err)
	}
	p.flow.peer = p
	c.peers[in.ID], c.tags[t] = p, p
	c.dir.add(p.flow)
	return p, nil
}

// evict makes room by the rule of maxPeers. Peers that nobody but themselves told us of go first.
func (c *core) evict(out *effects) bool {
	var victim *peer
	for _, p := range c.peers {
		if !p.known && (victim == nil || moreExpendable(p, victim)) {
			victim = p
		}
	}
	if victim == nil {
		return false
	}
	victim.drop(out, dropPeersFull)
	c.removePeer(victim, out)
	return true
}

func moreExpendable(p, than *peer) bool {
	if p.learned != than.learned {
		return p.learned
	}
	a, b := p.paths.arrived, than.paths.arrived
	if !a.Equal(b) {
		return a.Before(b)
	}
	return p.ID.Compare(than.ID) < 0
}

func (c *core) removePeer(p *peer, out *effects) {
	delete(c.peers, p.ID)
	delete(c.tags, p.tag)
	c.dismiss(p)
	c.agenda.set(p, time.Time{})
	c.dir.remove(p.flow)
	for _, k := range p.paths.candidates {
		c.dir.unbind(k.addr, k.binding)
	}
	c.held -= len(p.held)
	p.held = nil
	p.flow.route.Store(nil)
	if m, ok := p.paths.show(netip.AddrPort{}, 0, pathRemoved); ok {
		out.move(p, m)
	}
}

// adopt makes in the credential that counts.
func (c *core) adopt(now time.Time, p *peer, in Peer) {
	p.Peer = in
	p.Credential = slices.Clone(in.Credential)
	p.Endpoints, p.Relays = slices.Clone(in.Endpoints), slices.Clone(in.Relays)
	p.offered, p.refused = nil, false
	c.declare(now, p)
}

// declare takes over the addresses of the credential that counts.
func (c *core) declare(now time.Time, p *peer) {
	before := slices.Clone(p.paths.candidates)
	p.paths.declare(now, c.usable(&p.Peer))
	c.unbindGone(p, before)
}

func (c *core) unbindGone(p *peer, before []*candidate) {
	for _, k := range before {
		if !slices.Contains(p.paths.candidates, k) {
			c.dir.unbind(k.addr, k.binding)
		}
	}
}

// usable returns the endpoints of a credential that we may send to, in their order.
func (c *core) usable(p *Peer) []netip.AddrPort {
	var out []netip.AddrPort
	for _, a := range p.Endpoints {
		if a = clean(a); c.view.usable(a, p.Machine) {
			out = append(out, a)
		}
	}
	return out
}

// pair returns the keys between one of our keys and one of the peer's; nil when they cannot be
// derived.
func (c *core) pair(p *peer, boxKey [32]byte, own ownKey) *pairing {
	if own.generation == 0 {
		return nil
	}
	if k := p.pairingWith(boxKey, own.generation); k != nil {
		return k
	}
	k, err := newPairing(own.private, c.local.ID, p.ID, boxKey)
	if err != nil {
		return nil
	}
	k.generation = own.generation
	p.keep(k)
	return k
}

// seal appends a frame to the arena and queues it for to.
func (c *core) seal(now time.Time, p *peer, k *pairing, to *candidate, m *message, attach bool, out *effects) {
	p.marks.turn(now, p.counter)
	p.counter++
	f := frame{receiver: p.tag, sender: c.tag, session: p.session, counter: p.counter}
	if attach {
		f.credential = c.local.Credential
	}
	start := len(out.arena)
	out.arena = appendFrameHeader(out.arena, &f)
	f.header = out.arena[start:len(out.arena):len(out.arena)]
	if m.kind == messageReply {
		m.floor = p.marks.floor
	}
	body := len(out.arena)
	out.arena = slices.Grow(out.arena, len(m.payload)+maxMessageOverhead+sealOverhead)
	out.arena = appendMessage(out.arena, m) // sealed in place
	out.arena = k.send.Seal(out.arena[:body], f.nonce(), out.arena[body:], f.header)
	if to.via != nil {
		c.enclose(now, to.via, legTo, p.tag, out.arena[start:], out)
		return
	}
	out.datagrams = append(out.datagrams, outgoing{p, to.addr, to.udp, to.source, out.arena[start:]})
}

// maxMessageOverhead is the most bytes of a message besides its payload.
const maxMessageOverhead = 48

// frameLen is how long a frame becomes.
func (c *core) frameLen(m *message, attach bool) int {
	n := frameHeaderLen + sealOverhead + 2 + len(m.payload)
	switch m.kind {
	case messageProbe:
		n += 8
	case messageReply:
		n += maxMessageOverhead - 2
	}
	if attach {
		n += 2 + len(c.local.Credential)
	}
	return n
}

// probe sends a probe to a candidate if the address may get one, and notes it either way. Our
// credential goes with it as long as the peer may lack it and the address may get that much;
// full says that it is to be attached whatever the peer answered before.
func (c *core) probe(now time.Time, p *peer, to *candidate, full bool, out *effects) {
	to.note(now)
	c.creditQUIC(to)
	k := c.pair(p, p.BoxKey, c.key)
	if k == nil {
		return
	}
	c.nonce++
	m := message{kind: messageProbe, nonce: c.nonce}
	if len(p.Credential) == 0 || p.refused {
		m.flags |= probeWantsCredential
	}
	if p.paths.complains(now) {
		m.flags |= probeComplains
	}
	// A second probe without reply may mean that the peer has restarted and forgotten us.
	full = full || p.answered != c.credential || to.attempts > 1
	attach := full && len(c.local.Credential) > 0 && to.allow(now, c.frameLen(&m, true))
	if !attach && !to.allow(now, c.frameLen(&m, false)) && !to.declared {
		p.drop(out, dropAmplification)
		return
	}
	c.sendProbe(now, p, k, to, &m, attach, out)
}

// creditQUIC takes over the QUIC bytes that came from an address.
func (c *core) creditQUIC(k *candidate) {
	if k.binding != nil {
		came := k.binding.received.Load()
		k.credit(came - k.binding.credited)
		k.binding.credited = came
	}
}

func (c *core) sendProbe(now time.Time, p *peer, k *pairing, to *candidate, m *message, attach bool, out *effects) {
	s := sentProbe{nonce: m.nonce, at: now, generation: p.answered}
	if attach {
		s.generation = c.credential
	}
	to.remember(s)
	c.seal(now, p, k, to, m, attach, out)
}

// hello puts probes to all candidates before a packet on a path that is not confirmed.
func (c *core) hello(now time.Time, p *peer, full bool, out *effects) {
	p.giveUp()
	c.detour(now, p)
	c.fallBack(now, p, out)
	out.chosen = p.paths.flight(now, out.chosen[:0])
	for _, to := range out.chosen {
		c.probe(now, p, to, full, out)
	}
}

// send seals a packet for a channel.
func (c *core) send(now time.Time, p *peer, ch Channel, payload []byte, out *effects) error {
	const op = "tunnel.send"
	c.sync(p)
	if p.paths.doubtful(now) {
		p.paths.seek(now)
		c.hello(now, p, false, out)
		c.settle(now, p, out)
	}
	to := p.paths.best
	if to == nil {
		p.drop(out, dropNoPath)
		return micronet.E(op, micronet.Unreachable, "no address of it can be tried").WithPeer(p.ID)
	}
	k := p.proven
	if k == nil {
		k = c.pair(p, p.BoxKey, c.key)
	}
	if k == nil {
		return micronet.E(op, micronet.Invalid, "its box key is unusable").WithPeer(p.ID)
	}
	m := message{kind: messagePacket, channel: ch, payload: payload}
	if !to.allow(now, c.frameLen(&m, false)) {
		p.drop(out, dropAmplification)
		return micronet.E(op, micronet.Overloaded, "%s has not answered yet and may get no more", to.addr).WithPeer(p.ID)
	}
	c.seal(now, p, k, to, &m, false, out)
	return nil
}

// quic decides about n bytes of QUIC for a peer whose path is not confirmed, and puts a hello
// before them.
func (c *core) quic(now time.Time, p *peer, n int, out *effects) bool {
	c.sync(p)
	p.paths.use(now)
	if c.joined() {
		c.hello(now, p, true, out)
	}
	c.settle(now, p, out)
	to := p.paths.best
	if to == nil {
		p.drop(out, dropNoPath)
		return false
	}
	c.creditQUIC(to)
	if !to.allow(now, n) {
		p.drop(out, dropAmplification)
		return false
	}
	return true
}

// stumble takes note that the system refused to send to an address of a peer.
func (c *core) stumble(now time.Time, p *peer, addr netip.AddrPort, out *effects) {
	if k := p.paths.find(addr); k != nil && c.peers[p.ID] == p {
		k.hurried = true
		c.settle(now, p, out)
	}
}

// forgetSource takes note that our own address, which packets to addr left from, is gone.
func (c *core) forgetSource(p *peer, addr netip.AddrPort) {
	if k := p.paths.find(addr); k != nil && c.peers[p.ID] == p {
		k.local, k.source = netip.Addr{}, nil
		c.publish(p)
	}
}

// moved takes note that QUIC from an address of a peer arrives at another address of ours.
func (c *core) moved(id micronet.NodeID, from netip.AddrPort, local netip.Addr) {
	p := c.peers[id]
	if p == nil {
		return
	}
	if k := p.paths.find(from); k != nil {
		k.local, k.source = local, c.source(local)
		c.publish(p)
	}
}

// sync takes over what the lock-free ways of QUIC packets noted.
func (c *core) sync(p *peer) {
	if t := instant(c.start, p.flow.used.Load()); t.After(p.paths.used) {
		p.paths.used = t
	}
	if t := instant(c.start, p.flow.arrived.Load()); t.After(p.paths.arrived) {
		p.paths.arrived = t
	}
	if b := p.paths.best; b != nil && b.binding != nil {
		b.carried = later(b.carried, instant(c.start, b.binding.came.Load()))
	}
	if t := instant(c.start, p.flow.asked.Load()); t.After(p.paths.asked) {
		p.paths.asked = t
	}
	p.paths.met = instant(c.start, p.flow.arrived.Load())
	p.paths.unmet, p.paths.strange = instant(c.start, p.flow.unmet.Load()), instant(c.start, p.flow.strange.Load())
}

// tick looks at the peers that are due, and returns when the next one is, zero for never.
func (c *core) tick(now time.Time, out *effects) time.Time {
	for {
		p := c.agenda.first()
		if p == nil {
			return time.Time{}
		}
		if p.due.After(now) {
			return p.due
		}
		c.lookAt(now, p, out)
	}
}

func (c *core) lookAt(now time.Time, p *peer, out *effects) {
	c.sync(p)
	c.expireHeld(now, p, out)
	p.giveUp()
	out.chosen = p.paths.due(now, out.chosen[:0])
	out.chosen = append(out.chosen, c.detour(now, p)...)
	c.fallBack(now, p, out)
	for _, to := range out.chosen {
		if c.joined() {
			c.probe(now, p, to, false, out)
		} else {
			to.note(now)
		}
	}
	c.testSize(now, p, out)
	c.settle(now, p, out)
	if !p.due.IsZero() && !p.due.After(now) {
		// A time that does not move on would keep the loop busy.
		c.agenda.set(p, now.Add(helloEvery))
	}
}

// settle chooses the path anew, shows it to the lock-free side and makes the next appointment.
func (c *core) settle(now time.Time, p *peer, out *effects) {
	shown := p.paths.best
	m, moved := p.paths.choose()
	if moved {
		out.move(p, m)
		c.tryAgain(p)
	}
	if m.reason == PathLost || (shown != nil && p.paths.best == nil) {
		p.answered = 0 // it may have restarted and know us no more
	}
	if p.paths.best != shown {
		p.changeWay(m.reason)
	}
	c.publish(p)
	p.flow.copied.Store(len(p.paths.seconds()) > 0)
	c.agenda.set(p, c.appointment(now, p))
}

func (c *core) appointment(now time.Time, p *peer) time.Time {
	at := p.paths.next(now)
	if test := c.nextTest(now, p); !test.IsZero() && (at.IsZero() || test.Before(at)) {
		at = test
	}
	if len(p.held) > 0 {
		stale := p.held[0].at.Add(staleAfter)
		if at.IsZero() || stale.Before(at) {
			at = stale
		}
	}
	return at
}

// publish replaces the route if something about it changed.
func (c *core) publish(p *peer) {
	b, r := p.paths.best, p.flow.route.Load()
	if b == nil {
		if r != nil {
			p.flow.route.Store(nil)
		}
		return
	}
	if r != nil && r.udp == b.udp && r.confirmed == b.confirmed && string(r.source) == string(b.source) {
		return
	}
	p.flow.route.Store(&route{remote: b.addr, udp: b.udp, confirmed: b.confirmed, source: b.source, relayed: b.via != nil, left: b.left})
}
