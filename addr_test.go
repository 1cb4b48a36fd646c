package micronet

import (
	"net"
	"net/netip"
	"testing"
)

func TestAddrPortOf(t *testing.T) {
	for _, c := range []struct {
		addr net.Addr
		want string
	}{
		{&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80}, "127.0.0.1:80"},
		{&net.UDPAddr{IP: net.ParseIP("::ffff:10.0.0.1"), Port: 8085}, "10.0.0.1:8085"},
		{&net.UDPAddr{IP: net.ParseIP("fe80::1"), Port: 1, Zone: "eth0"}, "[fe80::1%eth0]:1"},
		{net.TCPAddrFromAddrPort(netip.MustParseAddrPort("[2001:db8::1]:53")), "[2001:db8::1]:53"},
		{named("[::ffff:192.0.2.1]:7"), "192.0.2.1:7"},
	} {
		if got := AddrPortOf(c.addr); got != netip.MustParseAddrPort(c.want) {
			t.Errorf("AddrPortOf(%v) = %v, want %s", c.addr, got, c.want)
		}
	}
	for _, a := range []net.Addr{nil, &net.UnixAddr{Name: "/run/s"}, named("")} {
		if got := AddrPortOf(a); got.IsValid() {
			t.Errorf("AddrPortOf(%v) = %v, want none", a, got)
		}
	}
}

// named is an address of another network.
type named string

func (named) Network() string  { return "test" }
func (n named) String() string { return string(n) }
