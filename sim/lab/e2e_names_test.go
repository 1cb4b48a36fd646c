//go:build linux

package lab

import (
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// digest is what dig showed.
type digest struct {
	status  string // NOERROR, …
	flags   string
	answers []string // type and data, sorted
	raw     string
}

var (
	digStatus = regexp.MustCompile(`status: ([A-Z]+)`)
	digFlags  = regexp.MustCompile(`flags: ([a-z ]+);`)
	digAnswer = regexp.MustCompile(`(?m)^[^;\s]\S*\s+\d+\s+IN\s+(.*)$`)
)

// dig asks the host's resolver, or the server in args.
func (h *Host) dig(t testing.TB, args ...string) digest {
	t.Helper()
	out, err := h.Run(cliTime, append([]string{"dig", "+noall", "+answer", "+comments", "+time=3", "+tries=1"}, args...)...)
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	d := digest{raw: out, status: first(digStatus, out), flags: first(digFlags, out)}
	for _, m := range digAnswer.FindAllStringSubmatch(out, -1) {
		d.answers = append(d.answers, strings.Join(strings.Fields(m[1]), " "))
	}
	slices.Sort(d.answers)
	return d
}

func first(re *regexp.Regexp, s string) string {
	if m := re.FindStringSubmatch(s); m != nil {
		return m[1]
	}
	return ""
}

// upstream is a small resolver for a domain outside the mesh.
type upstream struct {
	mu    sync.Mutex
	asked []string
}

func (u *upstream) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	u.mu.Lock()
	u.asked = append(u.asked, q.Question[0].Name)
	u.mu.Unlock()
	m := new(dns.Msg).SetReply(q)
	_, tcp := w.RemoteAddr().(*net.TCPAddr)
	switch name := q.Question[0].Name; {
	case name == "outside.example." && q.Question[0].Qtype == dns.TypeA:
		m.Answer = append(m.Answer, record(name+" 60 IN A 192.0.2.7"))
	case name == "long.example." && !tcp:
		m.Truncated = true
	case name == "long.example.":
		for i := range 100 {
			m.Answer = append(m.Answer, record(fmt.Sprintf("%s 60 IN TXT \"%03d %060d\"", name, i, i)))
		}
	default:
		m.Rcode = dns.RcodeNameError
	}
	_ = w.WriteMsg(m)
}

func record(s string) dns.RR {
	rr, err := dns.NewRR(s)
	if err != nil {
		panic(err)
	}
	return rr
}

func (u *upstream) names() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.asked)
}

// upstream starts the resolver on the host.
func (h *Host) upstream(t testing.TB) *upstream {
	t.Helper()
	u := &upstream{}
	addr := h.Addr + ":53"
	for _, s := range []*dns.Server{{PacketConn: h.packets(t, addr), Handler: u}, {Listener: h.listen(t, addr), Handler: u}} {
		ended := make(chan struct{})
		go func() {
			_ = s.ActivateAndServe()
			close(ended)
		}()
		t.Cleanup(func() {
			if s.PacketConn != nil {
				_ = s.PacketConn.Close()
			} else {
				_ = s.Listener.Close()
			}
			<-ended
		})
	}
	return u
}

// named is two hosts that resolve through their daemons, and a third with a resolver for the
// rest of the world that only host1 asks.
func named(t *testing.T) (host1, host2 *daemon, u *upstream) {
	t.Helper()
	Need(t, "dig")
	l := New(t)
	h1, h2, h3 := l.Host("host1"), l.Host("host2"), l.Host("world")
	u = h3.upstream(t)
	h1.Resolver("127.0.0.1")
	h2.Resolver("127.0.0.1")
	host1 = h1.up(t, "--dns-addr", "127.0.0.1:53", "--upstream", h3.Addr)
	host2 = h2.up(t, "--dns-addr", "127.0.0.1:53", "--join", host1.token())
	host1.await(2)
	host2.await(2)
	return host1, host2, u
}

func TestE2ENamesInDNS(t *testing.T) {
	host1, host2, u := named(t)
	host1.web("web", 8080)
	host1.must("register", "--service", "meta", "--port", "8080", "--id", "meta-1", "--meta", "version=2.1.0", "--tag", "v2")
	host2.awaitService("web", 1, "passing")
	host2.awaitService("meta", 1, "passing")
	vip := host2.vip("web")
	for _, c := range []struct{ args, status, answers string }{
		{"web.micro.internal A", "NOERROR", "A " + vip},
		{"WeB.Micro.Internal A", "NOERROR", "A " + vip},
		{"web.service.micro.internal A", "NOERROR", "A 127."},
		{"web.service.any.micro.internal A", "NOERROR", "A 127."},
		{"web.service.main.micro.internal A", "NOERROR", "A 127."},
		{"v2.meta.service.micro.internal A", "NOERROR", "A 127."},
		{"meta-1.instance.micro.internal A", "NOERROR", "A 127."},
		{"web.micro.internal AAAA", "NOERROR", ""},
		{"web.micro.internal MX", "NOERROR", ""},
		{"service.micro.internal A", "NOERROR", ""},
		{"_web._tcp.micro.internal SRV", "NOERROR", "SRV 1 100 8080 "},
		{"_web._tcp.service.micro.internal SRV", "NOERROR", "SRV 1 100 8080 "},
		{"web.micro.internal SRV", "NOERROR", "SRV 1 100 8080 web.micro.internal."},
		{"meta.micro.internal TXT", "NOERROR", `TXT "version=2.1.0"`},
		{"-x " + vip, "NOERROR", "PTR web."},
		{"micro.internal SOA", "NOERROR", "SOA "},
		{"micro.internal NS", "NOERROR", "NS "},
		{"host1.node.micro.internal A", "NOERROR", "A " + host1.Addr},
		{"host1.node.main.micro.internal A", "NOERROR", "A " + host1.Addr},
		{"host1.node.other.micro.internal A", "NXDOMAIN", ""},
		{"nothing.micro.internal A", "NXDOMAIN", ""},
		{"v9.meta.service.micro.internal A", "NXDOMAIN", ""},
		{"_nothing._tcp.micro.internal SRV", "NXDOMAIN", ""},
		{"web.service.other.micro.internal A", "NXDOMAIN", ""},
		{"+tcp web.micro.internal A", "NOERROR", "A " + vip},
		{"+tcp nothing.micro.internal A", "NXDOMAIN", ""},
		{"+noedns web.micro.internal A", "NOERROR", "A " + vip},
		{"+edns=1 +noednsnegotiation web.micro.internal A", "BADVERS", ""},
		{"localhost A", "NOERROR", "A 127.0.0.1"},
		{"outside.example A", "REFUSED", ""}, // host2 has no resolver for the rest of the world
	} {
		got := host2.dig(t, strings.Fields(c.args)...)
		ok := got.status == c.status && (c.answers == "") == (len(got.answers) == 0)
		if c.answers != "" {
			ok = ok && len(got.answers) == 1 && strings.HasPrefix(got.answers[0], c.answers)
		}
		if !ok {
			t.Errorf("dig %s = %s %q, want %s %q", c.args, got.status, got.answers, c.status, c.answers)
		}
	}
	host1.checkForwarding(t, u)
}

// checkForwarding asks for names outside the mesh.
func (d *daemon) checkForwarding(t *testing.T, u *upstream) {
	t.Helper()
	if got := d.dig(t, "outside.example"); got.status != "NOERROR" || fmt.Sprint(got.answers) != "[A 192.0.2.7]" {
		t.Errorf("a forwarded question = %s", got.raw)
	}
	if got := d.dig(t, "long.example", "TXT"); len(got.answers) != 100 {
		t.Errorf("a long forwarded answer has %d records, want 100: %s", len(got.answers), tail(got.raw, 5))
	}
	if got := d.dig(t, "nothing.example"); got.status != "NXDOMAIN" {
		t.Errorf("a forwarded denial = %s", got.raw)
	}
	for _, name := range []string{"nothing.micro.internal", "x.localhost", "printer.local"} {
		d.dig(t, name)
	}
	for _, name := range u.names() {
		if !strings.HasSuffix(name, ".example.") {
			t.Errorf("%s was asked outside", name)
		}
	}
}

// TestE2ENamesForClients: curl, redis-cli and redis-benchmark reach services of another host by
// name alone.
func TestE2ENamesForClients(t *testing.T) {
	Need(t, "curl", "redis-server", "redis-cli", "redis-benchmark")
	host1, host2, _ := named(t)
	host1.web("web", 8080)
	// The mesh does not come from 127.0.0.1, which is all that redis trusts in protected mode.
	host1.Start("redis-server", "--port", "6379", "--bind", "127.0.0.1", "--protected-mode", "no", "--save", "", "--appendonly", "no", "--dir", "/run")
	host1.must("register", "--service", "cache", "--port", "6379")
	host2.awaitService("web", 1, "passing")
	host2.awaitService("cache", 1, "passing")
	for _, c := range []struct{ want, command string }{
		{"host1\n", "curl -sS --max-time 10 http://web.micro.internal/"},
		{"host1\n", "curl -sS --max-time 10 http://web.micro.internal:8080/"},
		{"host1\n", "curl -sS --max-time 10 -x http://127.0.0.1:8081 http://web/"},
		{"host1\n", "curl -sS --max-time 10 -p -x http://127.0.0.1:8081 http://web.micro.internal/"},
		{"403", "curl -s --max-time 10 -o /dev/null -w %{http_code} -x http://127.0.0.1:8081 http://outside.example/"},
		{"PONG\n", "redis-cli -h cache.micro.internal PING"},
		{"OK\n", "redis-cli -h cache.micro.internal SET k v"},
		{"v\n", "redis-cli -h cache.micro.internal GET k"},
	} {
		if out, err := host2.Run(cliTime, strings.Fields(c.command)...); err != nil || out != c.want {
			t.Errorf("%s = %q, %v; want %q", c.command, out, err, c.want)
		}
	}
	out, err := host2.Run(time.Minute, "redis-benchmark", "-h", "cache.micro.internal", "-n", "20000", "-c", "20", "-t", "set,get", "--csv")
	if err != nil || len(lines(out)) != 3 || strings.Contains(strings.ToLower(out), "error") {
		t.Errorf("redis-benchmark: %v: %s", err, out)
	}
	t.Logf("redis-benchmark through the mesh:\n%s", out)
}
