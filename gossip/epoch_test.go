package gossip

import "testing"

func TestStarts(t *testing.T) {
	first := NextStart(0)
	for _, c := range []struct{ epoch, start, next uint64 }{
		{0, 0, first},
		{first, 1, 2 * first},
		{first + 1, 1, 2 * first},
		{2*first - 1, 1, 2 * first},
		{2 * first, 2, 3 * first},
	} {
		if got := StartOf(c.epoch); got != c.start {
			t.Errorf("epoch %d is of start %d, want %d", c.epoch, got, c.start)
		}
		if got := NextStart(c.epoch); got != c.next {
			t.Errorf("after epoch %d comes %d, want %d", c.epoch, got, c.next)
		}
	}
}
