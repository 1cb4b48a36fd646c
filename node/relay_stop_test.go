package node

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/node/api"
	"github.com/micro/micro-net/sim/netsim"
)

// TestRelayStopsPolitely: calls that go over a relay do not stand still when it is stopped: whose packets it carries learn
// of its goodbye, and it forwards until they have gone another way. When it is back it is a relay again.
func TestRelayStopsPolitely(t *testing.T) {
	inBubble(t, 602, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "c", "r", "s")
		a, c := all[0], all[1]
		b.serve(c, "echo", "c")
		b.await(drainFor, "calls", b.answers(a, "echo", "c"))
		relays := b.relays(a, c)
		b.await(time.Minute, "all are relays", relays)
		time.Sleep(nearbyLong)
		b.world.Apart([]*netsim.Host{a.host}, []*netsim.Host{c.host})
		longest := func(d time.Duration) (worst time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); {
				begin := time.Now()
				if err := b.answers(a, "echo", "c")(); err != nil {
					t.Errorf("a call over a relay: %v", err)
				}
				worst = max(worst, time.Since(begin))
			}
			return worst
		}
		relay := func() *simNode {
			p, _ := a.life().under.Path(c.node.ID())
			for _, n := range all {
				if n.node.ID() == p.Relay {
					return n
				}
			}
			t.Fatalf("no relay carries the packets: %+v", p)
			return nil
		}
		longest(5 * time.Second)
		usual := longest(3 * time.Second)
		first := relay()
		first.stop()
		if worst := longest(5 * time.Second); worst > 2*usual+50*time.Millisecond {
			t.Errorf("a call took %v while the relay was stopped, and %v else", worst, usual)
		}
		if err := b.ended(first, drainFor); err != nil {
			t.Fatal(err)
		}
		second := relay()
		if second == first {
			t.Fatal("the relay that was stopped is in use")
		}
		b.start(first.host.Name(), "")
		b.await(drainFor, "it is back", b.alive(4, all...))
		b.await(time.Minute, "it is a relay again", relays)
		longest(2 * time.Second)
		second.stop()
		if worst := longest(5 * time.Second); worst > 2*usual+50*time.Millisecond {
			t.Errorf("a call took %v while the second relay was stopped, and %v else", worst, usual)
		}
		if err := b.ended(second, drainFor); err != nil {
			t.Fatal(err)
		}
		if now := relay(); now != first {
			t.Error("the relay that is back is not in use")
		}
		for _, n := range a.backend().Nodes() {
			if n.ID == second.node.ID().String() && n.Status != micronet.Left {
				t.Errorf("the second relay is %s", n.Status)
			}
		}
	})
}

// nearbyLong is more than a node uses its list of the nearest relays for.
const nearbyLong = 2 * time.Second

// relays checks that some nodes take all for relays.
func (b *bubble) relays(by ...*simNode) func() error {
	return func() error {
		for _, n := range by {
			for _, x := range n.backend().Nodes() {
				if !slices.Contains(x.Roles, api.RoleRelay) {
					return fmt.Errorf("%s is no relay to %s", x.Name, n.host.Name())
				}
			}
		}
		return nil
	}
}

// TestTheOnlyRelayForwardsOn: a relay that is stopped forwards for a moment after its goodbye, and for no longer when those it
// does it for find nobody else. Without them it ends at once.
func TestTheOnlyRelayForwardsOn(t *testing.T) {
	for _, carries := range []bool{true, false} {
		inBubble(t, 603, func(t *testing.T, b *bubble) {
			all := b.mesh("a", "c", "r")
			a, c, r := all[0], all[1], all[2]
			b.serve(c, "echo", "c")
			b.await(time.Minute, "all are relays", b.relays(a, c))
			time.Sleep(nearbyLong)
			if carries {
				b.world.Apart([]*netsim.Host{a.host}, []*netsim.Host{c.host})
			}
			b.await(drainFor, "calls", b.answers(a, "echo", "c"))
			for range 100 {
				_ = b.answers(a, "echo", "c")()
			}
			over, called := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(called)
				for !isClosed(over) {
					_ = b.answers(a, "echo", "c")() // it fails once nobody forwards
				}
			}()
			r.stop()
			b.await(drainFor, "it says goodbye", func() error {
				if !r.life().parted.Load() {
					return errors.New("not yet")
				}
				return nil
			})
			begin := time.Now()
			if err := b.ended(r, 2*farewell); err != nil {
				t.Error(err)
			}
			if took := time.Since(begin); (took >= relayOnFor) != carries {
				t.Errorf("carrying packets: %v; it ended %v after its goodbye", carries, took)
			}
			close(over)
			<-called
		})
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
