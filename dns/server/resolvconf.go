package server

import (
	"net/netip"
	"slices"
	"strings"
)

const (
	dnsPort = 53

	// maxUpstreams bounds the list; more than these are never reached within a client's patience.
	maxUpstreams = 8
)

// ParseResolvConf reads the name servers of a resolv.conf(5), in order, each once. Lines that
// are no name server, or none that can be read, are passed over. As in the C library, the
// unspecified address means this host.
func ParseResolvConf(text []byte) []netip.AddrPort {
	var out []netip.AddrPort
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		a, err := netip.ParseAddr(fields[1])
		if err != nil {
			continue
		}
		if a = a.Unmap(); a.IsUnspecified() {
			a = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		}
		if u := netip.AddrPortFrom(a, dnsPort); !slices.Contains(out, u) && len(out) < maxUpstreams {
			out = append(out, u)
		}
	}
	return out
}
