package sim

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/micro/micro-net/sim/netsim"
)

// envelopeOf is one that a relay forwards.
func envelopeOf(far byte, inner []byte) []byte {
	b := append([]byte{firstCarried, legForward, far}, make([]byte, carriedAt-3)...)
	return append(b, inner...)
}

func handOf(do misdeed) *carrier {
	return &carrier{rng: rand.New(rand.NewPCG(1, 2)), do: do, kept: map[kind][][]byte{}}
}

var someone = netip.MustParseAddrPort("10.0.0.1:8085")

// What a relay sends for itself, and what it asks other relays for, is none of its hand's business.
func TestCarrierTouchesOnlyWhatItForwards(t *testing.T) {
	c := handOf(dropping)
	asked := envelopeOf(1, []byte("inner"))
	asked[legAt] = 1
	for _, b := range [][]byte{{0x41, 1, 2}, append([]byte{0x80}, make([]byte, 60)...), {firstCarried}, asked, {}} {
		if out := c.Take(someone, b); len(out) != 1 || !bytes.Equal(out[0].Data, b) || out[0].After != 0 {
			t.Errorf("of %x it makes %v", b, out)
		}
	}
	if out := c.Take(someone, envelopeOf(1, []byte("inner"))); len(out) != 0 {
		t.Errorf("what it forwards leaves: %v", out)
	}
}

// What a relay makes of a thousand datagrams, and that the envelope stays right.
func TestMisdeedsOfRelays(t *testing.T) {
	for name, c := range map[string]struct {
		do                   misdeed
		size                 int
		leave, late, changed int  // of a thousand, about
		older                bool // what is changed is one that came before
	}{
		"drops":               {dropping, 100, 0, 0, 0, false},
		"thins":               {thinning, 100, 500, 0, 0, false},
		"sieves, small":       {sieving, smallCarried, 1000, 0, 0, false},
		"sieves, large":       {sieving, smallCarried + 1, 0, 0, 0, false},
		"delays":              {delaying, 100, 1000, 1000, 0, false},
		"alters":              {altering, 100, 1000, 0, 500, false},
		"alters, a byte":      {altering, 1, 1000, 0, 0, false},
		"repeats":             {repeating, 100, 1000, 0, 250, true},
		"repeats, all differ": {differing, 100, 1000, 0, 0, true},
	} {
		hand := handOf(c.do)
		leave, late, changed := 0, 0, 0
		for n := range 1000 {
			b := envelopeOf(1, numbered(n, c.size))
			was := bytes.Clone(b)
			for _, o := range hand.Take(someone, b) {
				leave++
				if o.After == carriedLate {
					late++
				}
				if len(o.Data) != len(b) || !bytes.Equal(o.Data[:carriedAt+1], b[:carriedAt+1]) {
					t.Fatalf("%s: the envelope is %x", name, o.Data)
				}
				if bytes.Equal(o.Data, was) {
					continue
				}
				changed++
				if k := numberOf(o.Data); c.older && (k >= n || !bytes.Equal(o.Data[carriedAt:], numbered(k, c.size))) {
					t.Errorf("%s: in the place of number %d comes %x", name, n, o.Data)
				}
			}
			if !bytes.Equal(b, was) {
				t.Fatalf("%s: it changes what is not its own", name)
			}
		}
		for what, x := range map[string][2]int{"leave": {leave, c.leave}, "are late": {late, c.late}, "are changed": {changed, c.changed}} {
			if got, want := x[0], x[1]; got < want*8/10 || got > want*12/10 {
				t.Errorf("%s: %d of a thousand %s, want about %d", name, got, what, want)
			}
		}
	}
}

// differing repeats where no two datagrams can take each other's place.
func differing(c *carrier, to netip.AddrPort, b []byte) []netsim.Outgoing {
	return repeating(c, netip.AddrPortFrom(to.Addr(), uint16(c.done)), b)
}

// numbered is a datagram of QUIC's kind that is like no other.
func numbered(n, size int) []byte {
	b := bytes.Repeat([]byte{0x41}, size)
	if size >= 9 {
		binary.BigEndian.PutUint64(b[1:], uint64(n))
	}
	return b
}

func numberOf(envelope []byte) int { return int(binary.BigEndian.Uint64(envelope[carriedAt+1:])) }

// What a relay alters or repeats reaches the two whose packets it carries, and they refuse it: or the scenario shows nothing.
func TestHarmOfRelaysArrives(t *testing.T) {
	text := quiet + `groups: [{name: a, nodes: 1}, {name: b, nodes: 1}, {name: c, nodes: 1}]
tcp: off
duration: 60s
services: [{name: feed, on: [b1], protocol: tcp}]
traffic: [{from: a, to: feed, kind: stream, rate: 1/s, size: 16KB}]
timeline:
  - {at: 10s, apart: {a: a, b: b}}
  - {at: 30s, for: 20s, insider: {node: c1, forge: FORGE}}
`
	for forge, drop := range map[string]string{"relay_alters": "forged", "relay_repeats": "replay"} {
		drops := func(m *mesh) (n uint64) {
			for _, x := range m.machines[:2] {
				p, _ := (&insider{machine: x}).parts()
				n += p.under.Counters()["dropped_"+drop]
			}
			return n
		}
		before := uint64(0)
		watch(t, string(bytes.ReplaceAll([]byte(text), []byte("FORGE"), []byte(forge))), map[time.Duration]func(*mesh){
			29 * time.Second: func(m *mesh) { before = drops(m) },
			50 * time.Second: func(m *mesh) {
				if n := drops(m); n == before {
					t.Errorf("%s: nothing was refused as %s", forge, drop)
				}
			},
		})
	}
}

// A stream that brings back other numbers is told from one that ends.
func TestStreamsNoticeOtherBytes(t *testing.T) {
	for name, c := range map[string]struct {
		change func(b []byte)
		other  bool
	}{
		"the same":  {func([]byte) {}, false},
		"another":   {func(b []byte) { b[wordSize-1] ^= 1 }, true},
		"one twice": {func(b []byte) { copy(b[wordSize:], b[:wordSize]) }, true},
	} {
		ours, theirs := net.Pipe()
		go func() {
			b := make([]byte, len("stream n1\n")+2*wordSize)
			if _, err := io.ReadFull(theirs, b); err == nil {
				c.change(b[len("stream n1\n"):])
				_, _ = theirs.Write(b[len("stream n1\n"):])
			}
			_ = theirs.Close()
		}()
		err := talkStream(ours, "n1", 2*wordSize, func() {})
		if errors.Is(err, errOtherBytes) != c.other || (!c.other && err != nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Other bytes break a run, and that a stream ends does not.
func TestOtherBytesBreakARun(t *testing.T) {
	watch(t, quiet+"nodes: 1\nduration: 20s\n", map[time.Duration]func(*mesh){
		15 * time.Second: func(m *mesh) {
			c := &caller{traffic: m.traffic, machine: m.machines[0]}
			c.judge(io.EOF)
			c.judge(fmt.Errorf("number 1: %w", errOtherBytes))
		},
		16 * time.Second: func(m *mesh) {
			if len(m.failures) != 1 || m.failures[0].invariant != "streams" {
				t.Errorf("what is told: %v", m.failures)
			}
			m.failures = nil
		},
	})
}
