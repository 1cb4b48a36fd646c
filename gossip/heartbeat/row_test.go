package heartbeat

import (
	"testing"
	"time"
)

// TestRow measures how old signs of life are between the two ends of a row of rooms: who is in one hears
// those in the same and in the next room alone. First nobody doubts, then everybody doubts whom it
// does not hear. Nodes that nobody heard for ten seconds are dead to others, so that is what must hardly
// ever be seen.
func TestRow(t *testing.T) {
	for _, c := range []struct {
		rooms []int
		most  float64 // that may be older than ten seconds, as a share
	}{
		{rooms: []int{9, 1, 2}},
		{rooms: []int{7, 1, 1, 1, 1}},
		{rooms: []int{1, 1, 1, 1, 1, 1, 1}},
		{rooms: []int{20, 1, 20}, most: .005},
	} {
		for seed := range uint64(3) {
			w, ends := newRow(t, c.rooms, seed)
			calm := w.measure(75*time.Second, ends).over(10 * time.Second)
			w.doubted = func(at, of *resident) bool { return !w.link(at, of) }
			doubt := w.measure(75*time.Second, ends).over(10 * time.Second)
			t.Logf("%v: %.4f, with doubts %.4f", c.rooms, calm, doubt)
			if calm > c.most || doubt > c.most {
				t.Errorf("%v, seed %d: %.4f of the signs of life are late, with doubts %.4f, want at most %.4f", c.rooms, seed, calm, doubt, c.most)
			}
			w.checkWork()
		}
		if raceEnabled {
			break
		}
	}
}

// newRow makes a mesh that falls apart into rooms after it has come up, and tells who are at the two ends.
func newRow(t testing.TB, rooms []int, seed uint64) (w *world, ends func(at, of *resident) bool) {
	var room []int
	for i, size := range rooms {
		for range size {
			room = append(room, i)
		}
	}
	apart := func(a, b *resident) int { return max(room[a.index]-room[b.index], room[b.index]-room[a.index]) }
	w = newWorld(t, len(room), seed)
	w.begin()
	w.run(15 * time.Second)
	w.link = func(a, b *resident) bool { return apart(a, b) <= 1 }
	return w, func(at, of *resident) bool { return apart(at, of) == len(rooms)-1 }
}

// over is the share of those above a limit.
func (a ages) over(limit time.Duration) float64 {
	n := 0
	for _, d := range a {
		if d > limit {
			n++
		}
	}
	return float64(n) / float64(len(a))
}
