package netsim

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// many is a world of n hosts, h0 to h(n-1), that nobody runs.
func many(n int) (*World, []*Host) {
	w := New(1, Options{})
	hosts := make([]*Host, n)
	for i := range hosts {
		addr := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		hosts[i] = w.Host(fmt.Sprint("h", i), netip.PrefixFrom(addr, 8))
	}
	return w, hosts
}

// matrix says which host reaches which, one row per sender.
func matrix(w *World, hosts []*Host) string {
	var rows []string
	for _, from := range hosts {
		row := ""
		for _, to := range hosts {
			if w.Passes(from, to) {
				row += "x"
			} else {
				row += "."
			}
		}
		rows = append(rows, row)
	}
	return strings.Join(rows, " ")
}

func TestShapesOfPartitions(t *testing.T) {
	for _, c := range []struct {
		name string
		cut  func(w *World, h []*Host) func()
		want string
	}{
		{"halves", func(w *World, h []*Host) func() { return w.Partition(h[:2], h[2:]) }, "xx... xx... ..xxx ..xxx ..xxx"},
		{"three ways", func(w *World, h []*Host) func() { return w.Partition(h[:1], h[1:3]) }, "x.... .xx.. .xx.. ...xx ...xx"},
		{"isolated", func(w *World, h []*Host) func() { return w.Isolate(h[0], h[1]) }, "x.... .x... ..xxx ..xxx ..xxx"},
		{
			"apart with a common third group", func(w *World, h []*Host) func() { return w.Apart(h[:2], h[3:]) },
			"xxx.. xxx.. xxxxx ..xxx ..xxx",
		},
		{"apart, one in both", func(w *World, h []*Host) func() { return w.Apart(h[:3], h[2:]) }, "xxx.. xxx.. xxxxx ..xxx ..xxx"},
		{"one way", func(w *World, h []*Host) func() { return w.Cut(h[0], h[1]) }, "x.xxx xxxxx xxxxx xxxxx xxxxx"},
		{"one way of many", func(w *World, h []*Host) func() { return w.CutAll(h[:3], h[2:]) }, "xx... xx... xxx.. xxxxx xxxxx"},
		{
			"bridge", func(w *World, h []*Host) func() { return w.Bridge(h[2:3], h[:2], h[3:4]) },
			"xxx.. xxx.. xxxxx ..xx. ..x.x",
		},
		{"ring", func(w *World, h []*Host) func() { return w.Ring(h...) }, "xx..x xxx.. .xxx. ..xxx x..xx"},
		{"ring of some", func(w *World, h []*Host) func() { return w.Ring(h[:4]...) }, "xx.xx xxx.x .xxxx x.xxx xxxxx"},
		{"star", func(w *World, h []*Host) func() { return w.Star(h[1], h[2:]...) }, "xxxxx xxxxx xxx.. xx.x. xx..x"},
		{"star with its hub named twice", func(w *World, h []*Host) func() { return w.Star(h[0], h...) }, "xxxxx xx... x.x.. x..x. x...x"},
		{"nothing", func(w *World, _ []*Host) func() { w.Ring(); return w.Partition() }, "xxxxx xxxxx xxxxx xxxxx xxxxx"},
	} {
		w, h := many(5)
		heal := c.cut(w, h)
		if got := matrix(w, h); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		heal()
		if got := matrix(w, h); strings.Contains(got, ".") {
			t.Errorf("%s, healed: %s", c.name, got)
		}
	}
}

func TestFaultsOverlapAndHealAlone(t *testing.T) {
	w, h := many(3)
	healRing := w.Isolate(h[0])
	healOne, healTwo := w.Cut(h[1], h[2]), w.Cut(h[1], h[2])
	old := w.Partition(h[:1], h[1:])
	w.Partition(h[2:]) // replaces it
	old()
	check := func(step, want string) {
		t.Helper()
		if got := matrix(w, h); got != want {
			t.Errorf("%s: %s, want %s", step, got, want)
		}
	}
	check("all", "x.. .x. ..x")
	healRing()
	check("without the isolation", "xx. xx. ..x")
	healOne()
	healOne()
	w.Partition()
	check("one of two cuts healed, twice", "xxx xx. xxx")
	healTwo()
	check("both", "xxx xxx xxx")
	late := w.Cut(h[0], h[1])
	w.Heal()
	w.Cut(h[0], h[1])
	late()
	check("a heal that comes late", "x.x xxx xxx")
	w.Heal()
	check("Heal", "xxx xxx xxx")
}

// TestPacketsFollowPartitions sees to it that what paths remember is asked anew after each change.
func TestPacketsFollowPartitions(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		a, b := listenPacket(t, w.a, wild(1)), listenPacket(t, w.b, wild(1))
		passes := func() bool {
			send(t, a, "x", at(addrB, 1))
			text, _ := hear(t, b, time.Second)
			return text == "x"
		}
		for i, want := range []bool{true, false, false, true} {
			var heal func()
			switch i {
			case 1:
				heal = w.Apart([]*Host{w.a}, []*Host{w.b})
				defer heal()
			case 2:
				w.Heal()
				w.SetFilter(func(from, to *Host) bool { return from != w.a })
			case 3:
				w.SetFilter(nil)
			}
			if got := passes(); got != want {
				t.Errorf("step %d: passes = %v, want %v", i, got, want)
			}
		}
		if n := w.Stats().Blocked; n != 2 {
			t.Errorf("Blocked = %d, want 2", n)
		}
	})
}

// BenchmarkPartitioned sends datagrams through many overlapping partitions: as fast as through none.
func BenchmarkPartitioned(b *testing.B) {
	w, h := many(300)
	for range 50 {
		w.Apart(h[2:150], h[150:])
	}
	src, err := h[0].ListenPacket(b.Context(), wild(1))
	if err != nil {
		b.Fatal(err)
	}
	c := src.(*udpConn)
	b.ReportAllocs()
	for b.Loop() {
		if err := c.send([]byte("x"), at(h[1].Addr(), 1)); err != nil {
			b.Fatal(err)
		}
		for wait, some := w.step(); some && wait > 0; wait, some = w.step() {
		}
	}
}
