package tunnel

import (
	"net/netip"
	"slices"
	"time"

	micronet "github.com/micro/micro-net"
)

const (
	// relayRate is how many bytes a second a node forwards for others, of all together, and relayBurst how many at
	// once. Nobody gets more than half of it, nor more than an even share when it is short; what is over is dropped.
	// Each packet counts for relayCost more than it has: small ones cost as much work.
	relayRate  = 64 << 20
	relayBurst = 4 << 20
	relayCost  = 256
	// relayedFor is how long after its last packet somebody counts among those who share.
	relayedFor = time.Second

	// maxHomes is how many relays a node keeps in touch with that others cannot reach.
	maxHomes = 2
)

// enclose puts a datagram into an envelope and queues it for the next node, or drops it, and reports which.
func (c *core) enclose(now time.Time, next *peer, l leg, far tag, datagram []byte, out *effects) bool {
	k, to := next.proven, next.door()
	if to == nil || k == nil {
		next.drop(out, dropRelayNoPath)
		c.approach(now, next)
		return false
	}
	c.sync(next)
	idle := !next.paths.wanted(now)
	next.paths.use(now)
	next.marks.turn(now, next.counter)
	next.counter++
	start := len(out.arena)
	out.arena = appendEnvelope(out.arena, k, next.session, l, far, next.counter, datagram)
	out.datagrams = append(out.datagrams, outgoing{next, to.addr, to.udp, to.source, out.arena[start:]})
	if idle {
		c.settle(now, next, out)
	}
	return true
}

// envelope takes an envelope: one to be forwarded, or one whose datagram is for us.
func (c *core) envelope(a arrival, out *effects) {
	e, err := parseEnvelope(a.data)
	if err != nil {
		out.drop(dropEnvelope, micronet.NodeID{})
		return
	}
	p := c.sender(a, &e)
	switch {
	case p == nil:
		out.drop(dropEnvelope, micronet.NodeID{})
		return
	case !p.window.accept(e.counter):
		p.drop(out, dropReplay)
		return
	}
	c.observe(a, p, true)
	p.flow.heard.Store(moment(c.start, a.now))
	if e.leg == legTo {
		c.forward(a.now, p, &e, out)
	} else {
		c.unwrap(a, p, &e, out)
	}
	c.settle(a.now, p, out)
}

// sender is the peer that made an envelope, nil when it is not the one that the address belongs to.
func (c *core) sender(a arrival, e *envelope) *peer {
	b := c.dir.byAddress(a.from)
	if b == nil {
		return nil
	}
	p := c.peers[b.flow.id]
	if p == nil || !p.known {
		return nil
	}
	if p.proven != nil && e.proves(p.proven, p.boot) {
		return p
	}
	for _, k := range p.pairings {
		if k != p.proven && e.proves(k, p.boot) {
			return p
		}
	}
	return nil
}

// forward passes a datagram on to the node it is for, which must be reached directly: a path has one relay.
func (c *core) forward(now time.Time, from *peer, e *envelope, out *effects) {
	to := c.tags[e.far]
	switch {
	case !c.local.Relay:
		from.drop(out, dropRelayOff)
	case to == nil || to == from:
		from.drop(out, dropRelayUnknown)
	case !c.carried.take(now, from, len(e.inner)):
		from.drop(out, dropRelayQuota)
	default:
		c.enclose(now, to, legFrom, from.tag, e.inner, out)
	}
}

// unwrap takes what a relay brought.
func (c *core) unwrap(a arrival, relay *peer, e *envelope, out *effects) {
	if !isQUIC(e.inner) {
		c.receive(arrival{now: a.now, from: relay.flow.identity.AddrPort(), data: e.inner, via: relay}, out)
		return
	}
	from := c.tags[e.far]
	var way *candidate
	if from != nil {
		way = from.paths.find(relay.flow.identity.AddrPort())
	}
	if way == nil {
		// Nothing sealed has come from it that way: anybody could say so.
		relay.drop(out, dropUnknownPeer)
		return
	}
	turned := from.paths.turned(a.now, way)
	way.carried, way.contested = a.now, false
	way.binding.received.Add(int64(len(e.inner)))
	another := from.flow.comes(way.binding, moment(c.start, a.now))
	out.whole = append(out.whole, rejoined{from.flow.identity, slices.Clone(e.inner), from.ID})
	switch {
	case turned:
		c.lookAt(a.now, from, out) // before QUIC answers
	case another:
		c.sync(from)
		c.settle(a.now, from, out)
	}
}

// outRelayed sends QUIC packets, perhaps a batch, to a peer that is reached over a relay.
func (u *Underlay) outRelayed(f *flow, b, oob []byte) {
	u.do(func(now time.Time, c *core, out *effects) {
		for one := range u.packets(b, oob) {
			c.relay(now, f, one, out)
		}
	})
}

// relay sends a QUIC packet over the relay in use. Where the way has just changed, it is lost, as packets are.
func (c *core) relay(now time.Time, f *flow, b []byte, out *effects) {
	p := c.peers[f.id]
	if p == nil || p.paths.best == nil || p.paths.best.via == nil {
		out.drop(dropRelayNoPath, f.id)
		return
	}
	if size, _ := f.sizes.largest(); len(b) > maxCarried && len(b) > size {
		out.drop(dropTooLarge, f.id) // QUIC asks whether packets of this size pass
		return
	}
	if len(b) > maxCarried || (len(b) > safeSize && f.narrow.Load()) {
		c.cut(now, f.id, b, out)
		return
	}
	c.sync(p)
	p.paths.ask(now)
	c.carry(now, p, p.paths.best, b, out)
}

// share is how much a node may have forwarded.
type share struct {
	bucket
	last   time.Time
	active bool // it is in the quota's list
}

// quota divides what we forward among those we forward for. It is a pure core.
type quota struct {
	total          bucket
	active         []*peer // who has had something forwarded within relayedFor
	pruned         time.Time
	packets, bytes uint64
}

func newQuota() quota { return quota{total: bucket{rate: relayRate, burst: relayBurst}} }

// take reports whether n bytes of a peer may be forwarded now.
func (q *quota) take(now time.Time, p *peer, n int) bool {
	q.prune(now)
	s := &p.share
	if !s.active {
		s.active = true
		q.active = append(q.active, p)
	}
	parts := 2.0
	if q.total.level(now) < relayBurst/2 {
		parts = max(parts, float64(len(q.active)))
	}
	s.last, s.rate, s.burst = now, q.total.rate/parts, q.total.burst/2
	cost := float64(n + relayCost)
	if !s.take(now, cost) || !q.total.take(now, cost) {
		return false
	}
	q.packets++
	q.bytes += uint64(n)
	return true
}

// prune lets go of who has had nothing forwarded for a while.
func (q *quota) prune(now time.Time) {
	if now.Sub(q.pruned) < relayedFor/10 {
		return
	}
	q.pruned = now
	q.active = slices.DeleteFunc(q.active, func(p *peer) bool {
		p.share.active = now.Sub(p.share.last) < relayedFor
		return !p.share.active
	})
}

// forget takes a peer out.
func (q *quota) forget(gone *peer) {
	q.active = slices.DeleteFunc(q.active, func(p *peer) bool { return p == gone })
}

// keepHomes keeps in touch with n relays, so that others can reach us over them, and returns their tags. One in use
// stays as long as it answers and none is at less than half its round trip.
func (c *core) keepHomes(now time.Time, n int, out *effects) []RelayTag {
	was := c.homes
	near := c.nearRelays(now)
	c.homes = slices.DeleteFunc(slices.Clone(was), func(r *peer) bool { return !r.relays() || !r.direct() || farHome(r, near, n) })
	c.homes = c.homes[:min(n, len(c.homes))]
	for _, r := range near {
		if len(c.homes) < n && r.direct() && !slices.Contains(c.homes, r) {
			c.homes = append(c.homes, r)
		}
	}
	for _, r := range was {
		r.paths.kept = false
	}
	tags := make([]RelayTag, 0, n)
	for _, r := range c.homes {
		r.paths.kept = true
		tags = append(tags, RelayTag(r.tag))
		c.settle(now, r, out)
	}
	return tags
}

// farHome reports whether n of the nearest relays are at less than half the round trip of one.
func farHome(r *peer, near []*peer, n int) bool {
	closer := 0
	for _, x := range near {
		if x != r && x.direct() && farApart(x.door().rtt.value, r.door().rtt.value) {
			closer++
		}
	}
	return closer >= n
}

// KeepHomes keeps in touch with relays, so that those who cannot reach this node directly may over them, or ends
// that. It returns the tags of the relays, for the credential. It is called again every few seconds.
func (u *Underlay) KeepHomes(keep bool) (tags []RelayTag) {
	n := 0
	if keep {
		n = maxHomes
	}
	u.do(func(now time.Time, c *core, out *effects) { tags = c.keepHomes(now, n, out) })
	return tags
}

func (u *Underlay) relayed() (packets, bytes uint64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.core.carried.packets, u.core.carried.bytes
}

// Standing is what others have shown of where this node is.
type Standing struct {
	Seen    []netip.AddrPort // our address as a peer said within the last minutes that it sees it, one for each
	Called  bool             // somebody has reached us to whom we had sent nothing
	Dialled bool             // somebody has a trunk to us that answers
	Walled  bool             // trunks lead to others, and UDP reaches nobody
}

// Standing returns what is known since the start, or since ForgetStanding.
func (u *Underlay) Standing() (s Standing) {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now()
	s.Called = u.core.called
	s.Walled, s.Dialled = u.core.overTrunks(now)
	for _, p := range u.core.peers {
		if p.reported.IsValid() && now.Sub(p.reportedAt) < reportedFor {
			s.Seen = append(s.Seen, p.reported)
		}
	}
	slices.SortFunc(s.Seen, netip.AddrPort.Compare)
	return s
}

// ForgetStanding is called when the host's addresses have changed.
func (u *Underlay) ForgetStanding() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.core.called = false
	for _, p := range u.core.peers {
		p.reported, p.poked = netip.AddrPort{}, time.Time{}
		for _, k := range p.paths.candidates {
			k.seen, k.unasked = netip.AddrPort{}, false
		}
	}
}
