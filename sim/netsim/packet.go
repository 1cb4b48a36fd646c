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
	arrive   func(to *Host) Why // at the receiver, under World.mu; says why it was thrown away
	repeated bool               // the sender sends it again unless it is answered
	to       *Host
	number   uint64
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
	packets uint64
	last    time.Duration // when the last datagram arrives that was not held back
}

func (w *World) pathLocked(k pathKey) *path {
	p := w.paths[k]
	if p == nil {
		p = &path{hash: hashOf(w.seed, "path", k.from.name, k.to.name, k.proto.String())}
		w.paths[k] = p
	}
	return p
}

// routeLocked returns the host that a packet to dst reaches from h, nil when there is none.
func (w *World) routeLocked(h *Host, dst netip.Addr) *Host {
	if dst.IsLoopback() {
		return h
	}
	return w.owners[dst]
}

// launchLocked sends a packet on its way. It returns when it will arrive, and false when the
// network loses it; streams try again then.
func (w *World) launchLocked(p *packet) (time.Duration, bool) {
	if p.from.host.keepLocked(p) {
		return w.Now(), true
	}
	w.stats.Sent++
	w.stats.SentBytes += uint64(p.size)
	p.to = p.from.host
	if p.proto != Unix {
		p.to = w.routeLocked(p.from.host, p.dst.Addr())
	}
	if p.to == nil {
		return 0, w.loseLocked(p, WhyNoRoute)
	}
	way := w.pathLocked(pathKey{direction{p.from.host, p.to}, p.proto})
	way.packets++
	p.number = way.packets
	w.traceLocked(p, Sent, "")
	f := w.effectiveLocked(p.from.host, p.to).fate(nth(way.hash, p.number), p.wireSize())
	if f.why != "" {
		return 0, w.loseLocked(p, f.why)
	}
	if p.to.stack.down {
		return 0, w.loseLocked(p, WhyDown)
	}
	if p.from.host.worker.fullLocked(w.Now()) {
		return 0, w.loseLocked(p, WhyOverflow)
	}
	return w.scheduleLocked(p, way, f), true
}

// scheduleLocked puts a packet that will arrive into the heap, twice if fate says so.
func (w *World) scheduleLocked(p *packet, way *path, f fate) time.Duration {
	now := w.Now()
	work := p.from.host.worker.workLocked(now)
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
		w.atLocked(now+work+f.second, func() { w.arriveLocked(p) })
	}
	return at
}

// arriveLocked runs when the network has carried a packet to its host, which may be slow.
func (w *World) arriveLocked(p *packet) {
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
	if why := p.arrive(p.to); why != "" {
		w.loseLocked(p, why)
		return
	}
	w.stats.Delivered++
	w.traceLocked(p, Delivered, "")
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
