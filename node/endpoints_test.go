package node

import (
	"fmt"
	"net/netip"
	"testing"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/identity"
)

func TestEndpoints(t *testing.T) {
	ports := func(list ...string) (out []netip.AddrPort) {
		for _, s := range list {
			out = append(out, netip.MustParseAddrPort(s))
		}
		return out
	}
	iface := func(prefixes ...string) micronet.Interface {
		var i micronet.Interface
		for _, p := range prefixes {
			i.Prefixes = append(i.Prefixes, netip.MustParsePrefix(p))
		}
		return i
	}
	lo, eth := iface("127.0.0.1/8", "::1/128"), iface("fe80::1/64", "2001:db8::1/64", "10.0.0.1/24")
	many := iface("10.0.0.1/24", "10.0.0.2/24", "10.0.0.3/24", "10.0.0.4/24", "10.0.0.5/24", "10.0.0.6/24", "10.0.0.7/24")
	identityAddr := iface(micronet.NodeID{1}.Addr().Addr().String()+"/128", "10.0.0.1/24")
	for _, c := range []struct {
		name      string
		mesh      string
		advertise []netip.AddrPort
		ifaces    []micronet.Interface
		observed  []netip.AddrPort
		want      string
	}{
		{"all addresses", "[::]:8085", nil, []micronet.Interface{lo, eth}, nil, "[10.0.0.1:8085 [2001:db8::1]:8085 127.0.0.1:8085]"},
		{"IPv4 alone", "0.0.0.0:8085", nil, []micronet.Interface{lo, eth}, nil, "[10.0.0.1:8085 127.0.0.1:8085]"},
		{"one address", "10.0.0.1:9000", ports("192.0.2.1:1"), []micronet.Interface{lo, eth}, ports("192.0.2.9:5"), "[192.0.2.1:1 10.0.0.1:9000]"},
		{"loopback that was asked for", "127.0.0.1:8085", nil, []micronet.Interface{lo, eth}, nil, "[127.0.0.1:8085]"},
		{
			"advertised goes first, observed behind", "[::]:8085", ports("192.0.2.1:1"),
			[]micronet.Interface{eth},
			ports("192.0.2.9:5", "10.0.0.1:8085"),
			"[192.0.2.1:1 10.0.0.1:8085 [2001:db8::1]:8085 192.0.2.9:5]",
		},
		{"advertised twice", "[::]:8085", ports("10.0.0.1:8085", "10.0.0.1:8085"), []micronet.Interface{eth}, nil, "[10.0.0.1:8085 [2001:db8::1]:8085]"},
		{"more than a credential holds", "[::]:8085", nil, []micronet.Interface{many, lo}, nil, "[10.0.0.1:8085 10.0.0.2:8085 10.0.0.3:8085 10.0.0.4:8085 10.0.0.5:8085 127.0.0.1:8085]"},
		{"no network", "[::]:8085", nil, []micronet.Interface{lo}, nil, "[127.0.0.1:8085]"},
		{"nothing", "[::]:8085", nil, nil, nil, "[]"},
		{"what stands for identities", "[::]:8085", nil, []micronet.Interface{identityAddr}, nil, "[10.0.0.1:8085]"},
	} {
		got := endpoints(netip.MustParseAddrPort(c.mesh), c.advertise, c.ifaces, c.observed)
		if fmt.Sprint(got) != c.want {
			t.Errorf("%s: %v, want %s", c.name, got, c.want)
		}
		if len(got) > identity.MaxEndpoints {
			t.Errorf("%s: %d endpoints, a credential holds %d", c.name, len(got), identity.MaxEndpoints)
		}
	}
}

func TestMachineTag(t *testing.T) {
	one, other := identity.ClusterID{1}, identity.ClusterID{2}
	a, b := micronet.NodeID{1}, micronet.NodeID{2}
	if machineTag(one, a, "") != [16]byte{} || machineOf([16]byte{}, [16]byte{}) != "" {
		t.Error("a machine that is not known has a tag")
	}
	tag := machineTag(one, a, "boot-1")
	if machineOf(tag, machineTag(one, a, "boot-1")) != sameMachine {
		t.Error("a node of this machine is not known as one")
	}
	if tag == machineTag(one, a, "boot-2") || tag == machineTag(other, a, "boot-1") {
		t.Error("the tag does not depend on both machine and cluster")
	}
	// A node that says of itself what another one says is on no machine of ours.
	if machineOf(tag, machineTag(one, b, "boot-1")) != "" {
		t.Error("a tag can be copied")
	}
}
