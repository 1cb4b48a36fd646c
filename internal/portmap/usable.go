package portmap

import (
	"net/netip"

	micronet "github.com/micro/micro-net"
)

// nobodysOuter are networks of which no address leads here from anywhere else: providers use the first between their customers and a NAT
// of their own (RFC 6598), the others are nobody's.
func nobodysOuter() []netip.Prefix {
	return []netip.Prefix{
		netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64}), 10), netip.PrefixFrom(netip.AddrFrom4([4]byte{}), 8), netip.PrefixFrom(netip.AddrFrom4([4]byte{240}), 4),
	}
}

// usable reports whether others could reach this host at a router's outer address. A private one is good enough: where a router stands behind
// another one, hosts between the two reach it there.
func usable(outer, client netip.Addr) bool {
	for _, p := range nobodysOuter() {
		if p.Contains(outer) {
			return false
		}
	}
	return outer.Is4() && outer.IsGlobalUnicast() && !micronet.IsMetadataAddr(outer) && outer != client
}
