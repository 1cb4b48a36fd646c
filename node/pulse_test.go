package node

import (
	"fmt"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
)

// Two nodes that cannot hear each other, and a third that hears both: nobody is dead to anybody, and
// nobody is led where there is no path.
func TestNodesHeardThroughOthers(t *testing.T) {
	inBubble(t, 150, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c", "d")
		b.serve(all[2], "echo", "c")
		b.await(5*time.Second, "a calls echo", b.answers(all[0], "echo", "c"))
		b.world.Cut(all[0].host, all[2].host)
		b.world.Cut(all[2].host, all[0].host)
		for range 120 {
			time.Sleep(time.Second)
			if err := b.alive(4, all...)(); err != nil {
				t.Fatal(err)
			}
		}
		b.world.Heal()
		b.await(15*time.Second, "a calls echo again", b.answers(all[0], "echo", "c"))

		begin := time.Now()
		b.crash(all[2])
		b.await(12*time.Second, "c is dead everywhere", b.seen("c", micronet.Dead, "a", "b", "d"))
		if took := time.Since(begin); took < freshFor {
			t.Errorf("c is dead after %v already", took)
		}
	})
}

// A chain that is spent is followed by another one, without anybody noticing.
func TestChainsFollowEachOther(t *testing.T) {
	inBubble(t, 151, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b")
		first := all[0].life().pulse.published()
		time.Sleep(150 * time.Minute)
		if second := all[0].life().pulse.published(); fmt.Sprint(first) == fmt.Sprint(second) {
			t.Error("the chain of two hours ago is still in use")
		}
		for _, n := range all {
			for _, other := range all {
				if silent := time.Since(n.life().pulse.heard(other.node.ID())); n != other && silent > freshFor {
					t.Errorf("%s heard %s %v ago", n.host.Name(), other.host.Name(), silent)
				}
			}
		}
	})
}
