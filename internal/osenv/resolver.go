package osenv

import (
	"context"
	"net"
	"net/netip"

	micronet "github.com/micro/micro-net"
)

var _ micronet.HostResolver = Network{}

// LookupHost asks the host's resolver.
func (Network) LookupHost(ctx context.Context, host string) ([]netip.Addr, error) {
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	return addrs, err
}
