package node

import (
	"cmp"
	"fmt"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/sim/netsim"
)

// A node whose incarnation was driven to its end renews its membership alone: it is believed again under
// the next epoch, connections go on, and its instances are neither damped nor missing for a moment.
func TestPoisonedNodeRenewsItsMembership(t *testing.T) {
	inBubble(t, 170, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c")
		b.serve(all[1], "echo", "b")
		b.await(5*time.Second, "a calls echo", b.answers(all[0], "echo", "b"))
		life, before := all[1].life(), all[1].life().records.epoch()
		for range 4 {
			life.poisoned()
			b.stays(20*time.Second, "echo has one instance that is used", func() error { return oneUsable(all[0], "echo") })
		}
		if all[1].node.current.Load() != life {
			t.Error("the node has started again")
		}
		if e := life.records.epoch(); e != before+4 {
			t.Errorf("after 4 renewals the epoch is %d, it was %d", e, before)
		}
		b.await(15*time.Second, "membership has the new epoch everywhere", func() error {
			return cmp.Or(epochAt(all[0], life), epochAt(all[2], life))
		})
		b.await(15*time.Second, "all see all", b.alive(3, all...))
		b.await(time.Second, "a calls echo again", b.answers(all[0], "echo", "b"))
		epoch := life.records.epoch()
		b.halt(all[1])
		b.start("b", "")
		if e := all[1].life().epoch; e != gossip.NextStart(epoch) {
			t.Errorf("the next start has epoch %d, after %d", e, epoch)
		}
	})
}

// oneUsable checks that a service has one instance at n, which is offered.
func oneUsable(n *simNode, service string) error {
	all := n.life().view.Load().instances[service]
	if len(all) != 1 || !all[0].usable() || all[0].damped {
		return fmt.Errorf("instances of %s: %d, the first is %+v", service, len(all), all)
	}
	return nil
}

// epochAt checks that membership and catalog of n have a node in its present epoch, alive.
func epochAt(n *simNode, of *life) error {
	want := of.records.epoch()
	for _, m := range n.life().members.Members() {
		if m.ID == of.self && (m.Epoch != want || m.Status != micronet.Alive) {
			return fmt.Errorf("%s has epoch %d, %s, want %d", n.host.Name(), m.Epoch, m.Status, want)
		}
	}
	for _, e := range n.life().records.entries() {
		if e.Document.Owner == of.self && e.Document.Version.Epoch != want {
			return fmt.Errorf("%s holds a document of epoch %d, want %d", n.host.Name(), e.Document.Version.Epoch, want)
		}
	}
	return nil
}

// stays checks all the time that something goes on to hold.
func (b *bubble) stays(lasts time.Duration, what string, ok func() error) {
	b.t.Helper()
	for end := time.Now().Add(lasts); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err := ok(); err != nil {
			b.t.Fatalf("%s: %v", what, err)
		}
	}
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
