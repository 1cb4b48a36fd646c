package micronet

import (
	"net"
	"net/netip"
)

// AddrPortOf returns the address and port of a socket's end, an IPv4 one never in its IPv6 form. It
// is invalid for addresses without a port, as those of unix sockets, and for nil.
func AddrPortOf(a net.Addr) netip.AddrPort {
	var ap netip.AddrPort
	switch a := a.(type) {
	case nil:
		return ap
	case *net.UDPAddr:
		ap = a.AddrPort()
	case *net.TCPAddr:
		ap = a.AddrPort()
	default:
		var err error
		if ap, err = netip.ParseAddrPort(a.String()); err != nil {
			return netip.AddrPort{}
		}
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// IsMetadataAddr reports whether a cloud hands out its hosts' credentials at a: AWS over IPv6, Alibaba over
// IPv4. Elsewhere these services are link-local.
func IsMetadataAddr(a netip.Addr) bool {
	return a == netip.AddrFrom16([16]byte{0xfd, 0, 0x0e, 0xc2, 14: 0x02, 15: 0x54}) || a.Unmap() == netip.AddrFrom4([4]byte{100, 100, 100, 200})
}

// PrefixOf returns the part of a socket's end with so many bits of an IPv4 or IPv6 address, for counting by
// where something comes from. It is invalid where there is no address.
func PrefixOf(addr net.Addr, bits4, bits6 int) netip.Prefix {
	a := AddrPortOf(addr).Addr().WithZone("")
	bits := bits6
	if a.Is4() {
		bits = bits4
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
