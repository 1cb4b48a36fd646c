package node

import (
	"strings"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
)

// A part of the node that waits for ever is told of, and the others are not.
func TestQ19_StuckLoopsAreTold(t *testing.T) {
	inBubble(t, 194, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b")
		b.stays(2*time.Minute, "nothing is stuck", func() error {
			if w := warned(all[0], "stuck"); w != nil {
				return micronet.E("test", micronet.Internal, "%s", w.Text)
			}
			return nil
		})
		l := all[0].life()
		l.statements.lock() // and nobody gives it back
		l.statements.heard <- []byte("no statement")
		time.Sleep(stuckAfter + 15*time.Second)
		if w := warned(all[0], "stuck"); w == nil || !strings.HasSuffix(w.Text, ": statements") {
			t.Errorf("a warns %+v", w)
		}
		l.statements.unlock()
		time.Sleep(15 * time.Second)
		if w := warned(all[0], "stuck"); w != nil {
			t.Errorf("a warns still: %+v", w)
		}
	})
}
