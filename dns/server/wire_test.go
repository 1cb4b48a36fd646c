package server

import (
	"fmt"
	"strings"
	"testing"

	wire "github.com/miekg/dns"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/dns"
)

// serve is one exchange without a socket; nil: no answer.
func serve(t testing.TB, s *Server, packet []byte, tcp bool) []byte {
	t.Helper()
	e := s.read(packet, tcp)
	if e == nil {
		return nil
	}
	if !s.answerOwn(t.Context(), e) {
		s.answerForeign(t.Context(), e)
	}
	out, err := e.pack(nil)
	if err != nil {
		t.Fatalf("pack: %v", err)
	}
	return out
}

func edns(size uint16, mod func(*wire.OPT)) func(*wire.Msg) {
	return func(m *wire.Msg) {
		m.SetEdns0(size, false)
		if mod != nil {
			mod(m.IsEdns0())
		}
	}
}

// digest writes what matters of a reply on one line.
func digest(raw []byte) string {
	if raw == nil {
		return "silence"
	}
	r := new(wire.Msg)
	if err := r.Unpack(raw); err != nil {
		return err.Error()
	}
	o := r.IsEdns0()
	rcode := r.Rcode
	if o != nil {
		rcode |= o.ExtendedRcode() &^ 0xf
	}
	s := fmt.Sprintf("%s q%d an%d ns%d", dns.Rcode(rcode), len(r.Question), len(r.Answer), len(r.Ns))
	for _, f := range []struct {
		on   bool
		name string
	}{{r.Authoritative, "aa"}, {r.Truncated, "tc"}, {r.RecursionDesired, "rd"}, {r.RecursionAvailable, "ra"}, {r.CheckingDisabled, "cd"}} {
		if f.on {
			s += " " + f.name
		}
	}
	if o == nil {
		return s
	}
	s += fmt.Sprintf(" edns%d/%d", o.Version(), o.UDPSize())
	if o.Do() {
		s += " do"
	}
	for _, opt := range o.Option {
		s += fmt.Sprintf(" opt%d", opt.Option())
		if e, ok := opt.(*wire.EDNS0_EDE); ok {
			s += fmt.Sprintf("(%d %s)", e.InfoCode, e.ExtraText)
		}
	}
	return s
}

func TestH26_ProtocolRules(t *testing.T) {
	const web = "web.micro.internal."
	noUpstream := " opt15(20 no upstream resolver is known for names outside the mesh)"
	for _, c := range []struct {
		what string
		name string
		typ  uint16
		mod  func(*wire.Msg)
		want string
	}{
		{"plain", web, wire.TypeA, nil, "NOERROR q1 an1 ns0 aa rd"},
		{"no recursion wanted", web, wire.TypeA, func(m *wire.Msg) { m.RecursionDesired = false }, "NOERROR q1 an1 ns0 aa"},
		{"checking disabled", web, wire.TypeA, func(m *wire.Msg) { m.CheckingDisabled = true }, "NOERROR q1 an1 ns0 aa rd cd"},
		{"name error", "no.micro.internal.", wire.TypeA, nil, "NXDOMAIN q1 an0 ns1 aa rd"},
		{"EDNS", web, wire.TypeA, edns(4096, nil), "NOERROR q1 an1 ns0 aa rd edns0/1232"},
		{"EDNS with DO", web, wire.TypeA, edns(4096, func(o *wire.OPT) { o.SetDo() }), "NOERROR q1 an1 ns0 aa rd edns0/1232 do"},
		{"EDNS version 1", web, wire.TypeA, edns(4096, func(o *wire.OPT) { o.SetVersion(1) }), "BADVERS q1 an0 ns0 rd edns0/1232"},
		{"EDNS version 100", web, wire.TypeA, edns(4096, func(o *wire.OPT) { o.SetVersion(100) }), "BADVERS q1 an0 ns0 rd edns0/1232"},
		{"unknown option", web, wire.TypeA, edns(4096, func(o *wire.OPT) {
			o.Option = append(o.Option, &wire.EDNS0_LOCAL{Code: 65001, Data: []byte("x")})
		}), "NOERROR q1 an1 ns0 aa rd edns0/1232"},
		{"unknown flags", web, wire.TypeA, edns(4096, func(o *wire.OPT) { o.Hdr.Ttl |= 0x40 }), "NOERROR q1 an1 ns0 aa rd edns0/1232"},
		{"two OPT", web, wire.TypeA, func(m *wire.Msg) { m.SetEdns0(512, false); m.SetEdns0(512, false) }, "FORMERR q1 an0 ns0 rd"},
		{"OPT with a name", web, wire.TypeA, edns(512, func(o *wire.OPT) { o.Hdr.Name = "x." }), "FORMERR q1 an0 ns0 rd"},
		{"reason", "why.micro.internal.", wire.TypeA, edns(1232, nil), "NOERROR q1 an0 ns1 aa rd edns0/1232 opt15(0 port 80 is held)"},
		{"reason without EDNS", "why.micro.internal.", wire.TypeA, nil, "NOERROR q1 an0 ns1 aa rd"},
		{"class CH", "version.bind.", wire.TypeTXT, func(m *wire.Msg) { m.Question[0].Qclass = wire.ClassCHAOS }, "REFUSED q1 an0 ns0 rd"},
		{"class ANY", web, wire.TypeA, func(m *wire.Msg) { m.Question[0].Qclass = wire.ClassANY }, "REFUSED q1 an0 ns0 rd"},
		{"zone transfer", "micro.internal.", wire.TypeAXFR, edns(512, nil), "REFUSED q1 an0 ns0 rd edns0/1232 opt15(18 zones are not transferred)"},
		{"type OPT", web, wire.TypeOPT, nil, "FORMERR q1 an0 ns0 rd"},
		{"type 0", web, 0, nil, "FORMERR q1 an0 ns0 rd"},
		{"type 65535", web, 65535, nil, "NOERROR q1 an1 ns0 aa rd"},
		{"response", web, wire.TypeA, func(m *wire.Msg) { m.Response = true }, "silence"},
		{"notify", web, wire.TypeSOA, func(m *wire.Msg) { m.Opcode = wire.OpcodeNotify }, "NOTIMP q0 an0 ns0 rd"},
		{"update", web, wire.TypeSOA, func(m *wire.Msg) { m.Opcode = wire.OpcodeUpdate }, "NOTIMP q0 an0 ns0 rd"},
		{"opcode 15", web, wire.TypeSOA, func(m *wire.Msg) { m.Opcode = 15 }, "NOTIMP q0 an0 ns0 rd"},
		{"no question", web, wire.TypeA, func(m *wire.Msg) { m.Question = nil }, "FORMERR q0 an0 ns0 rd"},
		{"two questions", web, wire.TypeA, func(m *wire.Msg) { m.Question = append(m.Question, m.Question[0]) }, "FORMERR q0 an0 ns0 rd"},
		{"elsewhere", "example.com.", wire.TypeA, edns(512, nil), "REFUSED q1 an0 ns0 rd edns0/1232" + noUpstream},
		{"root", ".", wire.TypeNS, nil, "REFUSED q1 an0 ns0 rd"},
		{"12 records fit in 512", "big12.micro.internal.", wire.TypeSRV, nil, "NOERROR q1 an12 ns0 aa rd"},
		{"13 do not", "big13.micro.internal.", wire.TypeSRV, nil, "NOERROR q1 an12 ns0 aa tc rd"},
		{"EDNS below 512 is 512", "big13.micro.internal.", wire.TypeSRV, edns(100, nil), "NOERROR q1 an12 ns0 aa tc rd edns0/1232"},
		{"EDNS 800", "big30.micro.internal.", wire.TypeSRV, edns(800, nil), "NOERROR q1 an19 ns0 aa tc rd edns0/1232"},
		{"EDNS 65535 is 1232", "big60.micro.internal.", wire.TypeSRV, edns(65535, nil), "NOERROR q1 an31 ns0 aa tc rd edns0/1232"},
	} {
		m := ask(c.name, c.typ)
		if c.mod != nil {
			c.mod(m)
		}
		raw, err := m.Pack()
		if err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		reply := serve(t, testServer(newMemNet()), raw, false)
		if got := digest(reply); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.what, got, c.want)
		}
		if limit := sizeLimit(m); len(reply) > limit {
			t.Errorf("%s: %d bytes, at most %d are allowed", c.what, len(reply), limit)
		}
	}
}

// sizeLimit is what a reply over UDP may have (RFC 6891 section 6.2.3, and our own 1232).
func sizeLimit(q *wire.Msg) int {
	if o := q.IsEdns0(); o != nil {
		return min(max(int(o.UDPSize()), 512), 1232)
	}
	return 512
}

func TestH26_BrokenPackets(t *testing.T) {
	s := testServer(newMemNet())
	good, err := ask("web.micro.internal.", wire.TypeA).Pack()
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(good) {
		want := "FORMERR q0 an0 ns0 rd"
		if n < headerSize {
			want = "silence"
		}
		if got := digest(serve(t, s, good[:n], false)); got != want {
			t.Errorf("the first %d bytes of a question: %s, want %s", n, got, want)
		}
	}
	loop := append(append([]byte(nil), good[:headerSize]...), 0xc0, headerSize, 0, 1, 0, 1)
	if got := digest(serve(t, s, loop, false)); got != "FORMERR q0 an0 ns0 rd" {
		t.Errorf("a name that points to itself: %s", got)
	}
	counts := append([]byte(nil), good...)
	counts[10], counts[11] = 0xff, 0xff
	if got := serve(t, s, counts, false); len(got) < headerSize {
		t.Errorf("65535 additional records: %s", digest(got))
	}
}

func TestAnswersOverTCPAreNotCut(t *testing.T) {
	raw, err := ask("big1000.micro.internal.", wire.TypeSRV).Pack()
	if err != nil {
		t.Fatal(err)
	}
	if got := digest(serve(t, testServer(newMemNet()), raw, true)); got != "NOERROR q1 an1000 ns0 aa rd" {
		t.Errorf("1000 records over TCP: %s", got)
	}
	if raw, err = ask("big4000.micro.internal.", wire.TypeSRV).Pack(); err != nil {
		t.Fatal(err)
	}
	reply := serve(t, testServer(newMemNet()), raw, true)
	if len(reply) > wire.MaxMsgSize || !strings.Contains(digest(reply), " tc ") {
		t.Errorf("4000 records over TCP: %d bytes, %s", len(reply), digest(reply))
	}
}

func TestRecordsOnTheWire(t *testing.T) {
	long := strings.Repeat("é", 200)
	for _, c := range []struct {
		r    dns.Record
		want string
	}{
		{dns.Record{Type: dns.TypeTXT, Text: []string{`a\b`, `say "hi"`, `\065`}}, `TXT	"a\\b" "say \"hi\"" "\\065"`},
		{dns.Record{Type: dns.TypeHINFO, Text: []string{"RFC8482", ""}}, `HINFO	"RFC8482" ""`},
		{dns.Record{Type: dns.TypePTR, Target: "web.micro.internal."}, "PTR	web.micro.internal."},
		{dns.Record{Type: dns.TypeNS, Target: "ns.micro.internal."}, "NS	ns.micro.internal."},
		{authority, "SOA	ns.micro.internal. m.micro.internal. 0 0 0 0 5"},
	} {
		c.r.Name, c.r.TTL = "x.micro.internal.", 5
		m := &wire.Msg{Answer: records([]dns.Record{c.r})}
		raw, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		back := new(wire.Msg)
		if err := back.Unpack(raw); err != nil {
			t.Fatal(err)
		}
		if got := back.Answer[0].String(); got != "x.micro.internal.\t5\tIN\t"+c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
	if got := shorten(long, 201); len(got) != 200 || !strings.HasPrefix(long, got) {
		t.Errorf("shorten cut a character in two: %d bytes", len(got))
	}
}

func TestResolutionsOfBrokenPacketsAreNotReported(t *testing.T) {
	n := 0
	s := testServer(newMemNet(), events(&micronet.Events{Resolved: func(micronet.Resolution) { n++ }}))
	s.resolved(s.read(make([]byte, headerSize), false))
	if n != 0 {
		t.Error("a packet without a question was reported as resolved")
	}
}
