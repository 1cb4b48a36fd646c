package netsim

import (
	"net/netip"

	micronet "github.com/micro/micro-net"
)

var (
	_ micronet.GatewayFinder = (*stack)(nil)
	_ micronet.GatewayFinder = (*Host)(nil)
)

// Gateway makes the inner side of the device: a host behind the NAT, whose address those that are directly behind it have as their
// gateway. Its programs are those of the device. A device has one, or none.
func (n *NAT) Gateway(name string, addr netip.Prefix) *Host {
	n.w.mu.Lock()
	defer n.w.mu.Unlock()
	n.gateway = n.w.hostLocked(n.inside, name, []netip.Prefix{addr})
	return n.gateway
}

// HostAt returns the host that has an inner address, nil where there is none.
func (n *NAT) HostAt(addr netip.Addr) *Host {
	n.w.mu.Lock()
	defer n.w.mu.Unlock()
	return n.inside.owners[addr].host
}

// Gateway returns the inner side of the NAT that the host is directly behind; see micronet.GatewayFinder.
func (s *stack) Gateway() (router, local netip.Addr, err error) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	nat := s.host.realm.nat
	if nat == nil || nat.gateway == nil || nat.gateway == s.host {
		return router, local, nil
	}
	router = nat.gateway.addrInLocked(nat.inside, true)
	if !router.IsValid() {
		return router, local, nil
	}
	local, err = s.sourceLocked(router)
	return router, local, err
}

// Gateway returns the inner side of the NAT that the host is directly behind; see micronet.GatewayFinder.
func (h *Host) Gateway() (router, local netip.Addr, err error) { return h.currentStack().Gateway() }
