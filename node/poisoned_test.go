package node

import (
	"errors"
	"testing"
	"time"

	"github.com/micro/micro-net/sim/netsim"
)

// A node whose incarnation was driven to its end starts again in a new epoch, and is believed.
func TestPoisonedNodeStartsAgain(t *testing.T) {
	inBubble(t, 170, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b")
		b.serve(all[1], "echo", "b")
		b.await(5*time.Second, "a calls echo", b.answers(all[0], "echo", "b"))
		before := all[1].life().epoch
		all[1].life().poisoned()
		b.await(15*time.Second, "b is in a new epoch", func() error {
			if l := all[1].node.current.Load(); l == nil || l.epoch <= before {
				return errors.New("not yet")
			}
			return nil
		})
		b.await(15*time.Second, "all see all", b.alive(2, all...))
		b.await(10*time.Second, "a calls echo again", b.answers(all[0], "echo", "b"))
	})
}

// A node that hears less than half of those it knew says so, and forgets nothing.
func TestMinorityIsTold(t *testing.T) {
	inBubble(t, 171, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c")
		warned := func(n *simNode) bool {
			for _, w := range n.backend().Status().Warnings {
				if w.Code == "minority" {
					return true
				}
			}
			return false
		}
		b.world.Partition([]*netsim.Host{all[0].host})
		time.Sleep(40 * time.Second)
		if !warned(all[0]) || warned(all[1]) {
			t.Errorf("a warns: %v, b warns: %v", warned(all[0]), warned(all[1]))
		}
		time.Sleep(10 * time.Minute)
		if s, _ := all[0].node.Snapshot(); len(s.Nodes) != 3 {
			t.Errorf("a knows %d nodes after ten minutes alone", len(s.Nodes))
		}
	})
}
