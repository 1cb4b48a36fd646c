package server

import (
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	wire "github.com/miekg/dns"

	micronet "github.com/micro/micro-net"
)

// What a message says of its length costs nothing before it is there.
func TestH27_AnnouncedLengthIsNotAllocated(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	go func() {
		_, _ = near.Write([]byte{0xff, 0xff, 1, 2, 3})
		_ = near.Close()
	}()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got, err := readFrame(far, nil)
	runtime.ReadMemStats(&after)
	if err == nil || len(got) != 3 || cap(got) > 2*frameStep {
		t.Errorf("%d bytes in %d, %v", len(got), cap(got), err)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 32<<10 {
		t.Errorf("%d bytes were allocated for three", n)
	}
}

// A byte a second buys no more time than any other question.
func TestH27_TrickledQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet()
		run(t, testServer(m))
		conn, err := m.Dial(t.Context(), netip.Addr{}, home)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		begin := time.Now()
		_, err = conn.Write([]byte{0xff, 0xff})
		for err == nil {
			time.Sleep(time.Second)
			_, err = conn.Write([]byte{0})
		}
		if took := time.Since(begin); took > tcpIdle+time.Second {
			t.Errorf("the connection lasted %v, want %v", took, tcpIdle)
		}
	})
}

// hostileReplies are what an upstream, or who guesses, may send in the place of an answer. answers says
// whether it is passed on.
var hostileReplies = []struct {
	what    string
	spoil   func(q, r *wire.Msg)
	answers bool
}{
	{"the answer", func(_, _ *wire.Msg) {}, true},
	{"another id", func(_, r *wire.Msg) { r.Id++ }, false},
	{"another name", func(_, r *wire.Msg) { r.Question[0].Name = "evil.example." }, false},
	{"another type", func(_, r *wire.Msg) { r.Question[0].Qtype = wire.TypeAAAA }, false},
	{"another class", func(_, r *wire.Msg) { r.Question[0].Qclass = wire.ClassCHAOS }, false},
	{"no question", func(_, r *wire.Msg) { r.Question = nil }, false},
	{"two questions", func(_, r *wire.Msg) { r.Question = append(r.Question, r.Question[0]) }, false},
	{"a question", func(_, r *wire.Msg) { r.Response = false }, false},
	{"another opcode", func(_, r *wire.Msg) { r.Opcode = wire.OpcodeUpdate }, false},
	{"TTL 0", func(_, r *wire.Msg) { r.Answer[0].Header().Ttl = 0 }, true},
	{"TTL 2^31", func(_, r *wire.Msg) { r.Answer[0].Header().Ttl = 1 << 31 }, true},
	{"TTL 2^32-1", func(_, r *wire.Msg) { r.Answer[0].Header().Ttl = 1<<32 - 1 }, true},
	{"a chain of names that is a ring", func(q, r *wire.Msg) {
		r.Answer = []wire.RR{&wire.CNAME{Hdr: header(q.Question[0].Name, wire.TypeCNAME), Target: q.Question[0].Name}}
	}, true},
	{"two hundred records", func(q, r *wire.Msg) {
		r.Compress = true
		for i := range 200 {
			r.Answer = append(r.Answer, address(q.Question[0].Name, fmt.Sprintf("198.51.%d.%d", i>>8, i&255)))
		}
	}, true},
	{"additional records of others", func(_, r *wire.Msg) {
		r.Extra = append(r.Extra, address("bank.example.", "198.51.100.66"))
	}, true},
	{"two OPT records", func(_, r *wire.Msg) { r.SetEdns0(1232, false); r.SetEdns0(1232, false) }, true},
	{"a record of no known type", func(q, r *wire.Msg) {
		r.Answer = append(r.Answer, &wire.RFC3597{Hdr: header(q.Question[0].Name, 65280), Rdata: strings.Repeat("ab", 200)})
	}, true},
}

func header(name string, kind uint16) wire.RR_Header {
	return wire.RR_Header{Name: name, Rrtype: kind, Class: wire.ClassINET, Ttl: 60}
}

func address(name, ip string) wire.RR {
	return &wire.A{Hdr: header(name, wire.TypeA), A: net.ParseIP(ip)}
}

// What does not match is ignored, and the true answer that comes later is taken; what matches is passed on
// within bounds.
func TestH28_UpstreamReplies(t *testing.T) {
	for _, c := range hostileReplies {
		t.Run(c.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMemNet()
				raw(t, m, upstream1, func(packet []byte, reply func([]byte)) {
					q := new(wire.Msg)
					if err := q.Unpack(packet); err != nil {
						t.Error(err)
						return
					}
					for _, spoil := range []func(q, r *wire.Msg){c.spoil, func(_, r *wire.Msg) { r.Answer = append(r.Answer, address("true.example.", "198.51.100.9")) }} {
						r := new(wire.Msg).SetReply(q)
						r.Answer = []wire.RR{address(q.Question[0].Name, "198.51.100.1")}
						spoil(q, r)
						b, err := r.Pack()
						if err != nil {
							t.Error(err)
						}
						for _, cut := range []int{3, headerSize, len(b) - 1} {
							reply(b[:min(cut, len(b))]) // the same, broken
						}
						reply(b)
					}
				})
				run(t, testServer(m, upstreams(upstream1)))
				q := ask("host.example.", wire.TypeA)
				r := query(t, m, q)
				if r == nil || r.Rcode != wire.RcodeSuccess || r.Id != q.Id || len(r.Answer) > 32 {
					t.Fatalf("answer %v", r)
				}
				if late := strings.Contains(r.String(), "true.example."); late == c.answers {
					t.Errorf("it was passed on: %v, want %v", !late, c.answers)
				}
			})
		})
	}
}

// A foreign name never leads to an address of ours, neither by a record nor by a hint.
func TestQ33_ForeignNamesDoNotLeadInside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet()
		resolver(t, m, upstream1, func(w wire.ResponseWriter, q *wire.Msg) {
			r, name := new(wire.Msg).SetReply(q), q.Question[0].Name
			hint := func(ip string) *wire.HTTPS {
				return &wire.HTTPS{SVCB: wire.SVCB{
					Hdr: header(name, wire.TypeHTTPS), Priority: 1, Target: ".", Value: []wire.SVCBKeyValue{&wire.SVCBIPv4Hint{Hint: []net.IP{net.ParseIP(ip).To4()}}},
				}}
			}
			r.Answer = []wire.RR{
				address(name, "127.80.0.5"), address(name, "198.51.100.1"), address(name, "192.168.1.1"), address(name, "127.0.0.1"),
				&wire.AAAA{Hdr: header(name, wire.TypeAAAA), AAAA: net.ParseIP("::ffff:127.80.0.6").To16()}, hint("127.80.0.7"), hint("198.51.100.2"),
			}
			r.Extra = []wire.RR{address("ns.example.", "127.95.255.255")}
			_ = w.WriteMsg(r)
		})
		var drops atomic.Int32
		s := testServer(m, upstreams(upstream1), events(&micronet.Events{PacketDropped: func(d micronet.PacketDrop) {
			if d.Why == "rebinding" {
				drops.Add(1)
			}
		}}))
		s.config.Own = []netip.Prefix{netip.MustParsePrefix("127.80.0.0/12")}
		run(t, s)
		r := query(t, m, ask("evil.example.", wire.TypeA))
		if r == nil || len(r.Answer) != 4 || len(r.Extra) != 0 || drops.Load() != 1 || strings.Contains(r.String(), "127.80.") {
			t.Errorf("%d drops, answer %v", drops.Load(), r)
		}
	})
}
