package tunnel

import (
	"net"
	"net/netip"
	"testing"
)

// Whoever comes from few networks cannot take all places.
func TestH4_GuestsOfOneNetwork(t *testing.T) {
	var c Crowd
	from := func(s string) net.Addr { return net.UDPAddrFromAddrPort(netip.MustParseAddrPort(s)) }
	fill := func(s string) (n int) {
		for c.Begin(from(s)) {
			n++
		}
		return n
	}
	if got := fill("192.0.2.1:1"); got != CrowdMax/2 {
		t.Fatalf("one host has %d places, want %d", got, CrowdMax/2)
	}
	if got := fill("192.0.2.77:5"); got != 0 {
		t.Errorf("another host of its network gets %d more", got)
	}
	for _, other := range []string{"192.0.3.1:1", "[::ffff:198.51.100.1]:1", "[2001:db8:1::1]:1"} {
		if got := fill(other); got != crowdPerNet {
			t.Errorf("%s gets %d places, want %d", other, got, crowdPerNet)
		}
	}
	if got := fill("[2001:db8:1:ffff::1]:1"); got != 0 {
		t.Errorf("another host of the same /48 gets %d more", got)
	}
	if got := fill("[2001:db8:2::1]:1"); got != crowdPerNet || c.Here() != CrowdMax {
		t.Errorf("the last places: %d, %d in all", got, c.Here())
	}
	for range CrowdMax / 2 {
		c.End(from("192.0.2.9:9"))
	}
	if !c.Begin(from("203.0.113.1:1")) || len(c.of) != 5 {
		t.Errorf("after the first has gone: %v", c.of)
	}
}
