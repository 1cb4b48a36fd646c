//go:build linux

package lab

import (
	"net/netip"
	"time"
)

// Boxing is what a device in front of hosts does to their packets. The words are those of RFC 4787, sections 4.1 and 5.
type Boxing uint8

// The kinds of devices.
const (
	FullCone       Boxing = iota + 1 // one port for each socket, which lets in everybody
	Restricted                       // one that lets in the addresses that the socket sent to
	PortRestricted                   // one that lets in the addresses and ports that it sent to
	Symmetric                        // a port for each destination, which alone is let in
	Firewall                         // no other addresses; lets in the addresses and ports that were sent to
)

const (
	boxTimeout   = 2 * time.Minute // of a mapping that nothing leaves through
	boxPortFirst = 20000
)

// box is such a device. It is a pure core: it is told the time.
type box struct {
	kind   Boxing
	addr   netip.Addr // external
	next   uint16     // port
	byKey  map[boxKey]*boxMapping
	byPort map[boxPort]*boxMapping
}

type boxKey struct {
	proto        byte
	inside, peer netip.AddrPort // peer is zero where one mapping serves all
}

type boxPort struct {
	proto byte
	port  netip.AddrPort
}

type boxMapping struct {
	key     boxKey
	outside netip.AddrPort
	used    time.Time
	permits map[netip.AddrPort]time.Time // port 0 where addresses alone count
}

func newBox(kind Boxing, addr netip.Addr) *box {
	return &box{kind: kind, addr: addr, next: boxPortFirst, byKey: map[boxKey]*boxMapping{}, byPort: map[boxPort]*boxMapping{}}
}

// out takes a packet from inside to outside and returns where it comes from then.
func (b *box) out(now time.Time, proto byte, src, dst netip.AddrPort) netip.AddrPort {
	k := boxKey{proto: proto, inside: src}
	if b.kind == Symmetric {
		k.peer = dst
	}
	m := b.byKey[k]
	if m == nil || now.Sub(m.used) >= boxTimeout {
		m = b.open(k)
	}
	m.used = now
	m.permits[b.permit(dst)] = now
	return m.outside
}

func (b *box) open(k boxKey) *boxMapping {
	if old := b.byKey[k]; old != nil {
		delete(b.byPort, boxPort{k.proto, old.outside})
	}
	m := &boxMapping{key: k, outside: k.inside, permits: map[netip.AddrPort]time.Time{}}
	if b.kind != Firewall {
		// Not in a row: the next port must not be guessed.
		b.next = boxPortFirst + (b.next-boxPortFirst+7919)%40000
		m.outside = netip.AddrPortFrom(b.addr, b.next)
	}
	b.byKey[k], b.byPort[boxPort{k.proto, m.outside}] = m, m
	return m
}

func (b *box) permit(peer netip.AddrPort) netip.AddrPort {
	if b.kind == Restricted {
		return netip.AddrPortFrom(peer.Addr(), 0)
	}
	return peer
}

// in takes a packet from outside to inside and returns where it goes then; false when it is not let in.
func (b *box) in(now time.Time, proto byte, src, dst netip.AddrPort) (netip.AddrPort, bool) {
	m := b.byPort[boxPort{proto, dst}]
	if m == nil || now.Sub(m.used) >= boxTimeout {
		return netip.AddrPort{}, false
	}
	if b.kind == FullCone {
		return m.key.inside, true
	}
	at, ok := m.permits[b.permit(src)]
	return m.key.inside, ok && now.Sub(at) < boxTimeout
}

// rebind forgets all mappings, as a restart does.
func (b *box) rebind() {
	b.byKey, b.byPort = map[boxKey]*boxMapping{}, map[boxPort]*boxMapping{}
}
