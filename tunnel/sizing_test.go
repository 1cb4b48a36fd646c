package tunnel

import (
	"testing"
	"time"
)

// Sizes that come again are QUIC's; single ones are its tests of the path.
func TestSizes(t *testing.T) {
	start := time.Unix(1000, 0)
	var s sizes
	for i, c := range []struct {
		after       time.Duration
		size        int
		first       bool
		wantLargest int
	}{
		{0, 1326, false, 0},
		{0, 1389, false, 0},
		{0, 1326, true, 1326},
		{time.Second, 1389, false, 1389},
		{time.Second, 1326, false, 1389}, // smaller ones change nothing
		{2 * time.Second, 1452, false, 1389},
		{6 * time.Second, 1326, false, 1389},
		{7 * time.Second, 1326, false, 1326}, // the larger one is out of use
		{13 * time.Second, 1326, true, 1326}, // after a pause
	} {
		if got := s.sent(start.Add(c.after), c.size); got != c.first {
			t.Errorf("step %d: first after a pause: %v", i, got)
		}
		if got, _ := s.largest(); got != c.wantLargest {
			t.Errorf("step %d: the largest is %d, want %d", i, got, c.wantLargest)
		}
	}
}

// sizingWorld asks a sizing whenever it wants to, over a path that carries up to a size.
type sizingWorld struct {
	sizing
	now     time.Time
	carries int  // 0: nothing passes
	knows   bool // the peer answers tests
	sends   int  // size of QUIC's packets, 0: none
}

const sizingRTT = 40 * time.Millisecond

func (w *sizingWorld) run(d time.Duration) (tests int) {
	for end := w.now.Add(d); w.now.Before(end); w.now = w.now.Add(10 * time.Millisecond) {
		if w.sends > 0 {
			w.use(w.sends, w.now)
		}
		if at := w.next(w.now, sizingRTT); at.IsZero() || at.After(w.now) {
			continue
		}
		heard := w.now
		if w.carries == 0 {
			heard = time.Time{}
		}
		size := w.step(w.now, heard, sizingRTT)
		if size == 0 {
			continue
		}
		tests++
		if w.knows && size <= w.carries {
			w.answered(w.now.Add(sizingRTT), w.nonce)
		}
	}
	return tests
}

func TestSizingFollowsThePath(t *testing.T) {
	w := &sizingWorld{now: time.Unix(1000, 0), carries: 1472, knows: true}
	if n := w.run(time.Minute); n != 0 {
		t.Errorf("%d tests where nothing large is sent", n)
	}
	w.sends = 1436
	if n := w.run(10 * time.Second); n < 8 || n > 12 || w.narrow {
		t.Errorf("%d tests in ten seconds, narrow %v", n, w.narrow)
	}
	w.carries = 1252
	if w.run(2500 * time.Millisecond); !w.narrow {
		t.Fatal("a path that became narrow was not noticed within 2.5 s")
	}
	w.sends = 1220 // other packets, which fit
	if w.run(20 * time.Second); !w.narrow {
		t.Error("smaller packets made the path wide")
	}
	w.sends = 0
	if n := w.run(20 * time.Second); n > 3 || !w.narrow {
		t.Errorf("%d tests in a pause, narrow %v", n, w.narrow)
	}
	w.sends, w.carries = 1436, 1472
	if w.run(testAgain + time.Second); w.narrow {
		t.Error("a path that is wide again was not noticed")
	}
	w.carries = 0
	if w.run(time.Minute); w.narrow {
		t.Error("a path that carries nothing is called narrow")
	}
	w.carries = 1252
	if w.run(5 * time.Second); !w.narrow {
		t.Error("narrow after it carried nothing")
	}
	w.sends = 1240
	if w.run(2 * failMemory); w.narrow {
		t.Error("a size that is not used any more keeps the path narrow")
	}
}

// A peer that does not know tests is left as it is.
func TestSizingNeedsThePeer(t *testing.T) {
	w := &sizingWorld{now: time.Unix(1000, 0), carries: 1252, sends: 1436}
	if n := w.run(time.Minute); w.narrow || n > 70 {
		t.Errorf("narrow %v after %d tests that nobody answers", w.narrow, n)
	}
	w.knows = true
	if w.run(5 * time.Second); !w.narrow {
		t.Error("it was not noticed once the peer answered")
	}
	w.answered(w.now, w.nonce+1)
	if !w.narrow {
		t.Error("an answer to nothing made the path wide")
	}
}

// A size is tested at once when it matters whether it passes, but only one at a time.
func TestSizeInAHurry(t *testing.T) {
	now := time.Unix(1000, 0)
	s := sizing{able: true, at: now.Add(testEvery)}
	s.use(1400, now)
	if s.hurry(now); s.step(now, now, 0) != 1400 {
		t.Error("nothing is tested")
	}
	if s.hurry(now); s.step(now.Add(testWait/2), now, 0) != 0 {
		t.Error("a second test while one is under way")
	}
	s = sizing{able: true, narrow: true, at: now.Add(testAgain)}
	s.use(1400, now)
	if s.hurry(now); s.step(now, now, 0) != 0 {
		t.Error("a narrow path is asked more often")
	}
}
