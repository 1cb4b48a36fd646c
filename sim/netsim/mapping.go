package netsim

import (
	"net/netip"
	"time"
)

// permitsMax is how many others a mapping lets in at a time. Packets to more of them are dropped.
const permitsMax = 4096

// externalPort is a port of a NAT's external address.
type externalPort struct {
	proto Proto
	port  uint16
}

// mappingKey is what a mapping is for. peer is zero where one mapping serves all peers.
type mappingKey struct {
	proto        Proto
	inside, peer netip.AddrPort
}

// mapping joins an inner address and port to an external port.
type mapping struct {
	key     mappingKey
	port    externalPort
	used    time.Duration          // when it was refreshed last
	permits memory[netip.AddrPort] // whom inside sent to; port 0 where addresses alone count
	heard   bool                   // the peer of a connection has answered
	ended   closing                // which ends of a connection have closed it
}

// closing says which sides of a connection have ended it, as a NAT sees them go by.
type closing uint8

const (
	closedInside closing = 1 << iota
	closedOutside
	closedBoth = closedInside | closedOutside
)

// ending says what a segment does to its connection.
type ending uint8

const (
	endsNothing ending = iota
	endsItsSide        // nothing follows from this side
	endsBoth           // a reset
)

func (e ending) outbound() closing { return [...]closing{0, closedInside, closedBoth}[e] }

func (e ending) inbound() closing { return [...]closing{0, closedOutside, closedBoth}[e] }

// lives reports whether the mapping is not too old.
func (m *mapping) lives(now time.Duration, o NATOptions) bool {
	switch {
	case m.key.proto == UDP:
		return now-m.used < o.Timeout
	case m.heard && m.ended != closedBoth:
		return now-m.used < o.TCPTimeout
	}
	return now-m.used < tcpTransitory
}

// permit remembers whom inside sent to, where the kind asks for it. It returns false when there
// is no room.
func (m *mapping) permit(peer netip.AddrPort, now time.Duration, o NATOptions) bool {
	if m.key.peer.IsValid() || o.Kind == FullCone {
		return true
	}
	return m.permits.see(o.permit(peer), now, o.Timeout, permitsMax)
}

// permit is what is remembered of a peer.
func (o NATOptions) permit(peer netip.AddrPort) netip.AddrPort {
	if o.Kind == AddressRestricted {
		return netip.AddrPortFrom(peer.Addr(), 0)
	}
	return peer
}

// admits reports whether a packet from src may enter. Only what goes out keeps a mapping for
// datagrams alive (RFC 4787, REQ-6); a connection lives by both directions.
func (m *mapping) admits(p *packet, src netip.AddrPort, now time.Duration, o NATOptions) bool {
	switch {
	case m.key.peer.IsValid() && m.key.peer != src:
		return false
	case m.key.proto == TCP:
		m.heard, m.used = true, now
		m.ended |= p.closes.inbound()
		return true
	case m.key.peer.IsValid() || o.Kind == FullCone:
		return true
	}
	return m.permits.fresh(o.permit(src), now, o.Timeout)
}

// mappings are those of one NAT. There is one at most for each external port.
type mappings struct {
	byKey  map[mappingKey]*mapping
	byPort map[externalPort]*mapping
	counts map[Proto]int
	spent  map[externalPort]bool // ports of the mappings that were dropped last
	swept  time.Duration
}

// drop forgets all mappings and remembers their ports.
func (t *mappings) drop() {
	spent := make(map[externalPort]bool, len(t.byPort))
	for e := range t.byPort {
		spent[e] = true
	}
	*t = mappings{
		byKey: map[mappingKey]*mapping{}, byPort: map[externalPort]*mapping{},
		counts: map[Proto]int{}, spent: spent,
	}
}

func (t *mappings) add(k mappingKey, port uint16) *mapping {
	m := &mapping{key: k, port: externalPort{k.proto, port}}
	t.byKey[k], t.byPort[m.port] = m, m
	t.counts[k.proto]++
	return m
}

func (t *mappings) remove(m *mapping) {
	delete(t.byKey, m.key)
	delete(t.byPort, m.port)
	t.counts[m.key.proto]--
}

// get returns the mapping for k, nil when there is none alive.
func (t *mappings) get(k mappingKey, now time.Duration, o NATOptions) *mapping {
	return t.alive(t.byKey[k], now, o)
}

// at returns the mapping of an external port, nil when there is none alive.
func (t *mappings) at(e externalPort, now time.Duration, o NATOptions) *mapping {
	return t.alive(t.byPort[e], now, o)
}

func (t *mappings) alive(m *mapping, now time.Duration, o NATOptions) *mapping {
	if m == nil || m.lives(now, o) {
		return m
	}
	t.remove(m)
	return nil
}

// isFree reports whether an external port may be given away; again: also to a second owner.
func (t *mappings) isFree(e externalPort, again bool) bool {
	return t.byPort[e] == nil && (again || !t.spent[e])
}

// count returns how many mappings of a protocol there are.
func (t *mappings) count(proto Proto) int { return t.counts[proto] }

// sweepSometimes sweeps, but not again within a second, and reports whether that made room.
func (t *mappings) sweepSometimes(now time.Duration, o NATOptions) bool {
	if t.swept > 0 && now-t.swept < sweepEvery {
		return false
	}
	t.swept = max(now, 1)
	before := len(t.byPort)
	t.sweep(now, o)
	return len(t.byPort) < before
}

// sweep forgets the mappings that are too old.
func (t *mappings) sweep(now time.Duration, o NATOptions) {
	for _, m := range t.byPort {
		if !m.lives(now, o) {
			t.remove(m)
		}
	}
}
