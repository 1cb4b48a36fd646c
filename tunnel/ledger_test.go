package tunnel

import (
	"testing"
	"time"
)

// ledgerWorld is a way at a made-up time: what leaves over it, and what its other end receives.
type ledgerWorld struct {
	ledger
	now  time.Time
	took uint64
}

func newLedgerWorld() *ledgerWorld {
	return &ledgerWorld{ledger: ledger{left: new(tally)}, now: time.Unix(1000, 0)}
}

// after lets QUIC send n packets of a size, of which some arrive, and then has a probe answered.
func (w *ledgerWorld) after(d time.Duration, n, arrive, size int, tested time.Time) {
	w.now = w.now.Add(d)
	w.left.add(n, size, 1452)
	w.took += uint64(arrive * size)
	r := receipt{at: w.now, small: w.left.small.Load(), large: w.left.large.Load(), took: w.took}
	w.enter(w.now, r, true)
	w.weigh(w.now, tested, 20*time.Millisecond)
}

func (w *ledgerWorld) state() string {
	switch {
	case w.grey:
		return "grey"
	case w.suspected:
		return "suspected"
	}
	return "carries"
}

func TestLedger(t *testing.T) {
	type step struct {
		after        time.Duration
		sent, arrive int
		want         string
	}
	const ms = time.Millisecond
	for name, steps := range map[string][]step{
		"all arrives":     {{0, 9, 9, "carries"}, {300 * ms, 50, 50, "carries"}, {time.Second, 50, 50, "carries"}},
		"nothing is sent": {{0, 0, 0, "carries"}, {time.Second, 0, 0, "carries"}, {time.Hour, 0, 0, "carries"}},
		"nothing arrives": {{0, 9, 9, "carries"}, {300 * ms, 6, 0, "suspected"}, {300 * ms, 6, 0, "suspected"}, {400 * ms, 4, 0, "grey"}},
		"too soon":        {{0, 9, 9, "carries"}, {300 * ms, 500, 0, "suspected"}, {699 * ms, 500, 0, "suspected"}, {ms, 1, 0, "grey"}},
		"too few":         {{0, 9, 9, "carries"}, {time.Second, 15, 0, "suspected"}, {time.Minute, 0, 0, "suspected"}},
		"a burst":         {{0, 9, 9, "carries"}, {time.Minute, 500, 0, "suspected"}, {699 * ms, 1, 0, "suspected"}, {time.Hour, 0, 0, "suspected"}, {ms, 1, 1, "carries"}},
		"a last packet":   {{0, 9, 9, "carries"}, {time.Second, 1, 0, "carries"}, {time.Minute, 0, 0, "carries"}},
		"one arrives":     {{0, 9, 9, "carries"}, {time.Second, 15, 0, "suspected"}, {time.Second, 20, 1, "carries"}, {time.Second, 15, 0, "suspected"}},
		"before the first reply nothing is known": {{0, 100, 0, "carries"}, {time.Second, 1, 0, "carries"}},
		"grey, and something comes":               {{0, 9, 9, "carries"}, {time.Second, 8, 0, "suspected"}, {time.Second, 8, 0, "grey"}, {time.Second, 9, 1, "carries"}},
	} {
		w := newLedgerWorld()
		for i, s := range steps {
			if w.after(s.after, s.sent, s.arrive, 100, time.Time{}); w.state() != s.want {
				t.Errorf("%s: step %d: %s, want %s", name, i, w.state(), s.want)
			}
		}
	}
}

// Over a far way more time must pass.
func TestLedgerFar(t *testing.T) {
	w := newLedgerWorld()
	reply := func(at time.Duration) string {
		w.left.add(greyAfter, 100, 0)
		w.enter(w.now.Add(at), receipt{at: w.now.Add(at), small: w.left.small.Load()}, true)
		w.weigh(w.now.Add(at), time.Time{}, 400*time.Millisecond)
		return w.state()
	}
	for _, s := range []struct {
		at   time.Duration
		want string
	}{{0, "carries"}, {100 * time.Millisecond, "suspected"}, {1299 * time.Millisecond, "suspected"}, {1300 * time.Millisecond, "grey"}} {
		if got := reply(s.at); got != s.want {
			t.Errorf("after %v: %s, want %s", s.at, got, s.want)
		}
	}
}

// Large packets may be lost for their size: they count once a test of it was answered.
func TestLedgerLargePackets(t *testing.T) {
	w := newLedgerWorld()
	w.after(0, 9, 9, 1400, time.Time{})
	if w.after(time.Second, 100, 0, 1400, time.Time{}); !w.carries() {
		t.Error("their size was not tested")
	}
	if w.after(time.Second, 100, 0, 1400, w.first.Add(-1)); !w.carries() {
		t.Error("it was tested before they were lost")
	}
	if w.after(time.Second, 1, 0, 1400, w.first); !w.grey {
		t.Error("packets of a size that passes are lost, and the way is", w.state())
	}
	w = newLedgerWorld()
	w.after(0, 9, 9, 1400, time.Time{})
	if w.after(time.Second, 100, 0, 1453, w.now.Add(1)); !w.carries() {
		t.Error("nobody knows whether so large ones pass")
	}
}

// A reply that is overtaken by a later one says nothing new.
func TestLedgerOvertaken(t *testing.T) {
	w := newLedgerWorld()
	early := receipt{at: w.now}
	w.after(time.Second, 20, 20, 100, time.Time{})
	w.enter(w.now, early, true)
	if w.base.took != 2000 {
		t.Error("an old reply counts")
	}
	w.after(time.Second, 20, 0, 100, time.Time{})
	if w.enter(w.now, receipt{at: w.last.at.Add(-time.Millisecond), took: 2000}, true); w.last.small != 40 {
		t.Error("an old reply counts")
	}
}

// The other end has forgotten the way, or has started anew: what it counts now says nothing of before.
func TestLedgerOfAnotherCount(t *testing.T) {
	w := newLedgerWorld()
	w.after(0, 9, 9, 100, time.Time{})
	w.took = 1 << 32
	if w.after(time.Second, 100, 0, 100, time.Time{}); !w.carries() {
		t.Error("another count began, and the way is", w.state())
	}
	if w.fail(time.Second); !w.grey {
		t.Error("nothing arrives, and the way is", w.state())
	}
	w.now = w.rest
	w.took = 2 << 32
	w.after(0, 0, 0, 100, time.Time{})
	w.took = 3 << 32
	if w.after(time.Second, 0, 0, 100, time.Time{}); !w.grey {
		t.Error("another count began, and that freed the way")
	}
}

// fail lets enough get lost, for long enough.
func (w *ledgerWorld) fail(after time.Duration) {
	w.after(after, greyAfter, 0, 100, time.Time{})
	w.after(greyLeast, 1, 0, 100, time.Time{})
}

// trial lets a grey way rest and then has copies sent over it, of which some arrive.
func (w *ledgerWorld) trial(arrive int) {
	w.now = later(w.now, w.rest)
	w.enter(w.now, receipt{at: w.now, small: w.left.small.Load(), took: w.took}, false)
	w.left.add(trialPackets, 100, 0)
	w.took += uint64(arrive)
	w.now = w.now.Add(100 * time.Millisecond)
	w.enter(w.now, receipt{at: w.now, small: w.left.small.Load(), took: w.took}, false)
	w.weigh(w.now, time.Time{}, 0)
}

func TestGreyWayRests(t *testing.T) {
	w := newLedgerWorld()
	w.after(0, 9, 9, 100, time.Time{})
	w.fail(time.Second)
	for i, want := range []time.Duration{15, 30, 60, 120, 240, 240} {
		if got := w.rest.Sub(w.now); !w.grey || got != want*time.Second {
			t.Fatalf("%d: %s, rests for %v, want %d s", i, w.state(), got, want)
		}
		w.trial(0)
	}
	w.trial(1)
	if !w.carries() {
		t.Fatal("a copy has arrived and the way is", w.state())
	}
	w.after(0, 9, 9, 100, time.Time{})
	if w.fail(greyMost - time.Second); w.pause != greyMost {
		t.Errorf("grey again it rests for %v", w.pause)
	}
	w.trial(1)
	w.after(0, 9, 9, 100, time.Time{})
	if w.fail(greyMost); w.pause != greyRest {
		t.Errorf("long after it was grey it rests for %v", w.pause)
	}
}

// What comes over a way that rests was under way before: copies alone show that it carries.
func TestStragglersFreeNoGreyWay(t *testing.T) {
	w := newLedgerWorld()
	w.after(0, 9, 9, 100, time.Time{})
	w.fail(time.Second)
	w.now = w.now.Add(time.Second)
	w.enter(w.now, receipt{at: w.now, small: w.left.small.Load(), took: w.took + 1}, false)
	if !w.grey {
		t.Error("it is not grey any more")
	}
}
