package netsim

import (
	"context"
	"net"
	"net/netip"
	"slices"

	micronet "github.com/micro/micro-net"
)

const (
	loopbackMTU = 65536
	ethernetMTU = 1500
)

// Interfaces lists lo and, where the host has addresses, eth0; see micronet.Network.
func (s *stack) Interfaces() ([]micronet.Interface, error) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if s.down {
		return nil, opError("route", "ip+net", nil, nil, net.ErrClosed)
	}
	list := []micronet.Interface{{Name: "lo", MTU: loopbackMTU, Loopback: true, Prefixes: loopbackPrefixes()}}
	if len(s.host.addrs) > 0 {
		list = append(list, micronet.Interface{Name: "eth0", MTU: ethernetMTU, Prefixes: slices.Clone(s.host.addrs)})
	}
	return list, nil
}

func loopbackPrefixes() []netip.Prefix {
	return []netip.Prefix{
		netip.PrefixFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 8),
		netip.PrefixFrom(netip.IPv6Loopback(), 128),
	}
}

// WatchInterfaces sends after Host.SetAddrs; see micronet.Network.
func (s *stack) WatchInterfaces(ctx context.Context) <-chan struct{} {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	return s.watchers.add(ctx)
}
