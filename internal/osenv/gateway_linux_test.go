package osenv

import (
	"testing"
)

// The gateway is where the kernel would send what leaves: the default route's, until a route or rule of a VPN leads elsewhere.
func TestNamespaceGateway(t *testing.T) {
	namespace(t)
	want := func(what, router, local string) {
		t.Helper()
		gw, src, err := Network{}.Gateway()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		text := func(valid bool, s string) string {
			if !valid {
				return ""
			}
			return s
		}
		if r, l := text(gw.IsValid(), gw.String()), text(src.IsValid(), src.String()); r != router || l != local {
			t.Errorf("%s: router %q, local %q; want %q and %q", what, r, l, router, local)
		}
	}
	want("no network", "", "")
	ip(t, "link add mngw0 type veth peer name mngw1")
	t.Cleanup(func() { ip(t, "link del mngw0") })
	ip(t, "addr add 192.168.77.5/24 dev mngw0")
	ip(t, "addr add 10.77.0.5/24 dev mngw1")
	ip(t, "link set mngw0 up")
	ip(t, "link set mngw1 up")
	want("no default route", "", "")
	ip(t, "route add default via 192.168.77.1 metric 200")
	want("one", "192.168.77.1", "192.168.77.5")
	ip(t, "route add default via 10.77.0.1 metric 100")
	want("a better one", "10.77.0.1", "10.77.0.5")
	ip(t, "route del default via 10.77.0.1")
	ip(t, "route add default dev mngw1 table 777")
	ip(t, "rule add from all lookup 777 priority 100")
	t.Cleanup(func() { ip(t, "rule del from all lookup 777 priority 100") })
	want("a VPN", "", "")
	ip(t, "route replace unreachable default table 777")
	want("a VPN that is down", "", "")
}
