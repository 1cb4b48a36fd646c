package tunnel

import (
	"net/netip"
	"slices"
	"time"
)

const (
	maxPairings = 6 // keys kept per peer: both sides may be renewing theirs, which makes five
	maxOldBoots = 4 // sessions of a peer that are refused without a challenge

	// oldBootFor is how long they are. A copy of a node's disk may run beside it: whichever of the two is
	// left must be heard again, by the answer to a challenge.
	oldBootFor = 15 * time.Second
	maxHeld    = 16 // packets per peer that wait for a challenge; newest dropped

	// staleAfter is how old a packet of an unknown session may be to be delivered once the
	// session is confirmed. Senders tell it as a counter, see marks.
	staleAfter = 5 * time.Second
)

// peer is all that the core knows of a node. What Path asks for comes first: a view of the mesh asks for
// that of every peer, and most of them are in no cache.
type peer struct {
	flow    *flow
	tag     tag
	paths   paths
	due     time.Time // when it wants to be looked at, zero: never
	index   int       // in the agenda, -1: not in it
	learned bool      // by its own hello, not by AddPeer
	parted  time.Time // when it said goodbye, as we know; zero: it has not
	Peer

	pairings []*pairing // newest first
	proven   *pairing   // the peer's last fresh frame was sealed with it; nil: none yet
	offered  *Peer      // a credential that came with a frame that may be a replay
	offerer  session    // of that frame: it counts once this session is the confirmed one
	refused  bool       // it has shown another credential than the one that counts, which is none for us

	session session // ours towards it
	counter uint64
	marks   marks

	boot     session // the session of its that is confirmed
	known    bool    // boot is set
	window   window
	next     *pendingSession // nil: none
	oldBoots []oldBoot       // newest first
	held     []heldPacket

	detours       detours
	calling       calling
	approachPause time.Duration
	approached    time.Time
	share         share // of what this node forwards

	sizing sizing
	cuts   uint32 // numbers QUIC packets that were cut in two

	answered   uint64 // generation of our credential that it has, 0: none
	reported   netip.AddrPort
	reportedAt time.Time
	poked      time.Time // when its last poke arrived
	waiters    []*waiter
}

// pendingSession is a session that may become confirmed: what it used must not be used again.
type pendingSession struct {
	session session
	window  window
}

// heldPacket waits for its session to be confirmed.
type heldPacket struct {
	session session
	counter uint64
	channel Channel
	payload []byte
	at      time.Time
}

// waiter is a Ping in progress.
type waiter struct {
	from  time.Time
	reply chan PathInfo // takes one without blocking
}

// marks remembers, coarsely, which counters were used how long ago.
type marks struct {
	floor, next uint64
	turned      time.Time // when next was noted
	sealed      time.Time // last use
}

// turn is called before a counter is used; last is the one used before.
func (m *marks) turn(now time.Time, last uint64) {
	switch {
	case now.Sub(m.sealed) >= staleAfter:
		m.floor, m.next, m.turned = last+1, last+1, now
	case now.Sub(m.turned) >= staleAfter:
		m.floor, m.next, m.turned = m.next, last+1, now
	}
	m.sealed = now
}

// pairingWith returns the keys for a box key of the peer and a generation of ours, nil if they
// were not derived yet.
func (p *peer) pairingWith(boxKey [32]byte, generation uint64) *pairing {
	for _, k := range p.pairings {
		if k.boxKey == boxKey && k.generation == generation {
			return k
		}
	}
	return nil
}

// keep adds keys; the oldest ones that are not proven give way.
func (p *peer) keep(k *pairing) {
	p.pairings = slices.Insert(p.pairings, 0, k)
	if len(p.pairings) <= maxPairings {
		return
	}
	last := len(p.pairings) - 1
	if p.pairings[last] == p.proven {
		last--
	}
	p.pairings = slices.Delete(p.pairings, last, last+1)
}

// oldBoot is a session that another one has replaced.
type oldBoot struct {
	session session
	at      time.Time
}

// retire forgets the confirmed session, because another one was.
func (p *peer) retire(now time.Time) {
	if !p.known {
		return
	}
	p.oldBoots = slices.Insert(p.oldBoots, 0, oldBoot{p.boot, now})
	p.oldBoots = p.oldBoots[:min(len(p.oldBoots), maxOldBoots)]
}

// isOld reports whether a session was replaced a moment ago.
func (p *peer) isOld(now time.Time, s session) bool {
	return slices.ContainsFunc(p.oldBoots, func(b oldBoot) bool { return b.session == s && now.Sub(b.at) < oldBootFor })
}

// info is the peer's way as it is now.
func (p *peer) info(start, now time.Time) PathInfo {
	i := PathInfo{Peer: p.flow.id, InVain: p.paths.inVain(now), Heard: instant(start, p.flow.heard.Load())}
	if b := p.paths.best; b != nil {
		i.Remote, i.Relay, i.Confirmed, i.RTT = b.remote(), b.relay(), b.confirmed, b.rtt.value
		i.TCP, i.Lane = b.overTCP(), p.lane(b)
	}
	return i
}

// lane is where a peer takes connections over TCP at an address that has answered.
func (p *peer) lane(k *candidate) netip.AddrPort {
	switch {
	case p.TCP == 0 || !k.confirmed || !k.straight():
		return netip.AddrPort{}
	case p.TCP == TCPSamePort:
		return k.addr
	}
	return netip.AddrPortFrom(k.addr.Addr(), p.TCP)
}

func (p *peer) drop(out *effects, why dropReason) { out.drop(why, p.ID) }
