package server

import (
	"encoding/binary"
	"testing"

	wire "github.com/miekg/dns"
)

func seed(f *testing.F, mod func(*wire.Msg)) {
	m := ask("web.micro.internal.", wire.TypeA)
	mod(m)
	b, err := m.Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b, false)
	f.Add(b, true)
}

// FuzzServe: every reply keeps the rules, and nothing panics.
func FuzzServe(f *testing.F) {
	seed(f, func(*wire.Msg) {})
	seed(f, func(m *wire.Msg) { m.SetQuestion("big200.micro.internal.", wire.TypeSRV).SetEdns0(4096, true) })
	seed(f, func(m *wire.Msg) { m.SetQuestion("why.micro.internal.", wire.TypeANY).SetEdns0(100, true) })
	seed(f, func(m *wire.Msg) { m.SetQuestion(`a\.b\000.example.`, wire.TypeTXT) })
	seed(f, func(m *wire.Msg) { m.SetAxfr("micro.internal.") })
	f.Add(make([]byte, headerSize), false)
	s := testServer(newMemNet())
	f.Fuzz(func(t *testing.T, packet []byte, tcp bool) {
		reply := serve(t, s, packet, tcp)
		if len(packet) < headerSize || packet[2]&0x80 != 0 {
			if reply != nil {
				t.Fatalf("%x was answered", packet)
			}
			return
		}
		r := new(wire.Msg)
		if err := r.Unpack(reply); err != nil {
			t.Fatalf("the reply %x cannot be parsed: %v", reply, err)
		}
		if r.Id != binary.BigEndian.Uint16(packet) || !r.Response || r.Opcode != int(packet[2]>>3)&0xf {
			t.Fatalf("header %+v of the reply to %x", r.MsgHdr, packet)
		}
		q := new(wire.Msg)
		if q.Unpack(packet) != nil || len(r.Question) == 0 {
			if len(r.Question) != 0 || (r.Rcode != wire.RcodeFormatError && r.Rcode != wire.RcodeNotImplemented) {
				t.Fatalf("the reply %v to the broken %x", r, packet)
			}
			return
		}
		if len(r.Question) != 1 || r.Question[0] != q.Question[0] {
			t.Fatalf("question %v of the reply to %v", r.Question, q.Question)
		}
		limit := wire.MaxMsgSize
		if !tcp {
			limit = sizeLimit(q)
		}
		if len(reply) > limit && r.Rcode != wire.RcodeFormatError {
			t.Fatalf("a reply of %d bytes, at most %d are allowed", len(reply), limit)
		}
		if (r.IsEdns0() != nil) != (q.IsEdns0() != nil) && r.Rcode != wire.RcodeFormatError {
			t.Fatalf("OPT in the reply %v to %v", r, q)
		}
	})
}

// FuzzUpstream: whatever an upstream sends, only an answer to the question is taken, and it can
// be passed on.
func FuzzUpstream(f *testing.F) {
	q := ask("example.com.", wire.TypeA)
	q.Id = 7
	good := new(wire.Msg).SetReply(q)
	good.SetEdns0(1232, false)
	for _, m := range []*wire.Msg{q, good} {
		b, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	s := testServer(newMemNet())
	asked, err := q.Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		a, ok := parseAnswer(q, packet)
		if !ok {
			return
		}
		if a.Id != 7 || !a.Response || a.Question[0].Qtype != wire.TypeA {
			t.Fatalf("taken: %v", a)
		}
		e := s.read(asked, false)
		e.adopt(a)
		if out, err := e.pack(nil); err != nil || len(out) > 512 {
			t.Fatalf("%d bytes to an asker who takes 512, error %v", len(out), err)
		}
	})
}

// FuzzResolvConf: no panic, and never more than the bound, never twice the same.
func FuzzResolvConf(f *testing.F) {
	f.Add([]byte("nameserver 192.0.2.1\nnameserver ::1%lo\n# x\r\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		us := ParseResolvConf(text)
		if len(us) > maxUpstreams {
			t.Fatalf("%d resolvers", len(us))
		}
		for i, u := range us {
			if !u.IsValid() || u.Port() != dnsPort || u.Addr().IsUnspecified() {
				t.Fatalf("resolver %v", u)
			}
			for _, o := range us[:i] {
				if o == u {
					t.Fatalf("%v twice", u)
				}
			}
		}
	})
}
