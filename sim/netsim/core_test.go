package netsim

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"
)

func TestHeapGivesEveryEventItsOwnInstant(t *testing.T) {
	h := eventHeap{taken: map[time.Duration]struct{}{}}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		h.push(time.Duration(rng.IntN(500)), func() {})
	}
	var got []time.Duration
	for {
		at, some := h.next()
		if !some {
			break
		}
		if e := h.pop(); e.at != at {
			t.Fatalf("pop = %v after next = %v", e.at, at)
		}
		got = append(got, at)
	}
	if len(got) != 1000 || !slices.IsSorted(got) || len(slices.Compact(got)) != 1000 || len(h.taken) != 0 {
		t.Errorf("1000 events came as %d distinct instants, sorted %v, %d left taken",
			len(slices.Compact(got)), slices.IsSorted(got), len(h.taken))
	}
}

func TestHeapSaysWhatIsNext(t *testing.T) {
	h := eventHeap{taken: map[time.Duration]struct{}{}}
	for _, c := range []struct {
		at, want time.Duration
		first    bool
	}{{10, 10, true}, {20, 20, false}, {10, 11, false}, {5, 5, true}, {10, 12, false}} {
		if at, first := h.push(c.at, nil); at != c.want || first != c.first {
			t.Errorf("push(%d) = %d, %v, want %d, %v", c.at, at, first, c.want, c.first)
		}
	}
}

func TestFateFollowsTheLink(t *testing.T) {
	const packets = 100_000
	l := Link{Latency: testLatency, Jitter: time.Millisecond, Loss: 0.05, Duplicate: 0.02, Reorder: 0.1}
	var lost, twice, late int
	for i := range uint64(packets) {
		f := l.fate(nth(7, i), 100)
		if f.why != "" {
			lost++
			continue
		}
		if f.duplicate {
			twice++
		}
		if f.late {
			late++
			continue
		}
		if f.delay < l.Latency || f.delay >= l.Latency+l.Jitter+noiseMax {
			t.Fatalf("delay %v is outside of latency, jitter and noise", f.delay)
		}
	}
	near(t, "loss", float64(lost)/packets, 0.05)
	near(t, "duplicates", float64(twice)/packets, 0.02*0.95)
	near(t, "reordered", float64(late)/packets, 0.1*0.95)
}

// near allows a tenth: more than five standard deviations of every share tested here.
func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if got < 0.9*want || got > 1.1*want {
		t.Errorf("%s: %.4f, want about %.4f", what, got, want)
	}
}

func TestFateReasons(t *testing.T) {
	for _, c := range []struct {
		name string
		link Link
		size int
		want Why
	}{
		{"perfect", Link{}, 9000, ""},
		{"blocked", Link{Blocked: true}, 100, WhyBlocked},
		{"fits", Link{MTU: 1280}, 1280, ""},
		{"too large", Link{MTU: 1280}, 1281, WhyMTU},
		{"all lost", Link{Loss: 1}, 100, WhyLoss},
	} {
		if f := c.link.fate(nth(1, 1), c.size); f.why != c.want {
			t.Errorf("%s: why = %q, want %q", c.name, f.why, c.want)
		}
	}
}

func TestFateOfLossDoesNotChangeDelays(t *testing.T) {
	calm, rough := Link{Jitter: time.Second}, Link{Jitter: time.Second, Loss: 0.5}
	for i := range uint64(100) {
		a, b := calm.fate(nth(3, i), 1), rough.fate(nth(3, i), 1)
		if b.why == "" && a.delay != b.delay {
			t.Fatalf("packet %d: delay %v without loss, %v with", i, a.delay, b.delay)
		}
	}
}

func TestHashTellsWordsApart(t *testing.T) {
	seen := map[uint64]string{}
	for name, h := range map[string]uint64{
		"ab,c": hashOf(1, "ab", "c"), "a,bc": hashOf(1, "a", "bc"), "abc": hashOf(1, "abc"),
		"abc,": hashOf(1, "abc", ""), "seed 2": hashOf(2, "abc"),
	} {
		if other, ok := seen[h]; ok {
			t.Errorf("%s and %s have one hash", name, other)
		}
		seen[h] = name
	}
}

func TestRetryDelay(t *testing.T) {
	for _, c := range []struct {
		n       int
		latency time.Duration
		want    time.Duration
	}{
		{1, 0, 10 * time.Millisecond},
		{1, 20 * time.Millisecond, 80 * time.Millisecond},
		{1, time.Second, 200 * time.Millisecond},
		{2, time.Second, 200 * time.Millisecond},
		{3, 0, 400 * time.Millisecond},
		{11, 0, 102400 * time.Millisecond},
		{12, 0, 120 * time.Second},
		{60, 0, 120 * time.Second},
	} {
		if got := retryDelay(c.n, c.latency); got != c.want {
			t.Errorf("retryDelay(%d, %v) = %v, want %v", c.n, c.latency, got, c.want)
		}
	}
}

func TestBindingsConflictLikeLinux(t *testing.T) {
	for _, c := range []struct {
		have, want string
		conflict   bool
	}{
		{"0.0.0.0:80", "127.80.1.1:80", true},
		{"127.80.1.1:80", "0.0.0.0:80", true},
		{"127.80.1.1:80", "127.80.1.2:80", false},
		{"127.80.1.1:80", "127.80.1.1:80", true},
		{"127.80.1.1:80", "127.80.1.1:81", false},
		{"[::]:80", "127.0.0.1:80", true},
		{"[::]:80", "0.0.0.0:80", true},
		{"[::]:80", "[::1]:80", true},
		{"0.0.0.0:80", "[::1]:80", false},
		{"[::1]:80", "0.0.0.0:80", false},
		{"0.0.0.0:80", "[::]:80", true},
	} {
		var b bindings[int]
		b.add(netip.MustParseAddrPort(c.have), 1)
		if got := b.conflicts(netip.MustParseAddrPort(c.want)); got != c.conflict {
			t.Errorf("%s after %s: conflict = %v, want %v", c.want, c.have, got, c.conflict)
		}
	}
}

func TestBindingsLookup(t *testing.T) {
	var b bindings[int]
	b.add(netip.MustParseAddrPort("127.80.1.1:80"), 1)
	b.add(netip.MustParseAddrPort("127.80.1.2:80"), 2)
	b.add(netip.MustParseAddrPort("0.0.0.0:81"), 3)
	b.add(netip.MustParseAddrPort("[::]:82"), 4)
	for _, c := range []struct {
		dst  string
		want int
	}{
		{"127.80.1.1:80", 1},
		{"127.80.1.2:80", 2},
		{"127.80.1.3:80", 0},
		{"127.80.1.1:81", 3},
		{"[::1]:81", 0},
		{"10.0.0.1:82", 4},
		{"[::1]:82", 4},
	} {
		if got, _ := b.lookup(netip.MustParseAddrPort(c.dst)); got != c.want {
			t.Errorf("lookup(%s) = %d, want %d", c.dst, got, c.want)
		}
	}
	b.remove(netip.MustParseAddrPort("127.80.1.1:80"))
	if _, ok := b.lookup(netip.MustParseAddrPort("127.80.1.1:80")); ok {
		t.Error("a removed binding is still found")
	}
	if got, _ := b.lookup(netip.MustParseAddrPort("127.80.1.2:80")); got != 2 {
		t.Error("removing one binding took its neighbour away")
	}
}

// TestFatesStay keeps seeds meaning what they meant: new faults draw numbers of their own.
func TestFatesStay(t *testing.T) {
	l := Link{Latency: testLatency, Jitter: time.Millisecond, Loss: 0.05, Duplicate: 0.1, Reorder: 0.1, MTU: 1280}
	sum := uint64(0)
	for i := range uint64(1000) {
		f := l.fate(nth(7, i), 1270+int(i%20))
		sum = mix(sum + uint64(f.delay) + uint64(f.second)<<1 + uint64(len(f.why)))
	}
	if want := uint64(0x484f687fec737593); sum != want {
		t.Errorf("the fates of seed 7 add up to %#x, want %#x", sum, want)
	}
}
