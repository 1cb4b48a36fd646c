package node

import (
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
)

// Whoever is asked for a sign of life is heard at once. One that is gone holds up a round no longer than an
// answer may take.
func TestInquiry(t *testing.T) {
	inBubble(t, 21, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c")
		a, living, gone := all[0].life(), all[1].life().self, all[2].life().self
		b.crash(all[2])
		b.await(20*time.Second, "c is dead", b.seen("c", micronet.Dead, "a"))
		for _, c := range []struct {
			name     string
			ids      []micronet.NodeID
			answered bool
			atMost   time.Duration
		}{
			{"nobody", nil, false, 0},
			{"one that lives", []micronet.NodeID{living}, true, 100 * time.Millisecond},
			{"one that is gone", []micronet.NodeID{gone}, false, inquiryTime},
			{"both", []micronet.NodeID{gone, living}, true, inquiryTime},
		} {
			begin := time.Now()
			if got := a.call(t.Context(), c.ids); got != c.answered {
				t.Errorf("%s: answered: %v", c.name, got)
			}
			if took := time.Since(begin); took > c.atMost {
				t.Errorf("%s: it took %v, want at most %v", c.name, took, c.atMost)
			}
			if c.answered && a.under.Heard(living).Before(begin) {
				t.Errorf("%s: the one that lives was not heard", c.name)
			}
		}
	})
}
