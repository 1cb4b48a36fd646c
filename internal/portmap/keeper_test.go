package portmap

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/micro/micro-net/internal/portmap/portmaptest"
)

var (
	client = netip.MustParseAddr("192.168.1.20")
	inside = netip.MustParseAddr("192.168.1.1")
	global = netip.MustParseAddr("203.0.113.7")
	begin  = time.Unix(1_700_000_000, 0)
)

const meshPort = 8085

// home is a Keeper and its router, in a time of their own.
type home struct {
	t      *testing.T
	now    time.Time
	k      *Keeper
	r      *portmaptest.Router
	off    bool                  // the router hears nothing
	deaf   func(r *Request) bool // to what it does not answer
	change func(answer []byte)   // what it answers instead, in datagrams
	say    func(q, answer string) string
	outer  netip.Addr             // the router's
	taken  map[uint16]bool        // outer ports of others
	open   map[netip.AddrPort]int // outer ports by inner address
	sent   []string               // what the Keeper has sent, and when
	states map[State]bool         // all that were seen
}

func newHome(t *testing.T) *home {
	h := &home{t: t, now: begin, outer: global, taken: map[uint16]bool{}, open: map[netip.AddrPort]int{}, states: map[State]bool{}}
	h.r = &portmaptest.Router{
		Began: begin.Add(-time.Hour), Inside: inside, Outer: func() netip.Addr { return h.outer },
		Open: func(inner netip.AddrPort, wish uint16) (uint16, bool) {
			for h.taken[wish] {
				wish++
			}
			h.open[inner] = int(wish)
			return wish, true
		},
		Close: func(inner netip.AddrPort) { delete(h.open, inner) },
	}
	h.k = New(h.now, Config{Router: inside, Client: client, Port: meshPort, Nonce: Nonce{1, 2, 3}, Rand: rand.New(rand.NewPCG(1, 2))})
	return h
}

// exchange sends, and hands in what the router answers, until nobody has anything to say.
func (h *home) exchange(r *Request) {
	for r != nil {
		h.sent = append(h.sent, fmt.Sprintf("%s %s", h.now.Sub(begin).Round(100*time.Millisecond), name(r)))
		mute := h.off || (h.deaf != nil && h.deaf(r))
		switch {
		case r.Via == HTTP:
			r = h.k.Fetched(h.now, r, h.fetch(r, mute))
		case mute:
			return
		default:
			r = h.datagram(r)
		}
		h.states[h.k.State()] = true
	}
}

func (h *home) datagram(r *Request) *Request {
	if r.Via == Search {
		return h.k.Found(h.now, h.r.Found(r.Body))
	}
	answer := h.r.Answer(h.now, netip.AddrPortFrom(client, 40000), r.Body)
	if h.change != nil && answer != nil {
		h.change(answer)
	}
	return h.k.Received(h.now, answer)
}

func (h *home) fetch(r *Request, mute bool) []byte {
	if mute || r.Port != cmp.Or(h.r.Web, portmaptest.HTTPPort) {
		return nil
	}
	_, answer := h.r.Fetch(h.now, client, r.Path, r.Action, r.Body)
	if h.say != nil {
		return []byte(h.say(name(r), string(answer)))
	}
	return answer
}

func name(r *Request) string {
	b := r.Body
	switch {
	case r.Via == Search:
		return "search"
	case r.Via == HTTP && b == nil:
		return "description"
	case r.Via == HTTP:
		_, action, _ := strings.Cut(strings.Trim(r.Action, `"`), "#")
		return action
	case len(b) == 60 && b[7]|b[6]|b[5]|b[4] == 0:
		return "PCP delete"
	case len(b) == 60:
		return "PCP map"
	case len(b) == 24:
		return "PCP clock"
	case len(b) == 2:
		return "PMP address"
	case len(b) == 12 && b[11]|b[10] == 0:
		return "PMP delete"
	case len(b) == 12:
		return "PMP map"
	}
	return fmt.Sprintf("% x", b)
}

// pass lets time pass.
func (h *home) pass(d time.Duration) {
	for end := h.now.Add(d); ; {
		next := h.k.Next()
		if next.After(end) {
			h.now = end
			return
		}
		if next.After(h.now) {
			h.now = next
		}
		h.exchange(h.k.Tick(h.now))
		h.states[h.k.State()] = true
	}
}

func (h *home) want(kind Kind, protocol, outer string) {
	h.t.Helper()
	s := h.k.State()
	addr := ""
	if s.Outer.IsValid() {
		addr = s.Outer.String()
	}
	if s.Kind != kind || s.Protocol != protocol || addr != outer {
		h.t.Errorf("%s: %+v, want %s %s %s", h.now.Sub(begin), s, kind, protocol, outer)
	}
	if open := len(h.open); (kind == Granted) != (open == 1) {
		h.t.Errorf("%s: %d ports are open", h.now.Sub(begin), open)
	}
}

// words lists what was sent since it was asked last, without the times.
func (h *home) words() (out []string) {
	for _, s := range h.sent {
		_, what, _ := strings.Cut(s, " ")
		out = append(out, what)
	}
	h.sent = nil
	return out
}

func TestGranted(t *testing.T) {
	for _, c := range []struct {
		name     string
		prepare  func(*home)
		protocol string
		words    string
		after    time.Duration
		outer    string
	}{
		{"PCP", func(*home) {}, PCP, "PCP map", 0, "203.0.113.7:8085"},
		{"another port", func(h *home) { h.taken[meshPort] = true }, PCP, "PCP map", 0, "203.0.113.7:8086"},
		{"NAT-PMP, said", func(h *home) { h.r.NoPCP = true }, NATPMP, "PCP map, PMP address, PMP map", 0, "203.0.113.7:8085"},
		{
			"NAT-PMP, in silence", func(h *home) { h.deaf = func(r *Request) bool { return r.Body[0] == 2 } },
			NATPMP, "PCP map, PCP map, PMP address, PMP map", 10 * time.Second, "203.0.113.7:8085",
		},
		{"PCP refused, NAT-PMP not", func(h *home) {
			h.change = func(b []byte) {
				if b[0] == 2 {
					b[3] = 2
				}
			}
		}, NATPMP, "PCP map, PMP address, PMP map", 0, "203.0.113.7:8085"},
		{"behind another router", func(h *home) { h.outer = netip.MustParseAddr("10.0.0.5") }, PCP, "PCP map", 0, "10.0.0.5:8085"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHome(t)
			c.prepare(h)
			h.pass(c.after)
			h.want(Granted, c.protocol, c.outer)
			if got := strings.Join(h.words(), ", "); got != c.words {
				t.Errorf("sent %s", got)
			}
			if left := h.k.State().Until.Sub(h.now); left > lifetime || left < lifetime-10*time.Second {
				t.Errorf("it holds for %s", left)
			}
		})
	}
}

// A mapping is renewed between a half and five eighths of its time, for as long as it is wanted, and the router is asked for its clock every
// two minutes.
func TestRenewed(t *testing.T) {
	for _, noPCP := range []bool{false, true} {
		h := newHome(t)
		h.r.NoPCP = noPCP
		renewal, look := "PCP map", "PCP clock"
		if noPCP {
			renewal, look = "PMP map", "PMP address"
		}
		h.pass(24 * time.Hour)
		want := Granted
		h.want(want, h.k.State().Protocol, "203.0.113.7:8085")
		for s := range h.states {
			if s.Kind != Granted && s.Kind != Asking {
				t.Errorf("it was %+v", s)
			}
		}
		words := h.words()
		renewals, looks := 0, 0
		for _, w := range words {
			switch w {
			case renewal:
				renewals++
			case look:
				looks++
			}
		}
		if renewals < 19 || renewals > 26 || looks < 600 || looks > 800 {
			t.Errorf("%s: %d renewals and %d looks in a day", renewal, renewals, looks)
		}
	}
}

// A router that restarts, or gets another address, is noticed within two minutes.
func TestRestartedRouter(t *testing.T) {
	for _, noPCP := range []bool{false, true} {
		for _, what := range []string{"restart", "address"} {
			h := newHome(t)
			h.r.NoPCP = noPCP
			h.pass(17 * time.Minute)
			protocol, outer := h.k.State().Protocol, "203.0.113.7:9000"
			h.r.Restart(h.now)
			h.taken[meshPort] = true
			h.taken[meshPort+1] = true
			if what == "address" {
				h.outer = netip.MustParseAddr("198.51.100.1")
			}
			outer = fmt.Sprintf("%s:%d", h.outer, meshPort+2)
			h.pass(2*time.Minute + 12*time.Second)
			h.want(Granted, protocol, outer)
		}
	}
}

// The address alone changes: NAT-PMP tells it, and a router that speaks PCP has its clock begin anew.
func TestMovedRouter(t *testing.T) {
	h := newHome(t)
	h.r.NoPCP = true
	h.pass(time.Minute)
	h.outer = netip.MustParseAddr("198.51.100.1")
	h.pass(3 * time.Minute)
	h.want(Granted, NATPMP, "198.51.100.1:8085")
}

// A router that falls silent may have the mapping still: it counts to its end, and is asked for more and more often.
func TestRouterFallsSilent(t *testing.T) {
	h := newHome(t)
	h.pass(time.Minute)
	h.off = true
	h.pass(lifetime - 2*time.Minute)
	if h.k.State().Kind != Granted {
		t.Errorf("before its end: %+v", h.k.State())
	}
	maps := 0
	for _, w := range h.words()[1:] {
		if w == "PCP map" {
			maps++
		}
	}
	if maps < 6 || maps > 60 {
		t.Errorf("%d attempts to renew", maps)
	}
	end := h.k.State().Until
	h.pass(end.Sub(h.now) - time.Millisecond)
	if h.k.State().Kind != Granted {
		t.Errorf("just before its end: %+v", h.k.State())
	}
	h.pass(time.Millisecond)
	if h.k.State().Kind != Silent {
		t.Errorf("after its end: %+v", h.k.State())
	}
	h.off = false
	h.pass(2 * time.Minute)
	h.want(Granted, h.k.State().Protocol, "203.0.113.7:8085") // whichever was asked just then
}

// A router that was silent for long, and granted something then, is asked soon when that has ended.
func TestRestBeginsAnew(t *testing.T) {
	h := newHome(t)
	h.off = true
	h.pass(24 * time.Hour)
	h.off = false
	h.pass(maxRest * 11 / 10)
	h.want(Granted, PCP, "203.0.113.7:8085")
	h.off = true
	h.pass(h.k.State().Until.Sub(h.now) + 30*time.Second)
	if h.k.State().Kind != Silent {
		t.Errorf("%+v", h.k.State())
	}
	h.off = false
	h.pass(2 * time.Minute)
	h.want(Granted, PCP, "203.0.113.7:8085")
}

// A router that does not renew: the mapping counts to its end, and it is not asked more than now and then.
func TestRenewalRefused(t *testing.T) {
	for _, noPCP := range []bool{false, true} {
		h := newHome(t)
		h.r.NoPCP = noPCP
		h.pass(time.Minute)
		h.r.Refuse = 2
		h.words()
		h.pass(h.k.State().Until.Sub(h.now) - time.Second)
		if s := h.k.State(); s.Kind != Granted {
			t.Errorf("before its end: %+v", s)
		}
		if n := len(h.words()); n > 120 {
			t.Errorf("%d datagrams", n)
		}
		h.pass(time.Minute)
		if s := h.k.State(); s.Kind != Refused {
			t.Errorf("after its end: %+v", s)
		}
	}
}

// What a router promises is relied on for a day.
func TestLongPromise(t *testing.T) {
	h := newHome(t)
	h.change = func(b []byte) { b[4] = 255 }
	h.pass(0)
	if s := h.k.State(); s.Kind != Granted || s.Until.Sub(h.now) != 24*time.Hour {
		t.Errorf("%+v", s)
	}
}

// A router that lost the mapping and then falls silent: the mapping does not count for hours.
func TestLostAndSilent(t *testing.T) {
	h := newHome(t)
	h.pass(time.Minute)
	h.r.Restart(h.now)
	h.r.NoNATPMP = true
	h.deaf = func(r *Request) bool { return name(r) == "PCP map" }
	h.pass(3*time.Minute + lostGrace)
	if s := h.k.State(); s.Kind != Silent && s.Kind != Asking {
		t.Errorf("%+v", s)
	}
}

// A router that does not answer gets few datagrams, RFC 6887's and RFC 6886's times between them, and less and less of them.
func TestSilentRouter(t *testing.T) {
	h := newHome(t)
	h.off = true
	h.pass(30 * time.Second)
	if h.k.State().Kind != Silent {
		t.Errorf("%+v", h.k.State())
	}
	first := h.sent
	if got := strings.Join(h.words(), ", "); got != "PCP map, PCP map, PMP address, PMP address, PMP address, PMP address, PMP address, search, search" {
		t.Errorf("sent %s", got)
	}
	at := func(i int) time.Duration {
		text, _, _ := strings.Cut(first[i], " ")
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	for i, want := range []time.Duration{3 * time.Second, 6 * time.Second, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 2 * time.Second} {
		if got := at(i+1) - at(i); got < want*9/10-100*time.Millisecond || got > want*11/10+100*time.Millisecond {
			t.Errorf("%s after %s", got, first[i])
		}
	}
	h.pass(24 * time.Hour)
	if n := len(h.sent); n < 600 || n > 900 {
		t.Errorf("%d datagrams in a day", n)
	}
	h.off = false
	h.pass(maxRest * 11 / 10)
	h.want(Granted, PCP, "203.0.113.7:8085")
}

func TestRefused(t *testing.T) {
	for _, c := range []struct {
		name, protocol, reason string
		prepare                func(*home)
	}{
		{"by both", PCP, "not authorized", func(h *home) { h.r.Refuse = 2 }},
		{"by PCP alone", PCP, "code 13", func(h *home) { h.r.Refuse, h.r.NoNATPMP = 13, true }},
		{"by NAT-PMP alone", NATPMP, "not authorized", func(h *home) { h.r.Refuse, h.r.NoPCP = 2, true }},
		{"for a moment", PCP, "it grants port 8085 for 30s", func(h *home) { h.r.Longest, h.r.NoNATPMP = 30*time.Second, true }},
	} {
		h := newHome(t)
		c.prepare(h)
		h.pass(30 * time.Second)
		if s := h.k.State(); s.Kind != Refused || s.Protocol != c.protocol || s.Reason != c.reason {
			t.Errorf("%s: %+v", c.name, s)
		}
		h.pass(24 * time.Hour)
		if n := len(h.sent); n > 700 {
			t.Errorf("%s: %d datagrams in a day", c.name, n)
		}
	}
}

// A refusal of long ago is not what is told of a router that is silent now.
func TestRefusedThenSilent(t *testing.T) {
	h := newHome(t)
	h.r.Refuse = 2
	h.pass(30 * time.Second)
	h.off = true
	h.pass(2 * time.Hour)
	if s := h.k.State(); s.Kind != Silent {
		t.Errorf("%+v", s)
	}
}

// How long a refusal counts is the router's word, within bounds.
func TestRefusalHolds(t *testing.T) {
	for _, c := range []struct {
		seconds byte // times 65536
		quiet   time.Duration
		busy    time.Duration
	}{{0, 0, 2 * time.Minute}, {1, 26 * time.Minute, 34 * time.Minute}, {255, 26 * time.Minute, 34 * time.Minute}} {
		h := newHome(t)
		h.r.Refuse, h.r.NoNATPMP = 2, true
		h.change = func(b []byte) { b[5] = c.seconds }
		h.pass(30 * time.Second)
		h.words()
		h.pass(c.quiet)
		if len(h.sent) > 0 {
			t.Errorf("%d: asked again within %s", c.seconds, c.quiet)
		}
		h.pass(c.busy - c.quiet)
		if len(h.sent) == 0 {
			t.Errorf("%d: not asked again within %s", c.seconds, c.busy)
		}
	}
}

// Outer addresses that lead nowhere are not told to anybody, and what was mapped there is given back.
func TestUnusableOuterAddress(t *testing.T) {
	for _, outer := range []string{"100.64.3.4", "127.0.0.1", "169.254.1.1", "0.0.0.0", "224.0.0.5", "255.255.255.255", "240.0.0.1", "0.1.2.3", client.String()} {
		for _, noPCP := range []bool{false, true} {
			h := newHome(t)
			h.outer, h.r.NoPCP = netip.MustParseAddr(outer), noPCP
			h.pass(20 * time.Second)
			s := h.k.State()
			if s.Kind != Unusable || s.Outer.Addr() != h.outer {
				t.Errorf("%s: %+v", outer, s)
			}
			if len(h.open) != 0 {
				t.Errorf("%s: a port is open for nobody: %v", outer, h.sent)
			}
			h.outer = global
			h.pass(2 * time.Minute)
			h.want(Granted, h.k.State().Protocol, "203.0.113.7:8085")
		}
	}
	if usable(netip.MustParseAddr("2001:db8::1"), client) || usable(netip.Addr{}, client) {
		t.Error("an address of another family is usable")
	}
}

func TestWithdrawn(t *testing.T) {
	for _, noPCP := range []bool{false, true} {
		h := newHome(t)
		h.r.NoPCP = noPCP
		if h.k.Withdraw() != nil {
			t.Error("nothing is there to be withdrawn")
		}
		h.pass(time.Minute)
		h.r.Answer(h.now, netip.AddrPortFrom(client, 40000), h.k.Withdraw().Body)
		if len(h.open) != 0 {
			t.Errorf("no PCP: %v; the port is open still", noPCP)
		}
	}
}

// A daemon that crashed asks for its mapping anew, with the same nonce; another one's is not taken away by PCP.
func TestNonceOfBefore(t *testing.T) {
	h := newHome(t)
	h.pass(time.Minute)
	h.k = New(h.now, Config{Router: inside, Client: client, Port: meshPort, Nonce: Nonce{1, 2, 3}, Rand: rand.New(rand.NewPCG(5, 6))})
	h.pass(0)
	h.want(Granted, PCP, "203.0.113.7:8085")
	h.r.NoNATPMP = true
	h.k = New(h.now, Config{Router: inside, Client: client, Port: meshPort, Nonce: Nonce{9}, Rand: rand.New(rand.NewPCG(5, 6))})
	h.pass(30 * time.Second)
	if s := h.k.State(); s.Kind != Refused {
		t.Errorf("with another nonce: %+v", s)
	}
}

func TestUnreachable(t *testing.T) {
	h := newHome(t)
	h.off = true
	h.pass(0)
	h.exchange(h.k.Unreachable(h.now))
	h.exchange(h.k.Unreachable(h.now)) // it says so for each datagram
	h.pass(7 * time.Second)
	if got := strings.Join(h.words(), ", "); got != "PCP map, search, search" {
		t.Errorf("sent %s", got)
	}
	if s := h.k.State(); s.Kind != Silent || h.k.Next().Sub(h.now) < firstRest*9/10 {
		t.Errorf("%+v, next in %s", s, h.k.Next().Sub(h.now))
	}
	h.off = false
	h.pass(2 * time.Minute)
	h.want(Granted, PCP, "203.0.113.7:8085")
	h.off = true
	for h.k.open == nothing {
		h.pass(time.Second)
	}
	h.exchange(h.k.Unreachable(h.now))
	h.want(Granted, PCP, "203.0.113.7:8085")
}

// Answers count only while a question is open, and only if they repeat what was asked.
func TestH8_AnswersThatAreNotOurs(t *testing.T) {
	for what, change := range map[string]func([]byte){
		"another nonce":    func(b []byte) { b[24]++ },
		"another protocol": func(b []byte) { b[36] = 6 },
		"another port":     func(b []byte) { b[41]++ },
		"another opcode":   func(b []byte) { b[1]++ },
		"a request":        func(b []byte) { b[1] &^= 0x80 },
		"another version":  func(b []byte) { b[0]++ },
	} {
		h := newHome(t)
		h.r.NoNATPMP, h.change = true, change
		h.pass(30 * time.Second)
		if s := h.k.State(); s.Kind != Silent {
			t.Errorf("PCP, %s: %+v", what, s)
		}
	}
	for what, change := range map[string]func([]byte){
		"another port":    func(b []byte) { b[9]++ },
		"another opcode":  func(b []byte) { b[1]++ },
		"a request":       func(b []byte) { b[1] &^= 0x80 },
		"another version": func(b []byte) { b[0]++ },
	} {
		h := newHome(t)
		h.r.NoPCP = true
		h.change = func(b []byte) {
			if len(b) == pmpMapSize {
				change(b)
			}
		}
		h.pass(30 * time.Second)
		if s := h.k.State(); s.Kind != Silent {
			t.Errorf("NAT-PMP, %s: %+v", what, s)
		}
	}
	h := newHome(t)
	answer := h.r.Answer(h.now, netip.AddrPortFrom(client, 40000), h.k.words(pcpMap, 7200).Body)
	if h.k.Received(h.now, answer); h.k.State().Kind != Asking {
		t.Error("an answer counts that nobody has asked for")
	}
}

// A router that says whatever it likes does not make us talk, nor tell peers of new addresses, more than now and then.
func TestH8_HostileRouterIsToldLittle(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	h := newHome(t)
	h.change = func(b []byte) {
		if b[0] == 2 {
			b[8], b[9] = byte(rng.Uint32()), byte(rng.Uint32()) // the clock
			if len(b) == 60 {
				b[4], b[5], b[6], b[7] = 0, 0, 0, 61 // the shortest that counts
				b[42], b[43] = byte(rng.Uint32()), byte(rng.Uint32())
			}
		}
	}
	h.pass(time.Hour)
	addrs := map[netip.AddrPort]bool{}
	for s := range h.states {
		addrs[s.Outer] = true
	}
	if len(h.sent) > 250 || len(addrs) > 150 {
		t.Errorf("%d datagrams and %d addresses in an hour", len(h.sent), len(addrs))
	}
}

func TestEpoch(t *testing.T) {
	for _, c := range []struct {
		ours      time.Duration
		its       int64
		restarted bool
	}{
		{time.Minute, 60, false},
		{time.Minute, 58, false},
		{time.Minute, 65, false},
		{time.Hour, 3400, false},
		{time.Hour, 3300, true},
		{time.Hour, 3900, true},
		{time.Minute, 600, true}, // this host was suspended
		{time.Second, -1, false},
		{time.Second, -2, true},
		{time.Minute, -1000, true},
	} {
		var e epoch
		if e.take(begin, 1000) {
			t.Fatal("the first word of a router says that it began anew")
		}
		if got := e.take(begin.Add(c.ours), uint32(1000+c.its)); got != c.restarted {
			t.Errorf("%s here and %d s there: restarted %v", c.ours, c.its, got)
		}
	}
}

// FuzzKeeper hands in anything at any time: a mapping that counts is one that others could use, and at most one datagram leaves for each that came.
func FuzzKeeper(f *testing.F) {
	h := newHome(&testing.T{})
	from := netip.AddrPortFrom(client, 40000)
	for _, q := range []question{pcpMap, pcpClock, pmpAddress, pmpMap} {
		f.Add(uint8(q), h.r.Answer(begin, from, h.k.words(q, 7200).Body))
	}
	h.r.UPnP = true
	f.Add(uint8(igdSearch), h.r.Found(searchRequest(1).Body))
	h.k.igd = igd{described: place{5000, "/rootDesc.xml"}, services: []service{{serviceKinds()[1], place{5000, "/ctl/IPConn"}}}}
	for _, q := range []question{igdDescription, igdAddress, igdMap} {
		f.Add(uint8(q), h.fetch(h.k.words(q, 7200), false))
	}
	f.Add(uint8(pcpMap), []byte{0, 0x81, 0, 1, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, q uint8, b []byte) {
		k := New(begin, Config{Router: inside, Client: client, Port: meshPort, Nonce: Nonce{1, 2, 3}, Rand: rand.New(rand.NewPCG(1, 2))})
		k.addr, k.igd = global, h.k.igd
		k.ask(begin, question(q)%(igdMap+1))
		before := slices.Clone(b)
		k.Received(begin.Add(time.Second), b)
		k.Found(begin.Add(time.Second), b)
		k.Fetched(begin.Add(time.Second), k.last, b)
		if !slices.Equal(before, b) {
			t.Error("what was received was changed")
		}
		s := k.State()
		if s.Kind == Granted && (!usable(s.Outer.Addr(), client) || s.Outer.Port() == 0 || s.Until.Sub(begin) > maxLifetime+time.Second || s.Until.Sub(begin) < minLifetime) {
			t.Errorf("granted: %+v", s)
		}
		if k.Next().Before(begin) {
			t.Errorf("due at %s", k.Next())
		}
	})
}
