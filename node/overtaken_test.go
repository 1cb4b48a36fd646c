package node

import (
	"fmt"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/node/api"
)

// twoRoots is a mesh of which two nodes have the root key, each with one more on its side.
func (b *bubble) twoRoots() []*simNode {
	b.t.Helper()
	all := b.mesh("a", "b", "c", "d")
	if err := all[1].backend().ImportRoot(exported(b.t, all[0])); err != nil {
		b.t.Fatal(err)
	}
	b.await(10*time.Second, "a knows that b has the key", func() error { return showsRoot(all[0], "b") })
	return all
}

// moved checks that nodes have certificates under the root that one of them has the key of, and that no other has one.
func (b *bubble) moved(winner *simNode, all ...*simNode) func() error {
	return func() error {
		root := winner.life().pass.root.Load()
		for _, n := range all {
			l := n.life()
			if h, m := l.heir.Load(), l.pass.member(); root == nil || h == nil || h.key != m.Origin() || h.key != identity.KeyIDOf(root.Certificate) {
				return fmt.Errorf("%s is under another root", n.host.Name())
			}
			if n != winner && (l.pass.root.Load() != nil || l.pass.next.Load() != nil) {
				return fmt.Errorf("%s has a root key", n.host.Name())
			}
		}
		return b.over(winner)()
	}
}

// TestRootReplacedElsewhere: a node that has the root key moves like all others when another one replaces it, begins no
// replacement of its own meanwhile, and has no root key at the end.
func TestRootReplacedElsewhere(t *testing.T) {
	inBubble(t, 422, func(t *testing.T, b *bubble) {
		all := b.twoRoots()
		b.rotate(all[0])
		time.Sleep(5 * time.Second)
		_, err := all[1].backend().RotateRoot(t.Context(), api.RotateRequest{})
		wantError(t, "at the same time", err, micronet.Refused, "another host replaces the root key already", "--status", "--yes")
		b.await(5*time.Minute, "all have moved", b.moved(all[0], all...))
	})
}
