//go:build linux

package lab

import (
	"encoding/binary"
	"net/netip"
)

// What the router of a Wan does with packets of IPv4 (RFC 791), UDP and TCP. Others, and fragments, it drops.

const (
	protoICMP = 1
	protoTCP  = 6
	protoUDP  = 17

	minHeader  = 20
	portsLen   = 4
	dontFrag   = 0x4000
	fragOffset = 0x1fff
	moreFrags  = 0x2000
)

// ipPacket is a packet of IPv4 with what follows, as it is on the wire.
type ipPacket []byte

// valid reports whether it is a whole packet that the router can handle.
func (p ipPacket) valid() bool {
	if len(p) < minHeader || p[0]>>4 != 4 || p.headerLen() < minHeader || int(binary.BigEndian.Uint16(p[2:])) != len(p) {
		return false
	}
	if binary.BigEndian.Uint16(p[6:])&(moreFrags|fragOffset) != 0 {
		return false
	}
	return (p.proto() == protoUDP || p.proto() == protoTCP) && len(p) >= p.headerLen()+minPayload(p.proto())
}

// minPayload is up to where the checksum is.
func minPayload(proto byte) int {
	if proto == protoTCP {
		return 18
	}
	return 8
}

func (p ipPacket) headerLen() int { return int(p[0]&15) * 4 }
func (p ipPacket) proto() byte    { return p[9] }

func (p ipPacket) src() netip.AddrPort { return p.end(12, 0) }
func (p ipPacket) dst() netip.AddrPort { return p.end(16, 2) }

func (p ipPacket) end(addr, port int) netip.AddrPort {
	a := netip.AddrFrom4([4]byte(p[addr : addr+4]))
	return netip.AddrPortFrom(a, binary.BigEndian.Uint16(p[p.headerLen()+port:]))
}

func (p ipPacket) setSrc(a netip.AddrPort) { p.setEnd(12, 0, a) }
func (p ipPacket) setDst(a netip.AddrPort) { p.setEnd(16, 2, a) }

// setEnd puts another address and port in, and mends the checksums by the difference (RFC 1624).
func (p ipPacket) setEnd(addr, port int, to netip.AddrPort) {
	h := p.headerLen()
	ip, l4 := p[addr:addr+4], p[h+port:h+port+2]
	a := to.Addr().As4()
	var pt [2]byte
	binary.BigEndian.PutUint16(pt[:], to.Port())
	mend(p[10:12], ip, a[:])
	sum := p[h+16 : h+18]
	if p.proto() == protoUDP {
		sum = p[h+6 : h+8]
	}
	if p.proto() != protoUDP || sum[0]|sum[1] != 0 { // 0: the sender made none
		mend(sum, ip, a[:])
		mend(sum, l4, pt[:])
	}
	copy(ip, a[:])
	copy(l4, pt[:])
}

// mend changes a checksum as one word after another of what it covers is changed.
func mend(sum, was, is []byte) {
	s := uint32(^binary.BigEndian.Uint16(sum))
	for i := 0; i < len(was); i += 2 {
		s += uint32(^binary.BigEndian.Uint16(was[i:])) + uint32(binary.BigEndian.Uint16(is[i:]))
	}
	binary.BigEndian.PutUint16(sum, ^fold(s))
}

func fold(s uint32) uint16 {
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

func checksum(b []byte) uint16 {
	s := uint32(0)
	for ; len(b) > 1; b = b[2:] {
		s += uint32(binary.BigEndian.Uint16(b))
	}
	return ^fold(s)
}

// tooBig is the ICMP message that a router at from sends back for a packet that does not fit (RFC 1191). about is how
// the packet began when its sender sent it.
func tooBig(from netip.Addr, about ipPacket, mtu int) ipPacket {
	quoted := about[:min(len(about), about.headerLen()+8)]
	out := make(ipPacket, minHeader+8+len(quoted))
	out[0], out[8], out[9] = 0x45, 64, protoICMP
	binary.BigEndian.PutUint16(out[2:], uint16(len(out)))
	a := from.As4()
	copy(out[12:], a[:])
	copy(out[16:], about[12:16])
	icmp := out[minHeader:]
	icmp[0], icmp[1] = 3, 4 // unreachable: fragmentation needed
	binary.BigEndian.PutUint16(icmp[6:], uint16(mtu))
	copy(icmp[8:], quoted)
	if len(icmp)%2 == 1 {
		icmp = append(icmp, 0)
	}
	binary.BigEndian.PutUint16(out[minHeader+2:], checksum(icmp))
	binary.BigEndian.PutUint16(out[10:], checksum(out[:minHeader]))
	return out
}
