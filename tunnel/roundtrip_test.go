package tunnel

import (
	"testing"
	"time"
)

func TestRoundTripSamples(t *testing.T) {
	const us, ms = time.Microsecond, time.Millisecond
	for _, c := range []struct {
		name    string
		samples []time.Duration
		want    time.Duration
		again   bool // after the last one
	}{
		{"the first", []time.Duration{80 * ms}, 80 * ms, false},
		{"noise is smoothed", []time.Duration{80 * ms, 160 * ms}, 90 * ms, false},
		{"noise on a short way", []time.Duration{800 * us, 8800 * us}, 1800 * us, false},
		{"one far above", []time.Duration{300 * us, 10_000 * ms}, 300 * us, true},
		{"and the next is as before", []time.Duration{300 * us, 10_000 * ms, 300 * us}, 300 * us, false},
		{"two far above that do not follow each other", []time.Duration{300 * us, 900 * ms, 300 * us, 900 * ms}, 300 * us, true},
		{"two far above: the way is longer", []time.Duration{300 * us, 900 * ms, 600 * ms}, 600 * ms, false},
		{"far below", []time.Duration{900 * ms, 1 * ms}, 1 * ms, false},
		{"a little below", []time.Duration{20 * ms, 12 * ms}, 19 * ms, false},
		{"a first one that was held up", []time.Duration{4000 * ms}, 4000 * ms, true},
	} {
		var r roundTrip
		again := false
		for _, s := range c.samples {
			again = r.take(s)
		}
		if r.value != c.want || again != c.again {
			t.Errorf("%s: %v, again %v; want %v, %v", c.name, r.value, again, c.want, c.again)
		}
	}
	var r roundTrip
	r.guess(3 * time.Second)
	if r.value != 3*time.Second {
		t.Errorf("a guess where nothing is known is %v", r.value)
	}
	r.guess(5 * time.Second)
	if r.value != 3*time.Second {
		t.Errorf("a guess has replaced %v by %v", 3*time.Second, r.value)
	}
	if r.take(2 * ms); r.value != 2*ms {
		t.Errorf("the first clean sample makes it %v", r.value)
	}
}

// Whoever is stopped or cut off, for however long: what is measured across that does not enter.
func TestRoundTripAfterAnOutage(t *testing.T) {
	const real = 300 * time.Microsecond
	cut := func(w *pathWorld, d time.Duration) {
		delete(w.rtt, ap(1))
		w.run(d, 100*time.Millisecond)
		w.rtt[ap(1)] = real
	}
	for _, c := range []struct {
		name   string
		outage func(w *pathWorld, d time.Duration)
	}{
		{"the peer was stopped", func(w *pathWorld, d time.Duration) { w.stop(d); w.run(d, 100*time.Millisecond) }},
		{"the peer was stopped and nobody sent", func(w *pathWorld, d time.Duration) { w.stop(d); w.run(d, 0) }},
		{"we were stopped", (*pathWorld).oversleep},
		{"we were stopped, and the timer comes before the answers", func(w *pathWorld, d time.Duration) {
			w.oversleep(d)
			w.probe(w.s.due(w.now, nil))
		}},
		{"the link was cut", cut},
		{"the link was cut, then we were stopped", func(w *pathWorld, d time.Duration) { cut(w, d); w.oversleep(d) }},
	} {
		for _, d := range []time.Duration{50, 300, 450, 600, 1400, 2100, 5000, 10_000, 45_000, 600_000} {
			d *= time.Millisecond
			// The outage begins at any moment between two probes.
			for phase := range 8 {
				w := newPathWorld(t, ap(1))
				w.rtt[ap(1)] = real
				w.run(20*time.Second+time.Duration(phase)*697*time.Millisecond, 100*time.Millisecond)
				// A probe is under way.
				w.s.best.hurried = true
				w.probe(w.s.due(w.now, nil))
				c.outage(w, d)
				for range 60 {
					w.step(false)
					w.run(100*time.Millisecond, 50*time.Millisecond)
					if got := w.s.find(ap(1)).rtt.value; got != real {
						t.Fatalf("%s for %v, phase %d: after %v the round trip is %v, want %v", c.name, d, phase, w.now.Sub(w.base), got, real)
					}
				}
			}
		}
	}
}

// A peer that is stopped when it is met first is measured right a moment after it goes on.
func TestRoundTripOfAFirstMeeting(t *testing.T) {
	for _, d := range []time.Duration{50, 300, 450, 600, 1400, 10_000} {
		w := newPathWorld(t, ap(1))
		w.rtt[ap(1)] = 300 * time.Microsecond
		w.stop(d * time.Millisecond)
		w.run(d*time.Millisecond, 100*time.Millisecond)
		w.run(refreshEvery+time.Second, 100*time.Millisecond)
		if got := w.s.best.rtt.value; got != 300*time.Microsecond {
			t.Errorf("stopped for %v ms: the round trip is %v", int64(d), got)
		}
	}
}

// A way that becomes longer or shorter for good is known as such at the second probe.
func TestRoundTripThatChanges(t *testing.T) {
	for _, c := range []struct{ from, to time.Duration }{
		{time.Millisecond, 80 * time.Millisecond},
		{time.Millisecond, 600 * time.Millisecond},
		{600 * time.Millisecond, time.Millisecond},
		{600 * time.Millisecond, 1400 * time.Millisecond},
	} {
		w := newPathWorld(t, ap(1))
		w.rtt[ap(1)] = c.from
		w.run(20*time.Second, time.Second)
		if got := w.s.best.rtt.value; got != c.from {
			t.Errorf("it is %v, want %v", got, c.from)
		}
		w.rtt[ap(1)] = c.to
		w.run(2*refreshEvery, time.Second)
		if got := w.s.best.rtt.value; (got - c.to).Abs() > c.to/4 {
			t.Errorf("from %v to %v: it is %v", c.from, c.to, got)
		}
	}
}
