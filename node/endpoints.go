package node

import (
	"net/netip"
	"slices"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/identity"
)

// endpoints lists where peers may try to reach this node, best first: what the user said, what
// the interfaces have, what peers report to see, and loopback for those on the same machine. A
// socket bound to one address is reached there alone.
func endpoints(mesh netip.AddrPort, advertise []netip.AddrPort, ifaces []micronet.Interface, observed []netip.AddrPort) []netip.AddrPort {
	out := slices.Clone(advertise)
	if !mesh.Addr().IsUnspecified() {
		out = unique(append(out, mesh))
		return out[:min(len(out), identity.MaxEndpoints)]
	}
	var loopback []netip.AddrPort
	for _, want4 := range []bool{true, false} {
		for _, i := range ifaces {
			for _, p := range i.Prefixes {
				a := p.Addr().Unmap()
				switch {
				case a.Is4() != want4 || (mesh.Addr().Is4() && !a.Is4()):
				case a.IsLoopback():
					loopback = append(loopback, netip.AddrPortFrom(a, mesh.Port()))
				case reachable(a):
					out = append(out, netip.AddrPortFrom(a.WithZone(""), mesh.Port()))
				}
			}
		}
	}
	out = append(out, observed...)
	out = unique(out)
	if len(out) >= identity.MaxEndpoints {
		out = out[:identity.MaxEndpoints-1]
	}
	return unique(append(out, loopback[:min(1, len(loopback))]...))
}

// reachable reports whether another host could use the address.
func reachable(a netip.Addr) bool {
	return a.IsGlobalUnicast() && !a.IsLinkLocalUnicast() && !micronet.IsIdentityAddr(a)
}

// unique drops repetitions and keeps the order.
func unique(in []netip.AddrPort) []netip.AddrPort {
	var out []netip.AddrPort
	for _, a := range in {
		if !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out
}
