package netsim

import (
	"net/netip"
	"time"
)

// packet is what travels: a datagram, or a segment of a stream.
type packet struct {
	proto    Proto
	from     *stack
	src, dst netip.AddrPort
	size     int    // bytes of payload
	data     []byte // the payload, for the trace; nil for handshakes
	after    time.Duration
	arrive   func(p *packet) Why // at the receiver, under World.mu; says why it was thrown away
	repeated bool                // the sender sends it again unless it is answered
	closes   ending              // what a segment does to its connection, for NATs
	head     header              // what it says outside of its sender
	to       *Host
	number   uint64
	harm     Why // what was done to it on the way
}

// pathKey names a path: one protocol, one direction. Protocols have paths of their own, so that
// streams do not change the fate of datagrams.
type pathKey struct {
	direction
	proto Proto
}

// path is what a path remembers.
type path struct {
	hash    uint64
	spells  uint64 // names the chain of bad spells, which protocols share
	packets uint64
	last    time.Duration // when the last datagram arrives that was not held back
	asked   uint64        // state of the division that severed is true for
	severed bool
}

func (w *World) pathLocked(k pathKey) *path {
	p := w.paths[k]
	if p == nil {
		p = &path{
			hash:   hashOf(w.seed, "path", k.from.name, k.to.name, k.proto.String()),
			spells: hashOf(w.seed, "spells", k.from.name, k.to.name),
		}
		w.paths[k] = p
	}
	return p
}

// launchLocked sends a packet on its way. It returns when it will arrive, and false when the
// network loses it; streams try again then. Of a packet that found a full queue it returns how
// long the queue takes to drain, of others that are lost 0.
func (w *World) launchLocked(p *packet) (time.Duration, bool) {
	if p.proto != ICMP && p.from.host.keepLocked(p) {
		return w.Now(), true
	}
	w.stats.Sent++
	w.stats.SentBytes += uint64(p.size)
	if p.head.at == nil { // else it begins on the way
		var why Why
		if p.head, why = w.leaveLocked(p); why != "" {
			return 0, w.loseLocked(p, why)
		}
	}
	p.to = w.targetLocked(p)
	way := w.pathLocked(pathKey{direction{p.from.host, p.to}, p.proto})
	way.packets++
	p.number = way.packets
	w.traceLocked(p, Sent, "")
	f := w.fateLocked(p, way)
	if f.why != "" {
		return f.drain, w.loseLocked(p, f.why)
	}
	if p.to.stack.down {
		return 0, w.loseLocked(p, WhyDown)
	}
	if p.proto != ICMP && p.from.host.worker.fullLocked(w.Now()) {
		return 0, w.loseLocked(p, WhyOverflow)
	}
	if p.proto == TCP {
		var why Why
		if p, why = w.enterLocked(p); why != "" {
			return 0, w.loseLocked(p, why)
		}
	}
	return w.scheduleLocked(p, way, f), true
}

// fateLocked is Link.fate with all that is known of the path besides the packet: what keeps hosts
// apart, what waits for the bandwidth, and its bad spells.
func (w *World) fateLocked(p *packet, way *path) fate {
	d, now := direction{p.from.host, p.to}, w.Now()
	link := w.linkLocked(d.from, d.to)
	if !d.ofPlace() {
		link.Blocked = link.Blocked || w.severedLocked(way, d)
	}
	h := nth(way.hash, p.number)
	if p.proto == UDP {
		link.Loss += (1 - link.Loss) * link.UDPLoss
	}
	f := link.fate(h, p.wireSize())
	switch {
	case f.why == WhyBlocked:
		return f
	case f.why == WhyMTU:
		if link.ICMP {
			w.tooBigLocked(p, link.MTU)
		}
		return f
	case link.sieves(p):
		return fate{why: WhyContent}
	}
	if link.Bandwidth > 0 { // also for what is lost: that happens behind the bottleneck
		wait, fits := w.pipeLocked(d).admit(now, p.bytes(), link.Bandwidth, link.queueBytes())
		if !fits {
			return fate{why: WhyQueue, drain: wait}
		}
		f.delay += wait
		f.second += wait
	}
	if f.why == "" && link.Burst.loses(h, way.chain(link.Burst, p.proto), p.number, now) {
		f.why = WhyBurst
	}
	return f
}

// chain names the chain of bad spells: spells measured in packets are those of one protocol.
func (way *path) chain(b Burst, proto Proto) uint64 {
	if b.Time > 0 {
		return way.spells
	}
	return nth(way.spells, uint64(proto))
}

// scheduleLocked puts a packet that will arrive into the heap, twice if fate says so.
func (w *World) scheduleLocked(p *packet, way *path, f fate) time.Duration {
	whole := p
	if f.harm != "" && p.proto == UDP {
		p = p.harmed(f)
	}
	now := w.Now()
	work := time.Duration(0)
	if p.proto != ICMP { // which the network sends
		work = p.from.host.worker.workLocked(now)
	}
	at := max(now+work+f.delay, p.after+1)
	if f.late {
		w.stats.Reordered++
	} else if p.proto == UDP {
		at = max(at, way.last+1)
	}
	at = w.atLocked(at, func() { w.arriveLocked(p) })
	if !f.late && p.proto == UDP {
		way.last = at
	}
	if f.duplicate && p.proto == UDP {
		w.stats.Duplicated++
		w.atLocked(now+work+f.second, func() { w.arriveLocked(whole) })
	}
	return at
}

// arriveLocked runs when the network has carried a packet to its host, which may be slow.
func (w *World) arriveLocked(p *packet) {
	if p.proto != TCP {
		var why Why
		if p, why = w.enterLocked(p); why != "" {
			w.loseLocked(p, why)
			return
		}
	}
	if p.proto == ICMP { // for the kernel, which is neither slow nor stalled
		w.landLocked(p)
		return
	}
	k := &p.to.worker
	if k.fullLocked(w.Now()) && (p.proto == UDP || p.repeated) {
		w.loseLocked(p, WhyOverflow)
		return
	}
	if work := k.workLocked(w.Now()); work > 0 {
		w.afterLocked(work, func() { w.handleLocked(p) })
		return
	}
	w.handleLocked(p)
}

// handleLocked gives a packet to its host, which may stand still.
func (w *World) handleLocked(p *packet) {
	if !p.to.holdLocked(p) {
		w.landLocked(p)
	}
}

// landLocked gives a packet to the programs of its host.
func (w *World) landLocked(p *packet) {
	if why := p.arrive(p); why != "" {
		w.loseLocked(p, why)
		return
	}
	w.stats.deliver(p.harm)
	w.traceLocked(p, Delivered, p.harm)
}

// loseLocked counts a lost packet and returns false.
func (w *World) loseLocked(p *packet, why Why) bool {
	w.stats.drop(why)
	w.traceLocked(p, Dropped, why)
	return false
}

// wireSize is what counts against a path's MTU. Streams fit themselves into any MTU.
func (p *packet) wireSize() int {
	switch {
	case p.proto != UDP:
		return 0
	case p.dst.Addr().Is4():
		return p.size + headersIPv4 + headerUDP
	}
	return p.size + headersIPv6 + headerUDP
}

func (w *World) traceLocked(p *packet, step Step, why Why) {
	if w.Trace == nil {
		return
	}
	e := Event{
		At: w.Now(), Step: step, Why: why, Proto: p.proto, From: p.from.host.name,
		Src: p.src, Dst: p.dst, Number: p.number, Size: p.size, Data: p.data,
	}
	if p.to != nil {
		e.To = p.to.name
	}
	w.Trace(e)
}
