package dns

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	micronet "github.com/micro/micro-net"
)

// mesh is a Source of fixed content.
type mesh struct {
	unsynced  bool
	instances []located
	asked     []micronet.Destination // for which VIP was called
	taken     uint16                 // a port that VIP finds held by somebody else
}

type located struct {
	micronet.Instance
	cluster string
	tier    int
}

func (m *mesh) match(d micronet.Destination) []located {
	var out []located
	for _, l := range m.instances {
		if l.Service == d.Service && l.HasTag(d.Tag) && (d.Cluster == "" || d.Cluster == l.cluster) {
			out = append(out, l)
		}
	}
	return out
}

func (m *mesh) Synced() bool                      { return !m.unsynced }
func (m *mesh) Known(d micronet.Destination) bool { return len(m.match(d)) > 0 }
func (m *mesh) Cluster(name string) bool          { return name == "main" || name == "eu" }
func (m *mesh) Reverse(a netip.Addr) (string, bool) {
	switch a.String() {
	case "127.80.0.1":
		return "web.micro.internal.", true
	case "fd00::7":
		return "a.node.main.micro.internal", true
	}
	return "", false
}

func (m *mesh) Endpoints(d micronet.Destination) []Endpoint {
	var out []Endpoint
	for _, l := range m.match(d) {
		if len(m.asked) == 0 || m.taken == 0 || l.ServicePort != m.taken {
			out = append(out, Endpoint{Instance: &l.Instance, Tier: l.tier})
		}
	}
	return out
}

func (m *mesh) VIP(_ context.Context, d micronet.Destination) (netip.Addr, error) {
	m.asked = append(m.asked, d)
	switch {
	case d.Service == "stolen":
		return netip.Addr{}, errors.New("port 80 is held by nginx (pid 7)")
	case d == micronet.Destination{Service: "web"}:
		return netip.MustParseAddr("127.80.0.1"), nil
	case d.Service == "web":
		return netip.MustParseAddr("127.80.0.2"), nil
	}
	return netip.MustParseAddr("127.80.0.9"), nil
}

func (m *mesh) Node(name, cluster string) ([]netip.Addr, bool) {
	switch name + "/" + cluster {
	case "a/", "a/main":
		return []netip.Addr{
			netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("fd00::7"), netip.MustParseAddr("fe80::1"),
			netip.MustParseAddr("0.0.0.0"), netip.MustParseAddr("::ffff:192.0.2.8"), micronet.NodeID{1}.Addr().Addr(),
		}, true
	case "b/eu":
		return nil, true
	}
	return nil, false
}

func (m *mesh) Instance(id string) (micronet.Instance, bool) {
	for _, l := range m.instances {
		if strings.EqualFold(l.ID, id) {
			return l.Instance, true
		}
	}
	return micronet.Instance{}, false
}

func newMesh() *mesh {
	one := func(service, id, cluster string, tier int, mod func(*micronet.Instance)) located {
		i := micronet.Instance{Service: service, ID: id, ServicePort: 80, Port: 8080, Weight: 100, Protocol: micronet.TCP, Health: micronet.Passing}
		if mod != nil {
			mod(&i)
		}
		return located{i, cluster, tier}
	}
	return &mesh{instances: []located{
		one("web", "web-1", "main", 1, func(i *micronet.Instance) {
			i.Tags, i.Meta = []string{"v1"}, map[string]string{"version": "1", "b": "x y"}
		}),
		one("web", "web-2", "eu", 2, func(i *micronet.Instance) { i.Tags, i.Weight = []string{"v2"}, 50 }),
		one("web", "web-3", "main", 0, func(i *micronet.Instance) {
			i.Tags, i.Health, i.Meta = []string{"v2"}, micronet.Warning, map[string]string{"version": "1", "b": "x y"}
		}),
		one("web", "web-4", "main", 0, func(i *micronet.Instance) { i.Health = micronet.Critical }),
		one("sick", "Sick.1", "main", 0, func(i *micronet.Instance) {
			i.Health, i.Meta = micronet.Critical, map[string]string{"k": "v"}
		}),
		one("stolen", "stolen-1", "main", 0, nil),
		one("dns", "dns-1", "main", 0, func(i *micronet.Instance) { i.Protocol, i.ServicePort = micronet.UDP, 53 }),
		one("my_svc", "legacy", "main", 0, func(i *micronet.Instance) { i.Meta = map[string]string{"k": "v"} }),
	}}
}

func newTestZone(t testing.TB, src Source) *Zone {
	t.Helper()
	z, err := NewZone(Config{
		Domains: []string{"micro.internal", "Consul."}, Source: src, Server: netip.MustParseAddr("127.0.0.1"),
		Reverse: []netip.Prefix{netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("fd00::/64")},
	})
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// show writes an answer on one line.
func show(a Answer) string {
	parts := []string{a.Rcode.String()}
	for _, r := range a.Answers {
		parts = append(parts, showRecord(r))
	}
	for _, r := range a.Authority {
		parts = append(parts, "auth "+showRecord(r))
	}
	for _, r := range a.Additional {
		parts = append(parts, "add "+showRecord(r))
	}
	if a.Reason != nil {
		parts = append(parts, fmt.Sprintf("why %d %s", a.Reason.Code, a.Reason.Text))
	}
	return strings.Join(parts, " | ")
}

func showRecord(r Record) string {
	s := fmt.Sprintf("%s %d %s", r.Name, r.TTL, r.Type)
	switch r.Type {
	case TypeA, TypeAAAA:
		return s + " " + r.Addr.String()
	case TypeSRV:
		return fmt.Sprintf("%s %d %d %d %s", s, r.Priority, r.Weight, r.Port, r.Target)
	case TypePTR, TypeNS:
		return s + " " + r.Target
	case TypeSOA:
		return fmt.Sprintf("%s %s %s %d", s, r.SOA.Server, r.SOA.Mailbox, r.SOA.Minimum)
	}
	return fmt.Sprintf("%s %q", s, r.Text)
}

const (
	soaText    = "micro.internal. 5 SOA ns.addr.micro.internal. hostmaster.micro.internal. 5"
	noDataText = "NOERROR | auth " + soaText
	noNameText = "NXDOMAIN | auth " + soaText
	notMine    = "not mine"
)

var answers = []struct{ name, typ, want string }{
	// The name of a service.
	{"web.micro.internal.", "A", "NOERROR | web.micro.internal. 5 A 127.80.0.1"},
	{"WeB.Micro.INTERNAL.", "A", "NOERROR | WeB.Micro.INTERNAL. 5 A 127.80.0.1"},
	{"web.micro.internal", "A", "NOERROR | web.micro.internal 5 A 127.80.0.1"},
	{"web.consul.", "A", "NOERROR | web.consul. 5 A 127.80.0.1"},
	{"web.micro.internal.", "AAAA", noDataText},
	{"web.micro.internal.", "MX", noDataText},
	{"web.micro.internal.", "HTTPS", noDataText},
	{"web.micro.internal.", "SVCB", noDataText},
	{"web.micro.internal.", "DS", noDataText},
	{"web.micro.internal.", "CNAME", noDataText},
	{"web.micro.internal.", "SOA", noDataText},
	{"web.micro.internal.", "TYPE65535", noDataText},
	{"web.micro.internal.", "ANY", `NOERROR | web.micro.internal. 5 HINFO ["RFC8482" ""]`},
	{"web.micro.internal.", "TXT", `NOERROR | web.micro.internal. 5 TXT ["b=x y" "version=1"]`},
	{"sick.micro.internal.", "A", "NOERROR | sick.micro.internal. 5 A 127.80.0.9"},
	{"sick.micro.internal.", "SRV", noDataText},
	{"sick.micro.internal.", "TXT", noDataText},
	{"stolen.micro.internal.", "A", noDataText + " | why 0 port 80 is held by nginx (pid 7)"},
	{"stolen.micro.internal.", "SRV", noDataText + " | why 0 port 80 is held by nginx (pid 7)"},
	{"nobody.micro.internal.", "A", noNameText},
	{"nobody.micro.internal.", "ANY", noNameText},
	{"my_svc.micro.internal.", "A", noNameText},
	{"wpad.micro.internal.", "A", noNameText},
	{"localhost.micro.internal.", "A", noNameText},
	{"x.web.micro.internal.", "A", noNameText},
	{`w\101b.micro.internal.`, "A", `NOERROR | w\101b.micro.internal. 5 A 127.80.0.1`},
	{`web\.service.micro.internal.`, "A", noNameText},
	{"*.micro.internal.", "A", noNameText},

	// Tags and clusters.
	{"web.service.micro.internal.", "A", "NOERROR | web.service.micro.internal. 5 A 127.80.0.1"},
	{"web.service.any.micro.internal.", "A", "NOERROR | web.service.any.micro.internal. 5 A 127.80.0.1"},
	{"v2.web.service.micro.internal.", "A", "NOERROR | v2.web.service.micro.internal. 5 A 127.80.0.2"},
	{"web.service.eu.micro.internal.", "A", "NOERROR | web.service.eu.micro.internal. 5 A 127.80.0.2"},
	{"v2.web.service.EU.micro.internal.", "A", "NOERROR | v2.web.service.EU.micro.internal. 5 A 127.80.0.2"},
	{"v1.web.service.eu.micro.internal.", "A", noNameText},
	{"v9.web.service.micro.internal.", "A", noNameText},
	{"web.service.mars.micro.internal.", "A", noNameText},
	{"a.v2.web.service.micro.internal.", "A", noNameText},
	{"v2.web.micro.internal.", "A", noNameText},

	// SRV.
	{"web.micro.internal.", "SRV", "NOERROR | web.micro.internal. 5 SRV 0 100 80 web.micro.internal. | " +
		"web.micro.internal. 5 SRV 1 100 80 web.micro.internal. | web.micro.internal. 5 SRV 2 50 80 web.micro.internal. | " +
		"add web.micro.internal. 5 A 127.80.0.1"},
	{"_web._tcp.micro.internal.", "SRV", "NOERROR | _web._tcp.micro.internal. 5 SRV 0 100 80 web.micro.internal. | " +
		"_web._tcp.micro.internal. 5 SRV 1 100 80 web.micro.internal. | _web._tcp.micro.internal. 5 SRV 2 50 80 web.micro.internal. | " +
		"add web.micro.internal. 5 A 127.80.0.1"},
	{"_web._tcp.service.eu.micro.internal.", "SRV", "NOERROR | _web._tcp.service.eu.micro.internal. 5 SRV 2 50 80 web.service.eu.micro.internal. | " +
		"add web.service.eu.micro.internal. 5 A 127.80.0.2"},
	{"_Web._TCP.service.consul.", "SRV", "NOERROR | _Web._TCP.service.consul. 5 SRV 0 100 80 web.consul. | " +
		"_Web._TCP.service.consul. 5 SRV 1 100 80 web.consul. | _Web._TCP.service.consul. 5 SRV 2 50 80 web.consul. | add web.consul. 5 A 127.80.0.1"},
	{"v1.web.service.micro.internal.", "SRV", "NOERROR | v1.web.service.micro.internal. 5 SRV 1 100 80 v1.web.service.micro.internal. | " +
		"add v1.web.service.micro.internal. 5 A 127.80.0.2"},
	{"_dns._udp.micro.internal.", "SRV", "NOERROR | _dns._udp.micro.internal. 5 SRV 0 100 53 dns.micro.internal. | add dns.micro.internal. 5 A 127.80.0.9"},
	{"_dns._tcp.micro.internal.", "SRV", noDataText},
	{"_web._tcp.micro.internal.", "A", noDataText},
	{"_sick._tcp.micro.internal.", "SRV", noDataText},
	{"_nobody._tcp.micro.internal.", "SRV", noNameText},
	{"_web._sctp.micro.internal.", "SRV", noNameText},
	{"web._tcp.micro.internal.", "SRV", noNameText},
	{"x._web._tcp.micro.internal.", "SRV", noNameText},

	// Nodes and instances.
	{"a.node.micro.internal.", "A", "NOERROR | a.node.micro.internal. 5 A 192.0.2.7 | a.node.micro.internal. 5 A 192.0.2.8"},
	{"a.node.main.micro.internal.", "AAAA", "NOERROR | a.node.main.micro.internal. 5 AAAA fd00::7"},
	{"a.node.micro.internal.", "TXT", noDataText},
	{"b.node.eu.micro.internal.", "A", noDataText},
	{"c.node.micro.internal.", "A", noNameText},
	{"a.node.any.micro.internal.", "A", noNameText},
	{"x.a.node.micro.internal.", "A", noNameText},
	{"web-1.instance.micro.internal.", "A", "NOERROR | web-1.instance.micro.internal. 5 A 127.80.0.1"},
	{"web-1.instance.micro.internal.", "TXT", `NOERROR | web-1.instance.micro.internal. 5 TXT ["b=x y" "version=1"]`},
	{"web-1.instance.micro.internal.", "SRV", "NOERROR | web-1.instance.micro.internal. 5 SRV 0 100 80 web.micro.internal. | add web.micro.internal. 5 A 127.80.0.1"},
	{"web-4.instance.micro.internal.", "SRV", noDataText},
	{"web-1.instance.micro.internal.", "AAAA", noDataText},
	{`sick\.1.instance.micro.internal.`, "TXT", `NOERROR | sick\.1.instance.micro.internal. 5 TXT ["k=v"]`},
	{"legacy.instance.micro.internal.", "TXT", `NOERROR | legacy.instance.micro.internal. 5 TXT ["k=v"]`},
	{"nobody.instance.micro.internal.", "A", noNameText},
	{"web-1.instance.eu.micro.internal.", "A", noNameText},

	// The domain, and the names in between.
	{"micro.internal.", "SOA", "NOERROR | " + soaText},
	{"MICRO.internal.", "SOA", "NOERROR | MICRO" + soaText[5:]},
	{"micro.internal.", "NS", "NOERROR | micro.internal. 5 NS ns.addr.micro.internal. | add ns.addr.micro.internal. 5 A 127.0.0.1"},
	{"micro.internal.", "A", noDataText},
	{"micro.internal.", "ANY", `NOERROR | micro.internal. 5 HINFO ["RFC8482" ""]`},
	{"ns.addr.micro.internal.", "A", "NOERROR | ns.addr.micro.internal. 5 A 127.0.0.1"},
	{"ns.addr.micro.internal.", "AAAA", noDataText},
	{"x.addr.micro.internal.", "A", noNameText},
	{"addr.micro.internal.", "A", noDataText},
	{"service.micro.internal.", "A", noDataText},
	{"node.micro.internal.", "A", noDataText},
	{"instance.micro.internal.", "A", noDataText},
	{"_tcp.micro.internal.", "A", noDataText},
	{"_tcp.service.micro.internal.", "A", noDataText},
	{"_tcp.service.eu.micro.internal.", "A", noDataText},
	{"any.micro.internal.", "A", noDataText},
	{"service.any.micro.internal.", "A", noDataText},
	{"node.any.micro.internal.", "A", noNameText},
	{"eu.micro.internal.", "A", noDataText},
	{"service.eu.micro.internal.", "A", noDataText},
	{"node.eu.micro.internal.", "A", noDataText},
	{"instance.eu.micro.internal.", "A", noNameText},
	{"mars.micro.internal.", "A", noNameText},
	{"service.mars.micro.internal.", "A", noNameText},

	// Reverse names.
	{"1.0.80.127.in-addr.arpa.", "PTR", "NOERROR | 1.0.80.127.in-addr.arpa. 5 PTR web.micro.internal."},
	{"1.0.80.127.In-Addr.Arpa.", "A", "NOERROR | auth 1.0.80.127.in-addr.arpa. 5 SOA localhost. hostmaster.1.0.80.127.in-addr.arpa. 5"},
	{"1.0.0.127.in-addr.arpa.", "PTR", "NOERROR | 1.0.0.127.in-addr.arpa. 5 PTR localhost."},
	{"9.9.80.127.in-addr.arpa.", "PTR", "NXDOMAIN | auth 127.in-addr.arpa. 5 SOA ns.addr.micro.internal. hostmaster.127.in-addr.arpa. 5"},
	{"80.127.in-addr.arpa.", "PTR", "NOERROR | auth 127.in-addr.arpa. 5 SOA ns.addr.micro.internal. hostmaster.127.in-addr.arpa. 5"},
	{"1.2.65.100.in-addr.arpa.", "PTR", "NXDOMAIN | auth 65.100.in-addr.arpa. 5 SOA ns.addr.micro.internal. hostmaster.65.100.in-addr.arpa. 5"},
	{"100.in-addr.arpa.", "NS", notMine},
	{"1.2.3.10.in-addr.arpa.", "PTR", notMine},
	{"x.0.0.127.in-addr.arpa.", "PTR", notMine},
	{"01.0.0.127.in-addr.arpa.", "PTR", notMine},
	{"300.0.0.127.in-addr.arpa.", "PTR", notMine},
	{"7" + strings.Repeat(".0", 29) + ".d.f.ip6.arpa.", "PTR", "NOERROR | 7" + strings.Repeat(".0", 29) + ".d.f.ip6.arpa. 5 PTR a.node.main.micro.internal."},
	{"8" + strings.Repeat(".0", 29) + ".d.f.ip6.arpa.", "PTR", "NXDOMAIN | auth " + strings.Repeat("0.", 14) + "d.f.ip6.arpa. 5 SOA " +
		"ns.addr.micro.internal. hostmaster." + strings.Repeat("0.", 14) + "d.f.ip6.arpa. 5"},
	{"1" + strings.Repeat(".0", 31) + ".ip6.arpa.", "PTR", "NOERROR | 1" + strings.Repeat(".0", 31) + ".ip6.arpa. 5 PTR localhost."},
	{"8.b.d.0.1.0.0.2.ip6.arpa.", "PTR", notMine},
	{"arpa.", "NS", notMine},

	// Everybody else's.
	{".", "NS", notMine},
	{"example.com.", "A", notMine},
	{"xmicro.internal.", "A", notMine},
	{`web\.micro.internal.`, "A", notMine},
	{"micro.internal.example.", "A", notMine},
	{"web..micro.internal.", "A", "FORMERR"},
	{strings.Repeat("a", 64) + ".micro.internal.", "A", "FORMERR"},
}

func ask(h Handler, name, typ string) string {
	t, err := ParseType(typ)
	if err != nil {
		return err.Error()
	}
	a, mine := h.Serve(context.Background(), Question{Name: name, Type: t})
	if !mine {
		return notMine
	}
	return show(a)
}

func TestAnswers(t *testing.T) {
	z := newTestZone(t, newMesh())
	for _, c := range answers {
		if got := ask(z, c.name, c.typ); got != c.want {
			t.Errorf("%s %s\n got %s\nwant %s", c.name, c.typ, got, c.want)
		}
	}
}

func TestNothingIsSaidOfTheMeshBeforeTheFirstSynchronisation(t *testing.T) {
	m := newMesh()
	m.unsynced = true
	z := newTestZone(t, m)
	const want = "SERVFAIL | why 14 the catalog has not been synchronised yet"
	for _, name := range []string{
		"web.micro.internal.", "nobody.micro.internal.", "_web._tcp.micro.internal.", "a.node.micro.internal.",
		"x.instance.micro.internal.", "service.eu.micro.internal.", "9.9.80.127.in-addr.arpa.",
	} {
		if got := ask(z, name, "A"); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if got := ask(z, "micro.internal.", "SOA"); got != "NOERROR | "+soaText {
		t.Errorf("SOA: %s", got)
	}
	if got := ask(z, "service.micro.internal.", "A"); got != noDataText {
		t.Errorf("service: %s", got)
	}
}

func TestPortsAreBoundOnlyForAddresses(t *testing.T) {
	m := newMesh()
	z := newTestZone(t, m)
	for _, typ := range []string{"AAAA", "TXT", "MX", "ANY"} {
		ask(z, "web.micro.internal.", typ)
	}
	ask(z, "nobody.micro.internal.", "A")
	ask(z, "sick.micro.internal.", "SRV")
	if len(m.asked) != 0 {
		t.Errorf("VIP was called for %v, want never", m.asked)
	}
	ask(z, "v2.web.service.eu.micro.internal.", "A")
	if want := (micronet.Destination{Service: "web", Tag: "v2", Cluster: "eu"}); !slices.Equal(m.asked, []micronet.Destination{want}) {
		t.Errorf("VIP was called for %v, want %v", m.asked, want)
	}
}

// A port that only the VIP's offer finds taken is in no answer, not even in the first.
func TestSRVLeadsToNoStranger(t *testing.T) {
	for _, c := range []struct{ name, want string }{
		{"web.micro.internal.", "NOERROR | web.micro.internal. 5 SRV 0 100 80 web.micro.internal. | add web.micro.internal. 5 A 127.80.0.1"},
		{"dns.micro.internal.", noDataText},
		{"dns-1.instance.micro.internal.", noDataText},
	} {
		m := newMesh()
		m.taken = 53
		m.instances = slices.DeleteFunc(m.instances, func(l located) bool { return l.Service == "web" && l.ID != "web-3" })
		other := m.instances[0]
		other.ID, other.ServicePort = "web-5", 53
		m.instances = append(m.instances, other)
		if got := ask(newTestZone(t, m), c.name, "SRV"); got != c.want {
			t.Errorf("%s SRV: %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestEqualEndpointsAreShuffledWithinTheirTier(t *testing.T) {
	m := &mesh{}
	for n := range 8 {
		m.instances = append(m.instances, located{micronet.Instance{
			Service: "web", ID: fmt.Sprint(n), ServicePort: uint16(n), Health: micronet.Passing, Protocol: micronet.TCP,
		}, "main", n / 4})
	}
	z, err := NewZone(Config{Domains: []string{"micro.internal"}, Source: m, Rand: rand.New(rand.NewPCG(1, 2))})
	if err != nil {
		t.Fatal(err)
	}
	first := make(map[uint16]int)
	for range 400 {
		a, _ := z.Serve(context.Background(), Question{"web.micro.internal.", TypeSRV})
		first[a.Answers[0].Port]++
		for i, r := range a.Answers {
			if want := uint16(i / 4); r.Priority != want {
				t.Fatalf("record %d has priority %d, want %d", i, r.Priority, want)
			}
			if r.Weight != micronet.DefaultWeight {
				t.Fatalf("weight %d of an instance that names none, want %d", r.Weight, micronet.DefaultWeight)
			}
		}
	}
	for port := range uint16(4) {
		if n := first[port]; n < 70 || n > 130 {
			t.Errorf("port %d came first %d times of 400, want about 100", port, n)
		}
	}
}

func TestLargeAnswersAreBounded(t *testing.T) {
	m := &mesh{}
	for n := range 1000 {
		m.instances = append(m.instances, located{micronet.Instance{
			Service: "web", ID: fmt.Sprint(n), ServicePort: 80, Health: micronet.Passing,
			Meta: map[string]string{"n": fmt.Sprint(n), "long": strings.Repeat("x", 200), "too-long": strings.Repeat("x", 255)},
		}, "main", 1000 - n})
	}
	z := newTestZone(t, m)
	a, _ := z.Serve(context.Background(), Question{"web.micro.internal.", TypeSRV})
	if len(a.Answers) != maxEndpoints || a.Answers[0].Priority != 1 {
		t.Errorf("%d records, the first of priority %d; want the nearest %d", len(a.Answers), a.Answers[0].Priority, maxEndpoints)
	}
	a, _ = z.Serve(context.Background(), Question{"web.micro.internal.", TypeTXT})
	size := 0
	for _, r := range a.Answers {
		if len(r.Text) != 2 {
			t.Fatalf("TXT %q, want the two strings that fit", r.Text)
		}
		size += len(r.Text[0]) + len(r.Text[1])
	}
	if size > maxText || size < maxText*9/10 {
		t.Errorf("TXT records of %d bytes, want nearly %d", size, maxText)
	}
}

func TestZoneRefusesBadDomains(t *testing.T) {
	for _, domains := range [][]string{nil, {""}, {"."}, {"a..b"}, {"under_score"}, {"ok", "-x"}} {
		if _, err := NewZone(Config{Domains: domains}); micronet.KindOf(err) != micronet.Invalid {
			t.Errorf("NewZone(%q) = %v, want an error of kind invalid", domains, err)
		}
	}
}

func TestQ31_SpecialNamesStayHere(t *testing.T) {
	const home = "localhost. 5 SOA localhost. hostmaster.localhost. 5"
	for _, c := range []struct{ name, typ, want string }{
		{"localhost.", "A", "NOERROR | localhost. 5 A 127.0.0.1"},
		{"App.LocalHost.", "AAAA", "NOERROR | App.LocalHost. 5 AAAA ::1"},
		{"localhost.", "MX", "NOERROR | auth " + home},
		{"x.invalid.", "A", "NXDOMAIN | auth invalid. 5 SOA localhost. hostmaster.invalid. 5"},
		{"printer.local.", "A", "NXDOMAIN | auth local. 5 SOA localhost. hostmaster.local. 5"},
		{"x.onion.", "A", "NXDOMAIN | auth onion. 5 SOA localhost. hostmaster.onion. 5"},
		{"localhost.example.", "A", notMine},
		{".", "NS", notMine},
		{"a..", "A", notMine},
	} {
		if got := ask(Special{}, c.name, c.typ); got != c.want {
			t.Errorf("%s %s: %s, want %s", c.name, c.typ, got, c.want)
		}
	}
}

func TestChainAsksInOrder(t *testing.T) {
	c := Chain{newTestZone(t, newMesh()), Special{}}
	for name, want := range map[string]string{
		"web.micro.internal.": "NOERROR | web.micro.internal. 5 A 127.80.0.1",
		"localhost.":          "NOERROR | localhost. 5 A 127.0.0.1",
		"example.com.":        notMine,
	} {
		if got := ask(c, name, "A"); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestTypeNames(t *testing.T) {
	for _, s := range []string{"A", "srv", "TYPE4711", "HTTPS"} {
		typ, err := ParseType(s)
		if err != nil || typ.String() != strings.ToUpper(s) {
			t.Errorf("ParseType(%q) = %v, %v", s, typ, err)
		}
	}
	for _, s := range []string{"", "B", "TYPE", "TYPE70000", "TYPE1", "TYPE5x"} {
		if typ, err := ParseType(s); err == nil {
			t.Errorf("ParseType(%q) = %v, want an error", s, typ)
		}
	}
	if NoError.String() != "NOERROR" || Rcode(12).String() != "RCODE12" {
		t.Error("names of results")
	}
}

func BenchmarkZone(b *testing.B) {
	m := newMesh()
	z := newTestZone(b, m)
	for _, c := range []struct {
		what, name string
		typ        Type
	}{{"A", "web.micro.internal.", TypeA}, {"SRV", "web.micro.internal.", TypeSRV}, {"NXDOMAIN", "nobody.micro.internal.", TypeA}} {
		b.Run(c.what, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m.asked = m.asked[:0]
				z.Serve(context.Background(), Question{c.name, c.typ})
			}
		})
	}
}
