package node

import (
	"context"
	"math"
	"testing"
	"time"
)

func TestClocks(t *testing.T) {
	inBubble(t, 140, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c")
		all[1].host.SetSkew(90 * time.Second)
		offsets := func(n *simNode) map[string]float64 {
			out := map[string]float64{}
			for _, c := range n.backend().Clocks(context.Background()) {
				if c.WithinMs <= 0 || c.WithinMs > 1000 {
					t.Errorf("%+v", c)
				}
				out[c.Node] = c.OffsetMs
			}
			return out
		}
		near := func(ms, want float64) bool { return math.Abs(ms-want) < 500 }
		if got := offsets(all[0]); len(got) != 2 || !near(got["b"], 90_000) || !near(got["c"], 0) {
			t.Errorf("a finds %v", got)
		}
		if got := offsets(all[1]); len(got) != 2 || !near(got["a"], -90_000) || !near(got["c"], -90_000) {
			t.Errorf("b finds %v", got)
		}
		b.crash(all[2])
		if got := offsets(all[0]); len(got) != 1 {
			t.Errorf("with one that does not answer: %v", got)
		}
	})
}
