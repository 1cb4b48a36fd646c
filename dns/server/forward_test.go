package server

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	wire "github.com/miekg/dns"

	micronet "github.com/micro/micro-net"
)

// resolver runs the wire library's own server as an upstream resolver, over UDP and TCP.
func resolver(t *testing.T, m *memNet, at netip.AddrPort, answer wire.HandlerFunc) {
	t.Helper()
	pc, err := m.open(at)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := m.Listen(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*wire.Server{{PacketConn: pc, Handler: answer}, {Listener: ln, Handler: answer}} {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		done := make(chan error, 1)
		go func() { done <- s.ActivateAndServe() }()
		<-started
		t.Cleanup(func() {
			if err := s.Shutdown(); err != nil {
				t.Errorf("shutdown of the resolver: %v", err)
			}
			<-done
		})
	}
}

// addresses answers every question with one address, counting them.
func addresses(ip string, count *atomic.Int32) wire.HandlerFunc {
	return func(w wire.ResponseWriter, q *wire.Msg) {
		count.Add(1)
		r := new(wire.Msg).SetReply(q)
		r.Answer = []wire.RR{&wire.A{Hdr: wire.RR_Header{Name: q.Question[0].Name, Rrtype: wire.TypeA, Class: wire.ClassINET, Ttl: 60}, A: net.ParseIP(ip)}}
		r.AuthenticatedData = true
		if o := q.IsEdns0(); o != nil {
			r.SetEdns0(4096, o.Do())
		}
		_ = w.WriteMsg(r)
	}
}

func failing(rcode int) wire.HandlerFunc {
	return func(w wire.ResponseWriter, q *wire.Msg) { _ = w.WriteMsg(new(wire.Msg).SetRcode(q, rcode)) }
}

func silent(wire.ResponseWriter, *wire.Msg) {}

// raw opens an upstream that sees and sends bytes.
func raw(t *testing.T, m *memNet, at netip.AddrPort, serve func(q []byte, reply func(b []byte))) {
	t.Helper()
	pc, err := m.open(at)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			serve(slices.Clone(buf[:n]), func(b []byte) { _, _ = pc.WriteTo(b, from) })
		}
	}()
	t.Cleanup(func() {
		_ = pc.Close()
		<-done
	})
}

func TestOtherNamesAreForwarded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet()
		var n atomic.Int32
		resolver(t, m, upstream1, addresses("198.51.100.1", &n))
		run(t, testServer(m, upstreams(upstream1)))
		for _, transport := range []func(*testing.T, *memNet, *wire.Msg) *wire.Msg{query, queryTCP} {
			q := ask("eXaMple.com.", wire.TypeA)
			r := transport(t, m, q)
			if r == nil || r.Id != q.Id || r.Question[0].Name != "eXaMple.com." || len(r.Answer) != 1 || r.Authoritative ||
				!r.RecursionAvailable || r.AuthenticatedData || r.IsEdns0() != nil {
				t.Fatalf("answer %v", r)
			}
		}
		q := ask("example.com.", wire.TypeA)
		q.SetEdns0(1400, true)
		if r := query(t, m, q); !r.AuthenticatedData || r.IsEdns0() == nil || r.IsEdns0().UDPSize() != maxReplyUDP || !r.IsEdns0().Do() {
			t.Errorf("answer with DO %v", r)
		}
		asked := n.Load()
		for _, name := range []string{"web.micro.internal.", "no.micro.internal.", "why.MICRO.internal."} {
			if r := query(t, m, ask(name, wire.TypeA)); r == nil || !r.Authoritative || !r.RecursionAvailable {
				t.Errorf("%s: %v", name, r)
			}
		}
		if n.Load() != asked {
			t.Error("a name of the own zone was forwarded")
		}
	})
}

func TestTheNextResolverIsAskedAndTheGoodOneRemembered(t *testing.T) {
	for _, c := range []struct {
		what  string
		first wire.HandlerFunc
		costs time.Duration
	}{
		{"silent", silent, upstreamPatience},
		{"SERVFAIL", failing(wire.RcodeServerFailure), 0},
		{"REFUSED", failing(wire.RcodeRefused), 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			m := newMemNet()
			var n atomic.Int32
			resolver(t, m, upstream1, c.first)
			resolver(t, m, upstream2, addresses("198.51.100.2", &n))
			run(t, testServer(m, upstreams(upstream1, upstream2)))
			for _, costs := range []time.Duration{c.costs, 0} {
				begin := time.Now()
				r := query(t, m, ask("example.com.", wire.TypeA))
				if r == nil || len(r.Answer) != 1 || time.Since(begin) != costs {
					t.Errorf("%s: after %v %v, want an answer after %v", c.what, time.Since(begin), r, costs)
				}
			}
			if want := []netip.AddrPort{home, upstream1, upstream2, home, upstream2}; !slices.Equal(m.asked(), want) {
				t.Errorf("%s: asked %v, want %v", c.what, m.asked(), want)
			}
		})
	}
}

func TestFailureOfAllResolversIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet()
		resolver(t, m, upstream1, silent)
		run(t, testServer(m, upstreams(upstream1)))
		q := ask("example.com.", wire.TypeA)
		q.SetEdns0(1232, false)
		r := query(t, m, q)
		if r == nil || r.Rcode != wire.RcodeServerFailure || len(r.IsEdns0().Option) != 1 {
			t.Fatalf("answer %v", r)
		}
		if why := r.IsEdns0().Option[0].(*wire.EDNS0_EDE); why.InfoCode != 22 || !strings.Contains(why.ExtraText, "192.0.2.1:53") {
			t.Errorf("reason %v", why)
		}
	})
}

func TestNegativeAnswersAndRefusalsArePassedOn(t *testing.T) {
	for _, rcode := range []int{wire.RcodeNameError, wire.RcodeRefused, wire.RcodeServerFailure} {
		synctest.Test(t, func(t *testing.T) {
			m := newMemNet()
			resolver(t, m, upstream1, failing(rcode))
			run(t, testServer(m, upstreams(upstream1)))
			if r := query(t, m, ask("example.com.", wire.TypeA)); r == nil || r.Rcode != rcode {
				t.Errorf("answer %v, want %s", r, wire.RcodeToString[rcode])
			}
		})
	}
}

func TestQ32_GuessesAreIgnoredUntilTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet()
		var drops atomic.Int32
		raw(t, m, upstream1, func(q []byte, reply func([]byte)) {
			good := new(wire.Msg)
			if err := good.Unpack(q); err != nil {
				t.Error(err)
				return
			}
			send := func(mod func(r *wire.Msg)) {
				r := new(wire.Msg).SetReply(good)
				r.Answer = []wire.RR{&wire.A{Hdr: wire.RR_Header{Name: good.Question[0].Name, Rrtype: wire.TypeA, Class: 1}, A: net.IPv4(203, 0, 113, 66)}}
				mod(r)
				b, err := r.Pack()
				if err != nil {
					t.Error(err)
				}
				reply(b)
			}
			send(func(r *wire.Msg) { r.Id++ })
			send(func(r *wire.Msg) { r.Question[0].Name = "evil.com." })
			send(func(r *wire.Msg) { r.Question[0].Qtype = wire.TypeAAAA })
			send(func(r *wire.Msg) { r.Question[0].Qclass = wire.ClassCHAOS })
			send(func(r *wire.Msg) { r.Question = nil })
			send(func(r *wire.Msg) { r.Response = false })
			send(func(r *wire.Msg) { r.Opcode = wire.OpcodeNotify })
			reply(q[:5])
			reply(append(slices.Clone(q[:2]), make([]byte, 40)...))
			time.Sleep(time.Second)
			send(func(r *wire.Msg) { r.Answer[0].(*wire.A).A = net.IPv4(198, 51, 100, 1) })
		})
		run(t, testServer(m, upstreams(upstream1), events(&micronet.Events{PacketDropped: func(d micronet.PacketDrop) {
			if d.Why == "mismatch" {
				drops.Add(1)
			}
		}})))
		r := query(t, m, ask("example.com.", wire.TypeA))
		if r == nil || len(r.Answer) != 1 || r.Answer[0].(*wire.A).A.String() != "198.51.100.1" {
			t.Fatalf("answer %v", r)
		}
		if n := drops.Load(); n != 9 {
			t.Errorf("%d mismatches were reported, want 9", n)
		}
	})
}

func TestH28_TruncatedAnswersAreFetchedOverTCP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet()
		resolver(t, m, upstream1, func(w wire.ResponseWriter, q *wire.Msg) {
			r := new(wire.Msg).SetReply(q)
			if _, udp := w.LocalAddr().(*net.UDPAddr); udp {
				r.Truncated = true
			} else {
				for i := range 100 {
					r.Answer = append(r.Answer, &wire.A{Hdr: wire.RR_Header{Name: q.Question[0].Name, Rrtype: wire.TypeA, Class: 1}, A: net.IPv4(198, 51, 100, byte(i))})
				}
			}
			_ = w.WriteMsg(r)
		})
		run(t, testServer(m, upstreams(upstream1)))
		if r := query(t, m, ask("example.com.", wire.TypeA)); r == nil || !r.Truncated || len(r.Answer) == 0 || len(r.Answer) == 100 {
			t.Errorf("over UDP: %v", r)
		}
		if r := queryTCP(t, m, ask("example.com.", wire.TypeA)); r == nil || r.Truncated || len(r.Answer) != 100 {
			t.Errorf("over TCP: %v", r)
		}
	})
}

func TestH30_NobodyAsksHimself(t *testing.T) {
	m := newMemNet()
	if got := testServer(m, upstreams(home, upstream1)).upstreams(); !slices.Equal(got, []netip.AddrPort{upstream1}) {
		t.Errorf("upstreams %v", got)
	}
	everywhere := func(c *Config) { c.Addr = netip.MustParseAddrPort("0.0.0.0:8600") }
	if got := testServer(m, everywhere, upstreams(home, upstream1)).upstreams(); !slices.Equal(got, []netip.AddrPort{upstream1}) {
		t.Errorf("upstreams of a server on all addresses %v", got)
	}
}

// TestH30_StubThatAsksBack: a resolver that forwards to us what we asked it must not multiply.
func TestH30_StubThatAsksBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet()
		var n atomic.Int32
		raw(t, m, upstream1, func(q []byte, _ func([]byte)) {
			n.Add(1)
			conn, err := m.open(netip.MustParseAddrPort("127.0.0.1:0"))
			if err != nil {
				t.Error(err)
				return
			}
			conn.send(conn.addr, home, q)
			_ = conn.Close()
		})
		run(t, testServer(m, upstreams(upstream1)))
		begin := time.Now()
		if r := query(t, m, ask("example.com.", wire.TypeA)); r == nil || r.Rcode != wire.RcodeServerFailure || time.Since(begin) != upstreamPatience {
			t.Errorf("after %v: %v", time.Since(begin), r)
		}
		if n.Load() != 1 {
			t.Errorf("the loop went round %d times, want once", n.Load())
		}
	})
}

func TestEqualQuestionsShareOneAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet()
		var n atomic.Int32
		resolver(t, m, upstream1, func(w wire.ResponseWriter, q *wire.Msg) {
			time.Sleep(time.Second)
			addresses("198.51.100.1", &n)(w, q)
		})
		run(t, testServer(m, upstreams(upstream1)))
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				name := "example.com."
				if i%2 == 0 {
					name = "EXAMPLE.com."
				}
				q := ask(name, wire.TypeA)
				if r := query(t, m, q); r == nil || r.Id != q.Id || r.Question[0].Name != name || len(r.Answer) != 1 {
					t.Errorf("answer %v", r)
				}
			})
		}
		wg.Wait()
		if n.Load() != 1 {
			t.Errorf("the resolver was asked %d times, want once", n.Load())
		}
	})
}

func TestQ34_ForwardedQuestionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet()
		resolver(t, m, upstream1, silent)
		var busy atomic.Int32
		run(t, testServer(m, upstreams(upstream1), events(&micronet.Events{PacketDropped: func(d micronet.PacketDrop) {
			if d.Why == "busy" {
				busy.Add(1)
			}
		}})))
		conn, err := m.open(netip.MustParseAddrPort("127.0.0.1:0"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		for n := range maxForwards + 10 {
			b, err := ask(fmt.Sprintf("n%d.example.", n), wire.TypeA).Pack()
			if err != nil {
				t.Fatal(err)
			}
			conn.send(conn.addr, home, b)
			synctest.Wait()
		}
		if len(conn.in) != 10 || busy.Load() != 10 {
			t.Errorf("%d refused at once and %d drops, want 10", len(conn.in), busy.Load())
		}
		begin := time.Now()
		if r := query(t, m, ask("web.micro.internal.", wire.TypeA)); r == nil || time.Since(begin) != 0 {
			t.Errorf("the own zone was not answered at once: %v after %v", r, time.Since(begin))
		}
	})
}

func TestRunEndsWhileQuestionsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet()
		resolver(t, m, upstream1, silent)
		s := testServer(m, upstreams(upstream1))
		if err := s.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		conn, err := m.open(netip.MustParseAddrPort("127.0.0.1:0"))
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			b, err := ask("example.com.", wire.TypeA).Pack()
			if err != nil {
				t.Fatal(err)
			}
			conn.send(conn.addr, home, b)
		}
		synctest.Wait()
		begin := time.Now()
		cancel()
		if err := <-done; err != nil || time.Since(begin) != 0 {
			t.Errorf("Run ended with %v after %v", err, time.Since(begin))
		}
		_ = conn.Close()
	})
}

func TestParseResolvConf(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "[]"},
		{"nameserver 192.0.2.1\nnameserver 192.0.2.2\n", "[192.0.2.1:53 192.0.2.2:53]"},
		{"# nameserver 192.0.2.1\n;nameserver 192.0.2.1\n  nameserver\t2001:db8::1 # home\r\n", "[[2001:db8::1]:53]"},
		{"nameserver 192.0.2.1\nsearch a b\nnameserver 192.0.2.1", "[192.0.2.1:53]"},
		{"nameserver fe80::1%eth0", "[[fe80::1%eth0]:53]"},
		{"nameserver 0.0.0.0\nnameserver ::ffff:192.0.2.1", "[127.0.0.1:53 192.0.2.1:53]"},
		{"nameserver\nnameserver x\nNAMESERVER 192.0.2.1\nnameserver192.0.2.1\nnameserver 192.0.2.1:53", "[]"},
		{strings.Repeat("nameserver 192.0.2.1\n", 3) + "nameserver ::1", "[192.0.2.1:53 [::1]:53]"},
	} {
		got := ParseResolvConf([]byte(c.text))
		if s := fmt.Sprint(got); s != c.want {
			t.Errorf("ParseResolvConf(%q) = %s, want %s", c.text, s, c.want)
		}
	}
	var many strings.Builder
	for i := range 20 {
		fmt.Fprintf(&many, "nameserver 192.0.2.%d\n", i+1)
	}
	if got := ParseResolvConf([]byte(many.String())); len(got) != maxUpstreams {
		t.Errorf("%d resolvers are taken, want at most %d", len(got), maxUpstreams)
	}
}
