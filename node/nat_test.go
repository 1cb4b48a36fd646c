package node

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/node/api"
)

// saying reads sightings: "a 10.0.0.1:8085, b 192.0.2.1:1@20" is what peer a sees, and what peer b saw 20 seconds ago.
func saying(t *testing.T, now time.Time, text string) (out []sighting) {
	t.Helper()
	for one := range strings.SplitSeq(text, ", ") {
		if one == "" {
			continue
		}
		name, addr, _ := strings.Cut(one, " ")
		addr, ago, _ := strings.Cut(addr, "@")
		s := sighting{peer: micronet.NodeID{name[0]}, addr: netip.MustParseAddrPort(addr), at: now}
		if ago != "" {
			var seconds int
			if _, err := fmt.Sscan(ago, &seconds); err != nil {
				t.Fatal(err)
			}
			s.at = now.Add(-time.Duration(seconds) * time.Second)
		}
		out = append(out, s)
	}
	return out
}

func TestNATKinds(t *testing.T) {
	now := time.Unix(1000, 0)
	own := func(a netip.Addr) bool {
		return slices.Contains([]string{"192.168.1.7", "2001:db8::7", "127.0.0.1"}, a.String())
	}
	for _, c := range []struct {
		name   string
		walled bool
		seen   string
		want   string
	}{
		{"nobody has said anything", false, "", " unknown [] 0"},
		{"UDP is blocked", true, "a 192.168.1.7:8085", " udp-blocked [] 0"},
		{"all see an address of ours", false, "a 192.168.1.7:8085, b 192.168.1.7:8085, b 127.0.0.1:8085", "ipv4 none [192.168.1.7:8085 127.0.0.1:8085] 2"},
		{"one outside", false, "a 192.0.2.1:31000", "ipv4 unknown [192.0.2.1:31000] 1"},
		{"one outside that two ways lead to", false, "a 192.0.2.1:31000, a 192.0.2.1:31001", "ipv4 unknown [192.0.2.1:31000] 1"},
		{"all outside see the same", false, "a 192.0.2.1:31000, b 192.0.2.1:31000, c 192.0.2.1:31000", "ipv4 endpoint-independent [192.0.2.1:31000] 3"},
		{"each sees another port", false, "a 192.0.2.1:31000, b 192.0.2.1:31001", "ipv4 endpoint-dependent [192.0.2.1:31000 192.0.2.1:31001] 2"},
		{"each sees another address", false, "a 192.0.2.1:31000, b 192.0.2.2:31000", "ipv4 endpoint-dependent [192.0.2.1:31000 192.0.2.2:31000] 2"},
		{"some see the same", false, "a 192.0.2.1:1, b 192.0.2.1:2, c 192.0.2.1:2, d 192.0.2.1:3", "ipv4 endpoint-dependent [192.0.2.1:1 192.0.2.1:2 192.0.2.1:3] 4"},
		{"one of three lies", false, "a 192.0.2.1:1, b 192.0.2.1:1, c 192.0.2.66:9", "ipv4 endpoint-independent [192.0.2.1:1 192.0.2.66:9] 3"},
		{"others of our own network", false, "x 192.168.1.7:8085, y 192.168.1.7:8085, a 192.0.2.1:1, b 192.0.2.1:1", "ipv4 endpoint-independent [192.0.2.1:1] 2"},
		{"of our own network, and through the NAT as well", false, "x 192.168.1.1:8085, x 192.168.1.7:8085, a 192.0.2.1:1, b 192.0.2.1:1", "ipv4 endpoint-independent [192.0.2.1:1] 2"},
		{"one outside, and others of our own network", false, "x 192.168.1.7:8085, y 192.168.1.7:8085, a 192.0.2.1:1", "ipv4 unknown [192.0.2.1:1] 1"},
		{"another customer of the provider's NAT", false, "c 100.64.0.2:5, a 192.0.2.1:1, b 192.0.2.1:1", "ipv4 endpoint-independent [192.0.2.1:1] 2"},
		{"another customer, and one outside", false, "c 100.64.0.2:5, a 192.0.2.1:1", "ipv4 unknown [192.0.2.1:1] 1"},
		{"a NAT with private addresses on both sides", false, "a 10.1.0.1:8, b 10.1.0.1:9", "ipv4 endpoint-dependent [10.1.0.1:8 10.1.0.1:9] 2"},
		{"before the NAT forgot a mapping", false, "a 192.0.2.1:1@11, b 192.0.2.1:2, c 192.0.2.1:2", "ipv4 endpoint-independent [192.0.2.1:2] 2"},
		{"both families", false, "a 192.0.2.1:1, b 192.0.2.1:2, a [2001:db8::7]:8085, b [2001:db8::7]:8085", "ipv4 endpoint-dependent [192.0.2.1:1 192.0.2.1:2] 2; ipv6 none [[2001:db8::7]:8085] 2"},
	} {
		var got []string
		for _, n := range natKinds(now, own, c.walled, saying(t, now, c.seen)) {
			got = append(got, fmt.Sprintf("%s %s %v %d", n.Family, n.Kind, n.Seen, n.Nodes))
		}
		if text := strings.Join(got, "; "); text != c.want {
			t.Errorf("%s: %q, want %q", c.name, text, c.want)
		}
	}
}

func TestWalled(t *testing.T) {
	udp := api.Reachable{UDP: true, Transport: micronet.TransportQUIC}
	tcp := api.Reachable{Transport: micronet.TransportTCP}
	silent := api.Reachable{Transport: micronet.TransportNone}
	for _, c := range []struct {
		nodes []api.Reachable
		want  bool
	}{
		{nil, false},
		{[]api.Reachable{silent}, false},
		{[]api.Reachable{udp, tcp}, false},
		{[]api.Reachable{tcp, silent}, true},
	} {
		if got := isWalled(c.nodes); got != c.want {
			t.Errorf("%+v: %v", c.nodes, got)
		}
	}
}
