package osenv

import (
	"errors"
	"net"
	"net/netip"
	"syscall"

	"github.com/vishvananda/netlink"

	micronet "github.com/micro/micro-net"
)

var _ micronet.GatewayFinder = Network{}

// Gateway asks the kernel for the route to the address at which routers for PCP may be looked for (RFC 7723); nothing is sent there.
// So what a VPN or a policy of routing takes away from the default route is seen too.
func (Network) Gateway() (router, local netip.Addr, err error) {
	routes, err := netlink.RouteGet(net.IPv4(192, 0, 0, 9))
	if noRoute(err) {
		return router, local, nil
	}
	if err != nil || len(routes) == 0 {
		return router, local, err
	}
	gw, behind := netip.AddrFromSlice(routes[0].Gw)
	src, known := netip.AddrFromSlice(routes[0].Src)
	if !behind || !known {
		return router, local, nil // a device of its own leads there, as that of a VPN does
	}
	return gw.Unmap(), src.Unmap(), nil
}

// noRoute reports whether nothing leads there, or nothing may.
func noRoute(err error) bool {
	return errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EINVAL)
}
