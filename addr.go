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
