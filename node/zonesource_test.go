package node

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/dns"
	"github.com/micro/micro-net/internal/config"
)

// named is a mesh of two nodes with services of many kinds.
func named(t *testing.T, seed uint64, f func(t *testing.T, b *bubble, a, other *simNode)) {
	inBubble(t, seed, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b")
		put := func(n *simNode, s config.Service) {
			s.Checks = config.Checks{None: true}
			if _, err := n.backend().Register(0, []config.Service{complete(t, s)}); err != nil {
				t.Fatal(err)
			}
		}
		put(all[0], config.Service{Name: "web", ID: "same", Port: 8080, ServicePort: 80, Tags: []string{"V2"}, Meta: map[string]string{"version": "2"}})
		put(all[1], config.Service{Name: "web", ID: "same", Port: 9090, ServicePort: 80})
		put(all[1], config.Service{Name: "far", Port: 7000})
		// A name from Consul's file is no DNS label.
		all[1].node.registry.merge(source{"file", "consul"}, 0, []config.Service{{Name: "go.micro.srv", ID: "odd", Port: 1, ServicePort: 1, Address: "127.0.0.1", Protocol: "tcp", Weight: 1, Checks: config.Checks{None: true}}})
		sick := complete(t, config.Service{Name: "sick", Port: 6000})
		if _, err := all[1].backend().Register(0, []config.Service{sick}); err != nil {
			t.Fatal(err)
		}
		b.await(5*time.Second, "a knows all", func() error {
			if got := all[0].backend().Status().Services; got != 4 {
				return fmt.Errorf("a knows %d services", got)
			}
			return nil
		})
		f(t, b, all[0], all[1])
	})
}

func TestZoneSource(t *testing.T) {
	named(t, 80, func(t *testing.T, _ *bubble, a, other *simNode) {
		s := zoneSource{a.life()}
		if !s.Synced() || !s.Cluster("sim") || s.Cluster("else") {
			t.Error("synchronised in the cluster sim and no other")
		}
		for _, c := range []struct {
			d         micronet.Destination
			known     bool
			endpoints string // id, port and tier of each
			ports     string
		}{
			{micronet.Destination{Service: "web"}, true, "same:8080/0 same:9090/1 ", "80"},
			{micronet.Destination{Service: "web", Tag: "v2"}, true, "same:8080/0 ", "80"},
			{micronet.Destination{Service: "web", Cluster: "sim"}, true, "same:8080/0 same:9090/1 ", "80"},
			{micronet.Destination{Service: "web", Cluster: "else"}, false, "", ""},
			{micronet.Destination{Service: "sick"}, true, "", "6000"},
			{micronet.Destination{Service: "none"}, false, "", ""},
		} {
			got := ""
			tiers := map[int]string{}
			for _, e := range s.Endpoints(c.d) {
				tiers[e.Tier] += fmt.Sprintf("%s:%d/%d ", e.Instance.ID, e.Instance.Port, e.Tier)
			}
			got = tiers[0] + tiers[1]
			if s.Known(c.d) != c.known || got != c.endpoints {
				t.Errorf("%v: known %v, endpoints %q; want %v, %q", c.d, s.Known(c.d), got, c.known, c.endpoints)
			}
			ports := ""
			for _, p := range s.l.ports(c.d) {
				if !p.Optional {
					ports += fmt.Sprint(p.Number)
				}
			}
			if ports != c.ports {
				t.Errorf("%v has the ports %s, want %s", c.d, ports, c.ports)
			}
		}
		if i, ok := s.Instance("SAME"); !ok || i.Port != 8080 {
			t.Errorf("Instance(SAME) = %+v, %v: this node's own comes first", i, ok)
		}
		if i, ok := (zoneSource{other.life()}).Instance("far"); !ok || i.Port != 7000 {
			t.Errorf("Instance(far) = %+v, %v", i, ok)
		}
		if _, ok := s.Instance("none"); ok {
			t.Error("an instance that nobody has")
		}
		for _, c := range []struct {
			name, cluster, want string
			ok                  bool
		}{
			{"a", "", "[10.0.0.1 127.0.0.1]", true}, {"b", "sim", "[10.0.0.2]", true}, {"b", "else", "[]", false}, {"c", "", "[]", false},
		} {
			if got, ok := s.Node(c.name, c.cluster); ok != c.ok || fmt.Sprint(got) != c.want {
				t.Errorf("Node(%s, %s) = %v, %v; want %s, %v", c.name, c.cluster, got, ok, c.want, c.ok)
			}
		}
	})
}

func TestMeshName(t *testing.T) {
	named(t, 81, func(t *testing.T, _ *bubble, a, other *simNode) {
		l := a.life()
		l.config.Daemon.Domains = []string{"micro.internal", "consul"}
		vip, err := l.vips.of(micronet.Destination{Service: "web"})
		if err != nil {
			t.Fatal(err)
		}
		caller := l.vips.ofNode(other.node.ID())
		web := micronet.Destination{Service: "web"}
		for host, want := range map[string]micronet.Destination{
			"web": web, "web.micro.internal": web, "web.consul": web, "web.service.consul": web, "web.service.any.micro.internal": web,
			"v2.web.service.micro.internal": {Service: "web", Tag: "v2"}, "web.service.eu.consul": {Service: "web", Cluster: "eu"},
			"never-seen": {Service: "never-seen"}, vip.String(): web,
		} {
			if got, ok := l.meshName(host); !ok || got != want {
				t.Errorf("meshName(%q) = %v, %v; want %v", host, got, ok, want)
			}
		}
		for _, host := range []string{
			"example.com", "web.example.com", "127.0.0.1", "127.80.255.254", "::1", "micro.internal", "", ".", caller.String(), "a.b.c.micro.internal",
		} {
			if got, ok := l.meshName(host); ok {
				t.Errorf("meshName(%q) = %v, it is no name of the mesh", host, got)
			}
		}
		for addr, want := range map[netip.Addr]string{vip: "web.micro.internal.", caller: "b.node.micro.internal."} {
			if got, ok := (zoneSource{l}).Reverse(addr); !ok || got != want {
				t.Errorf("Reverse(%v) = %q, %v; want %q", addr, got, ok, want)
			}
		}
		if got, ok := (zoneSource{l}).Reverse(netip.MustParseAddr("127.80.255.254")); ok {
			t.Errorf("an address of nobody is called %q", got)
		}
	})
}

func TestResolve(t *testing.T) {
	named(t, 82, func(t *testing.T, _ *bubble, a, _ *simNode) {
		b, ctx := a.backend(), context.Background()
		vip := func(service string) string {
			addr, err := a.life().vips.of(micronet.Destination{Service: service})
			if err != nil {
				t.Fatal(err)
			}
			return addr.String()
		}
		for _, c := range []struct{ name, typ, want string }{
			{"web", "", "A " + vip("web")},
			{"web.micro.internal.", "a", "A " + vip("web")},
			{"sick", "A", "A " + vip("sick")},
			{"sick", "SRV", ""},
			{"web", "AAAA", ""},
			{"far", "SRV", "SRV 1 100 7000 far.micro.internal."},
			{"_far._tcp", "SRV", "SRV 1 100 7000 "},
			{"b.node", "A", "A 10.0.0.2"},
			{"micro.internal", "SOA", "SOA ns.addr.micro.internal. hostmaster.micro.internal. 1 3600 600 86400 5"},
		} {
			r, err := b.Resolve(ctx, c.name, c.typ)
			if err != nil || r.Rcode != "NOERROR" {
				t.Errorf("Resolve(%s, %s) = %+v, %v", c.name, c.typ, r, err)
				continue
			}
			got := ""
			for _, a := range r.Answers {
				got += a.Type + " " + a.Data
			}
			if c.want == "" && got != "" {
				t.Errorf("Resolve(%s, %s) = %s, want nothing", c.name, c.typ, got)
			}
			contains(t, "Resolve "+c.name+" "+c.typ, got, c.want)
		}
		_, err := b.Resolve(ctx, "none", "A")
		wantError(t, "an unknown name", err, micronet.NotFound, "NXDOMAIN")
		_, err = b.Resolve(ctx, "web", "NOTYPE")
		wantError(t, "an unknown type", err, micronet.Invalid, "NOTYPE")
		r, err := b.Resolve(ctx, "1.0.80.127.in-addr.arpa", "PTR")
		if err != nil && micronet.KindOf(err) != micronet.NotFound {
			t.Errorf("a reverse name: %+v, %v", r, err)
		}
		// Its record may have come the moment the view was made.
		for i := 0; i < 50 && r.AgeMs == 0; i++ {
			time.Sleep(100 * time.Millisecond)
			r, _ = b.Resolve(ctx, "far", "A")
		}
		if r, err := b.Resolve(ctx, "far", "A"); err != nil || r.AgeMs <= 0 || r.AgeMs > 60_000 {
			t.Errorf("far is %d ms old, %v", r.AgeMs, err)
		}
		if r, err := b.Resolve(ctx, "web.service", "TXT"); err != nil || len(r.Answers) != 1 || r.Answers[0].Data != `"version=2"` {
			t.Errorf("TXT of web = %+v, %v", r.Answers, err)
		}
	})
}

func TestRdata(t *testing.T) {
	for _, c := range []struct {
		r    dns.Record
		want string
	}{
		{dns.Record{Type: dns.TypeA, Addr: netip.MustParseAddr("127.80.0.2")}, "127.80.0.2"},
		{dns.Record{Type: dns.TypeAAAA, Addr: netip.MustParseAddr("2001:db8::1")}, "2001:db8::1"},
		{dns.Record{Type: dns.TypeSRV, Priority: 1, Weight: 100, Port: 65535, Target: "x."}, "1 100 65535 x."},
		{dns.Record{Type: dns.TypeTXT, Text: []string{`a"b`, "c d"}}, `"a\"b" "c d"`},
		{dns.Record{Type: dns.TypePTR, Target: "web.micro.internal."}, "web.micro.internal."},
		{dns.Record{Type: dns.TypeSOA, SOA: &dns.SOA{Server: "s.", Mailbox: "m.", Serial: 1, Refresh: 2, Retry: 3, Expire: 4, Minimum: 5}}, "s. m. 1 2 3 4 5"},
	} {
		if got := rdata(&c.r); got != c.want {
			t.Errorf("%v: %s, want %s", c.r.Type, got, c.want)
		}
	}
}

// What the API shows of services, routes and nodes.
func TestBackendViews(t *testing.T) {
	named(t, 83, func(t *testing.T, _ *bubble, a, other *simNode) {
		b := a.backend()
		all, err := b.Services("")
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, s := range all {
			line := fmt.Sprintf("%s %s %v %v vip=%v:", s.Name, s.DNS, s.Ports, s.Tags, s.VIP != "")
			for _, i := range s.Instances {
				line += fmt.Sprintf(" %s@%s:%d %s", i.ID, i.Node, i.Port, i.Health)
			}
			lines = append(lines, line)
		}
		want := []string{
			"far far.micro.internal [7000] [] vip=true: far@b:7000 passing",
			"go.micro.srv  [1] [] vip=false: odd@b:1 passing",
			"sick sick.micro.internal [6000] [] vip=true: sick@b:6000 critical",
			"web web.micro.internal [80] [V2] vip=true: same@a:8080 passing same@b:9090 passing",
		}
		if fmt.Sprint(lines) != fmt.Sprint(want) {
			t.Errorf("services are\n%v\nwant\n%v", lines, want)
		}
		one, err := b.Services("v2.web.service")
		if err != nil || len(one) != 1 || one[0].Name != "web" || len(one[0].Instances) != 1 {
			t.Errorf("Services(v2.web.service) = %+v, %v", one, err)
		}
		if odd, err := b.Services("go.micro.srv"); err != nil || len(odd) != 1 {
			t.Errorf("Services(go.micro.srv) = %+v, %v", odd, err)
		}
		_, err = b.Services("none")
		wantError(t, "an unknown service", err, micronet.NotFound, "none")
		_, err = b.Routes("none")
		wantError(t, "routes to it", err, micronet.NotFound, "none")
		routes, err := b.Routes("web")
		if err != nil || len(routes) != 2 || routes[0].State != micronet.RouteUp || routes[0].Via == nil {
			t.Errorf("Routes(web) = %+v, %v", routes, err)
		}
		for _, n := range b.Nodes() {
			self := n.Name == "a"
			if n.Self != self || n.Cluster != "sim" || n.Version != "test" || (!self && (n.RTTMs <= 0 || n.AgeMs < 0 || n.AgeMs > 3000 || n.Address != "10.0.0.2:8085")) {
				t.Errorf("a node is shown as %+v", n)
			}
		}
		if g := b.Graph(); len(g.Nodes) != 2 || len(g.Edges) != 1 || g.Edges[0].From != "a" || g.Edges[0].To != "b" {
			t.Errorf("the graph is %+v", g)
		}
		if c := b.Connections(); len(c) != 1 || c[0].Node != "b" || c[0].Remote != "10.0.0.2:8085" || c[0].Since.IsZero() {
			t.Errorf("connections are %+v", c)
		}
		for _, word := range []string{"b", other.node.ID().String(), other.node.ID().Short()} {
			if p, err := b.Ping(context.Background(), word); err != nil || p.Node != "b" || p.Path != micronet.PathDirect || p.RTTMs < 20 || p.RTTMs > 30 {
				t.Errorf("Ping(%s) = %+v, %v", word, p, err)
			}
		}
		if p, err := b.Ping(context.Background(), "a"); err != nil || p.Path != micronet.PathLocal {
			t.Errorf("Ping(a) = %+v, %v", p, err)
		}
		_, err = b.Ping(context.Background(), "none")
		wantError(t, "ping nobody", err, micronet.NotFound, "none")
	})
}
