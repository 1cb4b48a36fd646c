package tunnel

import (
	"math/rand/v2"
	"testing"
)

func TestWindow(t *testing.T) {
	var w window
	steps := []struct {
		counter uint64
		want    bool
	}{
		{0, false},
		{1, true},
		{1, false},
		{3, true},
		{2, true},
		{2, false},
		{2050, true},
		{3, false},
		{4, true},
		{2, false},                // left the window
		{1 << 40, true},           // a jump clears everything
		{1<<40 - 2047, true},      // the oldest that is taken
		{1<<40 - 2048, false},     // one older
		{1<<64 - 1, true},         // the end
		{1<<64 - 1, false},        //
		{1<<64 - 2, true},         //
		{1<<64 - 2048 - 1, false}, //
	}
	for i, s := range steps {
		if got := w.accept(s.counter); got != s.want {
			t.Fatalf("step %d: accept(%d) = %v, want %v", i, s.counter, got, s.want)
		}
	}
	w = window{floor: 100}
	if w.accept(99) || !w.accept(100) {
		t.Fatal("the floor is not kept")
	}
}

// The window behaves like a set of all counters with a moving lower end.
func TestWindowAgainstASet(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		var w window
		seen, highest, at := map[uint64]bool{}, uint64(0), uint64(1)
		for range 20000 {
			at += r.Uint64N(4)
			c := at - min(r.Uint64N(3000), at-1)
			if r.IntN(3000) == 0 {
				at += r.Uint64N(5000)
			}
			want := !seen[c] && (c > highest || highest-c < windowSize)
			if got := w.accept(c); got != want {
				t.Fatalf("seed %d: accept(%d) = %v, want %v (highest %d)", seed, c, got, want, highest)
			}
			if want {
				seen[c], highest = true, max(highest, c)
			}
		}
	}
}
