package proxy

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"

	micronet "github.com/micro/micro-net"
)

func mustVIPs(t testing.TB, prefix string) *VIPs {
	t.Helper()
	v, err := NewVIPs(netip.MustParsePrefix(prefix))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func mustOf(t testing.TB, v *VIPs, d micronet.Destination) netip.Addr {
	t.Helper()
	a, _, err := v.Of(d)
	if err != nil {
		t.Fatalf("Of(%v): %v", d, err)
	}
	return a
}

func TestVIPsAreStableAndReversible(t *testing.T) {
	v := mustVIPs(t, "127.80.0.0/12")
	dests := []micronet.Destination{
		{Service: "web"},
		{Service: "web", Tag: "v2"},
		{Service: "web", Cluster: "eu"},
		{Service: "web", Tag: "v2", Cluster: "eu"},
		{Service: "webv2"},
		{Service: "go.micro.srv.x"},
	}
	seen := map[netip.Addr]bool{}
	for _, d := range dests {
		a, fresh, err := v.Of(d)
		if err != nil || !fresh || seen[a] || !v.Prefix().Contains(a) {
			t.Fatalf("Of(%v) = %v, %v, %v; want a new address of %v", d, a, fresh, err, v.Prefix())
		}
		seen[a] = true
		if again, fresh, _ := v.Of(d); again != a || fresh {
			t.Errorf("Of(%v) again = %v, %v, want %v, false", d, again, fresh, a)
		}
		if back, ok := v.Destination(a); !ok || back != d {
			t.Errorf("Destination(%v) = %v, %v, want %v", a, back, ok, d)
		}
		if _, ok := v.Node(a); ok {
			t.Errorf("Node(%v) claims a service's address", a)
		}
	}
	if a := mustOf(t, mustVIPs(t, "127.80.0.0/12"), dests[0]); a != mustOf(t, v, dests[0]) {
		t.Errorf("another host gives web %v, want the same", a)
	}
}

func TestVIPsForNodes(t *testing.T) {
	v := mustVIPs(t, "127.80.0.0/12")
	id := micronet.NodeID{7}
	a, fresh, err := v.OfNode(id)
	if err != nil || !fresh {
		t.Fatalf("OfNode = %v, %v, %v", a, fresh, err)
	}
	if back, ok := v.Node(a); !ok || back != id {
		t.Errorf("Node(%v) = %v, %v", a, back, ok)
	}
	if _, ok := v.Destination(a); ok {
		t.Errorf("Destination(%v) claims a node's address", a)
	}
	if _, _, err := v.OfNode(micronet.NodeID{}); micronet.KindOf(err) != micronet.Invalid {
		t.Errorf("OfNode(nobody) = %v, want Invalid", err)
	}
}

// A small prefix makes every name collide: all usable addresses are given, each once, and the
// reserved ones never.
func TestVIPsCollideAndRunOut(t *testing.T) {
	v := mustVIPs(t, "127.80.0.0/28")
	given := map[netip.Addr]bool{}
	for i := range 14 { // 16 less .0 and .1
		a := mustOf(t, v, micronet.Destination{Service: fmt.Sprint("s", i)})
		if last := a.As4()[3]; given[a] || last < 2 {
			t.Fatalf("%v was given twice or is reserved", a)
		}
		given[a] = true
	}
	if _, _, err := v.Of(micronet.Destination{Service: "late"}); micronet.KindOf(err) != micronet.Overloaded {
		t.Errorf("Of in a full prefix = %v, want Overloaded", err)
	}
	if a := mustOf(t, v, micronet.Destination{Service: "s3"}); !given[a] {
		t.Errorf("a known name got %v after the prefix was full", a)
	}
}

func TestVIPsLeaveOutReserved(t *testing.T) {
	v := mustVIPs(t, "127.0.0.0/8")
	for _, s := range []string{"127.0.0.1", "127.0.0.53", "127.0.1.1", "127.3.4.0", "127.3.4.255"} {
		if v.usable(netip.MustParseAddr(s)) {
			t.Errorf("%s is usable", s)
		}
	}
	for _, s := range []string{"127.3.4.1", "127.1.0.1", "127.255.255.254"} {
		if !v.usable(netip.MustParseAddr(s)) {
			t.Errorf("%s is not usable", s)
		}
	}
}

func TestVIPsBounds(t *testing.T) {
	v := mustVIPs(t, "127.64.0.0/10")
	for i := range maxNodeVIPs {
		if _, _, err := v.OfNode(micronet.NodeID{1, byte(i), byte(i >> 8)}); err != nil {
			t.Fatalf("node %d: %v", i, err)
		}
	}
	if _, _, err := v.OfNode(micronet.NodeID{9}); micronet.KindOf(err) != micronet.Overloaded {
		t.Errorf("one node too many = %v, want Overloaded", err)
	}
	for i := range MaxVIPs - maxNodeVIPs {
		mustOf(t, v, micronet.Destination{Service: fmt.Sprint(i)})
	}
	if _, _, err := v.Of(micronet.Destination{Service: "x"}); micronet.KindOf(err) != micronet.Overloaded || v.Len() != MaxVIPs {
		t.Errorf("one service too many = %v with %d entries, want Overloaded with %d", err, v.Len(), MaxVIPs)
	}
}

func TestVIPsInvalid(t *testing.T) {
	for _, p := range []netip.Prefix{{}, netip.MustParsePrefix("fd00::/64"), netip.MustParsePrefix("127.0.0.0/30"), netip.MustParsePrefix("64.0.0.0/4")} {
		if _, err := NewVIPs(p); micronet.KindOf(err) != micronet.Invalid {
			t.Errorf("NewVIPs(%v) = %v, want Invalid", p, err)
		}
	}
	v := mustVIPs(t, "127.80.0.0/12")
	for _, d := range []micronet.Destination{{}, {Tag: "x"}, {Service: "a\x00b"}} {
		if _, _, err := v.Of(d); micronet.KindOf(err) != micronet.Invalid {
			t.Errorf("Of(%q) = %v, want Invalid", d, err)
		}
	}
}

func TestVIPsOnDisk(t *testing.T) {
	v := mustVIPs(t, "127.80.0.0/12")
	web := mustOf(t, v, micronet.Destination{Service: "web"})
	node, _, _ := v.OfNode(micronet.NodeID{1})
	data, err := v.Snapshot()
	if err != nil {
		t.Fatal(err)
	}

	back, err := LoadVIPs(v.Prefix(), data)
	if err != nil {
		t.Fatal(err)
	}
	if a, fresh, _ := back.Of(micronet.Destination{Service: "web"}); a != web || fresh {
		t.Errorf("web after a restart = %v, %v, want %v, false", a, fresh, web)
	}
	if again, _ := back.Snapshot(); !bytes.Equal(again, data) {
		t.Errorf("snapshot after a restart = %s, want %s", again, data)
	}

	// Another prefix, and back: the old addresses are kept for their owners.
	moved, err := LoadVIPs(netip.MustParsePrefix("127.96.0.0/12"), data)
	if err != nil {
		t.Fatal(err)
	}
	if a := mustOf(t, moved, micronet.Destination{Service: "web"}); a == web || !moved.Prefix().Contains(a) {
		t.Errorf("web in the new prefix = %v", a)
	}
	data, _ = moved.Snapshot()
	home, err := LoadVIPs(v.Prefix(), data)
	if err != nil {
		t.Fatal(err)
	}
	if a := mustOf(t, home, micronet.Destination{Service: "web"}); a != web {
		t.Errorf("web back in its first prefix = %v, want %v", a, web)
	}
	if id, ok := home.Node(node); !ok || id != (micronet.NodeID{1}) {
		t.Errorf("the node's address is lost")
	}
}

func TestVIPsRefuseBadFiles(t *testing.T) {
	node := micronet.NodeID{1}.String()
	for _, s := range []string{
		``, `{`, `null garbage`, `{"version":2}`, `{"version":1,"entries":[{}]}`,
		`{"version":1,"entries":[{"address":"fd00::1","service":"web"}]}`,
		`{"version":1,"entries":[{"address":"127.80.0.9"}]}`,
		`{"version":1,"entries":[{"address":"127.80.0.9","service":"web","node":"` + node + `"}]}`,
		`{"version":1,"entries":[{"address":"127.80.0.9","tag":"web","node":"` + node + `"}]}`,
		`{"version":1,"entries":[{"address":"127.80.0.9","service":"a"},{"address":"127.80.0.9","service":"b"}]}`,
	} {
		if _, err := LoadVIPs(DefaultVIPs(), []byte(s)); micronet.KindOf(err) != micronet.Invalid {
			t.Errorf("LoadVIPs(%s) = %v, want Invalid", s, err)
		}
	}
	v, err := LoadVIPs(DefaultVIPs(), []byte(`{"version":1,"new":3,"entries":[{"address":"127.80.0.9","service":"a","more":{}}]}`))
	if err != nil || mustOf(t, v, micronet.Destination{Service: "a"}) != netip.MustParseAddr("127.80.0.9") {
		t.Errorf("unknown fields are not skipped: %v", err)
	}
}

func TestPorts(t *testing.T) {
	in := func(port uint16, p micronet.Protocol) micronet.Instance {
		return micronet.Instance{ServicePort: port, Protocol: p}
	}
	for _, c := range []struct {
		in   []micronet.Instance
		want []Port
	}{
		{nil, nil},
		{[]micronet.Instance{in(53, micronet.UDP)}, nil},
		{[]micronet.Instance{in(6379, micronet.TCP), in(6379, micronet.TCP), in(6380, micronet.TCP)}, []Port{{6379, false}, {6380, false}}},
		{[]micronet.Instance{in(8080, micronet.HTTP)}, []Port{{80, true}, {8080, false}}},
		{[]micronet.Instance{in(80, micronet.HTTP), in(443, micronet.GRPC)}, []Port{{80, false}, {443, false}}},
	} {
		if got := Ports(c.in); fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("Ports(%v) = %v, want %v", c.in, got, c.want)
		}
	}
}
