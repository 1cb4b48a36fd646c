package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	wire "github.com/miekg/dns"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/dns"
)

var (
	home      = netip.MustParseAddrPort("127.0.0.1:8600")
	upstream1 = netip.MustParseAddrPort("192.0.2.1:53")
	upstream2 = netip.MustParseAddrPort("192.0.2.2:53")
)

// zone owns *.micro.internal: "big<n>." has n SRV records, "no." does not exist, "why." has a
// reason, all else one address.
type zone struct{}

func (zone) Serve(_ context.Context, q dns.Question) (dns.Answer, bool) {
	name := strings.ToLower(q.Name)
	if !strings.HasSuffix(name, ".micro.internal.") {
		return dns.Answer{}, false
	}
	var n int
	switch label, _, _ := strings.Cut(name, "."); {
	case label == "no":
		return dns.Answer{Rcode: dns.NameError, Authority: []dns.Record{authority}}, true
	case label == "why":
		return dns.Answer{Authority: []dns.Record{authority}, Reason: &dns.Reason{Code: dns.ReasonOther, Text: "port 80 is held"}}, true
	case scan(label, &n):
		return many(q.Name, n), true
	}
	return dns.Answer{Answers: []dns.Record{{Name: q.Name, Type: dns.TypeA, TTL: 5, Addr: netip.MustParseAddr("127.80.0.1")}}}, true
}

var authority = dns.Record{Name: "micro.internal.", Type: dns.TypeSOA, TTL: 5, SOA: &dns.SOA{Server: "ns.micro.internal.", Mailbox: "m.micro.internal.", Minimum: 5}}

func scan(label string, n *int) bool {
	got, err := fmt.Sscanf(label, "big%d", n)
	return got == 1 && err == nil
}

func many(name string, n int) dns.Answer {
	a := dns.Answer{Additional: []dns.Record{{Name: "web.micro.internal.", Type: dns.TypeA, TTL: 5, Addr: netip.MustParseAddr("127.80.0.1")}}}
	for i := range n {
		a.Answers = append(a.Answers, dns.Record{Name: name, Type: dns.TypeSRV, TTL: 5, Port: uint16(i), Target: "web.micro.internal."})
	}
	return a
}

func testServer(m *memNet, mods ...func(*Config)) *Server {
	c := Config{Env: micronet.Env{Net: m}, Addr: home, Handler: zone{}}
	for _, mod := range mods {
		mod(&c)
	}
	return New(c)
}

func upstreams(us ...netip.AddrPort) func(*Config) {
	return func(c *Config) { c.Upstreams = func() []netip.AddrPort { return us } }
}

func events(e *micronet.Events) func(*Config) { return func(c *Config) { c.Env.Events = e } }

// run opens and runs a server for the length of a test in a bubble.
func run(t *testing.T, s *Server) {
	t.Helper()
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run ended with %v", err)
		}
	})
}

// query asks over the network in memory and returns nil when no answer comes within 10 seconds.
func query(t *testing.T, m *memNet, q *wire.Msg) *wire.Msg {
	t.Helper()
	conn, err := m.DialPacket(t.Context(), home)
	if err != nil {
		t.Fatal(err)
	}
	return talk(t, conn, q)
}

func queryTCP(t *testing.T, m *memNet, q *wire.Msg) *wire.Msg {
	t.Helper()
	conn, err := m.Dial(t.Context(), netip.Addr{}, home)
	if err != nil {
		t.Fatal(err)
	}
	return talk(t, conn, q)
}

func talk(t *testing.T, conn net.Conn, q *wire.Msg) *wire.Msg {
	t.Helper()
	c := &wire.Conn{Conn: conn}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	raw, err := q.Pack()
	if err != nil {
		t.Fatal(err)
	}
	if _, tcp := conn.(*memConn); tcp {
		if err := writeFrame(conn, raw); err != nil {
			return nil
		}
		if raw, err = readFrame(conn, nil); err != nil {
			return nil
		}
	} else {
		c.UDPSize = 65535
		if _, err := conn.Write(raw); err != nil {
			t.Fatal(err)
		}
		raw = make([]byte, 65535)
		n, err := conn.Read(raw)
		if err != nil {
			return nil
		}
		raw = raw[:n]
	}
	r := new(wire.Msg)
	if err := r.Unpack(raw); err != nil {
		t.Fatalf("the answer cannot be parsed: %v", err)
	}
	return r
}

func ask(name string, typ uint16) *wire.Msg { return new(wire.Msg).SetQuestion(name, typ) }

func TestAnswersOverUDPAndTCP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet()
		var mu sync.Mutex
		var seen []string
		run(t, testServer(m, events(&micronet.Events{Resolved: func(r micronet.Resolution) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, r.Name+" "+r.Type+" "+r.Rcode)
		}})))
		for _, transport := range []func(*testing.T, *memNet, *wire.Msg) *wire.Msg{query, queryTCP} {
			q := ask("WeB.micro.internal.", wire.TypeA)
			r := transport(t, m, q)
			if r == nil || r.Id != q.Id || !r.Authoritative || r.RecursionAvailable || r.Question[0] != q.Question[0] || len(r.Answer) != 1 ||
				r.Answer[0].String() != "WeB.micro.internal.\t5\tIN\tA\t127.80.0.1" {
				t.Errorf("answer %v", r)
			}
			if r := transport(t, m, ask("no.micro.internal.", wire.TypeA)); r.Rcode != wire.RcodeNameError || len(r.Ns) != 1 || r.Ns[0].Header().Rrtype != wire.TypeSOA {
				t.Errorf("answer %v", r)
			}
		}
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		want := []string{"WeB.micro.internal. A NOERROR", "no.micro.internal. A NXDOMAIN"}
		if !slices.Equal(seen, append(want, want...)) {
			t.Errorf("events %q", seen)
		}
	})
}

func TestH29_OnlyAllowedSourcesAreAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet()
		var drops atomic.Int32
		run(t, testServer(m,
			func(c *Config) { c.AllowFrom = []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")} },
			events(&micronet.Events{PacketDropped: func(d micronet.PacketDrop) {
				if d == (micronet.PacketDrop{Where: "dns", Why: "source"}) {
					drops.Add(1)
				}
			}})))
		for _, c := range []struct {
			from string
			want bool
		}{{"127.0.0.9", true}, {"::1", true}, {"10.1.2.3", true}, {"10.2.0.1", false}, {"192.0.2.9", false}, {"fe80::1", false}} {
			from := netip.MustParseAddr(c.from)
			p, err := m.open(netip.AddrPortFrom(from, 0))
			if err != nil {
				t.Fatal(err)
			}
			if r := talk(t, &memConnected{p, home}, ask("web.micro.internal.", wire.TypeA)); (r != nil) != c.want {
				t.Errorf("UDP from %s was answered: %v, want %v", c.from, r != nil, c.want)
			}
			conn, err := m.Dial(t.Context(), from, home)
			if err != nil {
				t.Fatal(err)
			}
			if r := talk(t, conn, ask("web.micro.internal.", wire.TypeA)); (r != nil) != c.want {
				t.Errorf("TCP from %s was answered: %v, want %v", c.from, r != nil, c.want)
			}
		}
		if n := drops.Load(); n != 6 {
			t.Errorf("%d drops were reported, want 6", n)
		}
	})
}

func TestQ30_MappedAndScopedSources(t *testing.T) {
	s := testServer(newMemNet(), func(c *Config) {
		c.AllowFrom = []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fe80::/64")}
	})
	for from, want := range map[string]bool{"::ffff:127.0.0.1": true, "::ffff:10.1.2.3": true, "fe80::1%eth0": true, "::ffff:10.2.0.1": false} {
		if got := s.allowed(netip.MustParseAddr(from)); got != want {
			t.Errorf("allowed(%s) = %v, want %v", from, got, want)
		}
	}
	if s.allowed(netip.Addr{}) {
		t.Error("no address is allowed")
	}
}

func TestOpenTakesOnePortForBoth(t *testing.T) {
	m := newMemNet()
	free := netip.MustParseAddrPort("127.0.0.1:40001")
	m.taken[free] = true // TCP will get this port first
	s := testServer(m, func(c *Config) { c.Addr = netip.MustParseAddrPort("127.0.0.1:0") })
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.Addr() == free || s.Addr().Port() == 0 || micronet.AddrPortOf(s.listener.Addr()) != s.Addr() {
		t.Errorf("UDP on %v, TCP on %v", s.Addr(), s.listener.Addr())
	}
	if err := s.Open(t.Context()); micronet.KindOf(err) != micronet.Invalid {
		t.Errorf("the second Open: %v", err)
	}
	if err := errors.Join(s.Close(), s.Close()); err != nil || len(m.packets)+len(m.listeners) != 0 {
		t.Errorf("Close: %v, left open %v %v", err, m.packets, m.listeners)
	}
}

func TestOpenReportsConflicts(t *testing.T) {
	m := newMemNet()
	m.taken[home] = true
	s := testServer(m)
	err := s.Open(t.Context())
	if micronet.KindOf(err) != micronet.Refused || !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "127.0.0.1:8600") {
		t.Errorf("Open on a taken port: %v", err)
	}
	if len(m.listeners) != 0 {
		t.Error("the TCP port is still held")
	}
	if err := s.Run(t.Context()); micronet.KindOf(err) != micronet.Invalid {
		t.Errorf("Run without Open: %v", err)
	}
}

func TestRunEndsWhenSocketsAreClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := testServer(newMemNet())
		if err := s.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		go func() { done <- s.Run(context.Background()) }()
		synctest.Wait()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-done; micronet.KindOf(err) != micronet.Closed {
			t.Errorf("Run ended with %v, want an error of kind closed", err)
		}
	})
}

func TestH27_TCPConnectionsAreBoundedAndEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet()
		var drops atomic.Int32
		run(t, testServer(m, events(&micronet.Events{PacketDropped: func(micronet.PacketDrop) { drops.Add(1) }})))
		var conns []net.Conn
		for range maxConns {
			c, err := m.Dial(t.Context(), netip.Addr{}, home)
			if err != nil {
				t.Fatal(err)
			}
			conns = append(conns, c)
		}
		synctest.Wait()
		if r := queryTCP(t, m, ask("web.micro.internal.", wire.TypeA)); r != nil || drops.Load() != 1 {
			t.Errorf("one connection too many was answered %v, drops %d", r, drops.Load())
		}
		time.Sleep(tcpIdle + time.Second) // the idle ones are closed
		if r := queryTCP(t, m, ask("web.micro.internal.", wire.TypeA)); r == nil {
			t.Error("no answer after the idle connections ended")
		}
		for _, c := range conns {
			_ = c.Close()
		}
	})
}

func TestTCPConnectionCarriesManyQuestions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet()
		run(t, testServer(m))
		conn, err := m.Dial(t.Context(), netip.Addr{}, home)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		for n := range 20 {
			q := ask(fmt.Sprintf("big%d.micro.internal.", n*20), wire.TypeSRV)
			raw, err := q.Pack()
			if err != nil {
				t.Fatal(err)
			}
			if err := writeFrame(conn, raw); err != nil {
				t.Fatal(err)
			}
			raw, err = readFrame(conn, nil)
			if err != nil {
				t.Fatal(err)
			}
			r := new(wire.Msg)
			if err := r.Unpack(raw); err != nil || r.Id != q.Id || r.Truncated || len(r.Answer) != n*20 || len(r.Extra) != 1 {
				t.Fatalf("question %d: %d answers, truncated %v, error %v", n, len(r.Answer), r.Truncated, err)
			}
		}
	})
}
