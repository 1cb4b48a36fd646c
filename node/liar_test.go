package node

import (
	"errors"
	"slices"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/identity"
)

// claims makes one node believe that another one says something of itself.
func (n *simNode) claims(of *simNode, flags identity.Flags) {
	c := n.life().contacts
	c.mu.Lock()
	defer c.mu.Unlock()
	cred := c.known[of.node.ID()]
	cred.Flags = flags
	c.known[of.node.ID()] = cred
}

// TestLiarKeepsNoGraceAway: a member that says it is an authority, and renews for nobody, does not make the others
// refuse each other when their certificates end.
func TestLiarKeepsNoGraceAway(t *testing.T) {
	inBubble(t, 440, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c")
		b.halt(all[0])
		for range 15 {
			b.later(day)
			all[2].claims(all[1], identity.FlagAuthority)
			time.Sleep(30 * time.Second)
		}
		all[2].claims(all[1], identity.FlagAuthority)
		b.await(time.Minute, "ended certificates count", func() error {
			if !slices.Contains(all[2].life().authorities(), all[1].node.ID()) {
				return errors.New("b is not believed to be an authority")
			}
			if all[2].life().pass.lateness() == 0 {
				return errors.New("c waits for b")
			}
			return nil
		})
	})
}

// TestLiarWithoutRootKey: while a root is replaced, a member that says it has the new key keeps nobody from asking
// the authorities that have moved.
func TestLiarWithoutRootKey(t *testing.T) {
	inBubble(t, 441, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c", "d")
		b.promote(all[0], "b")
		b.await(10*time.Second, "d knows", b.signing(all[3], "a", "b"))
		b.halt(all[0])
		b.await(20*time.Second, "a is gone", b.seen("a", micronet.Left, "d"))
		l, next := all[3].life(), identity.KeyID{1}
		l.heir.Store(&heir{key: next, since: l.env.Wall().Add(-time.Hour)})
		all[3].claims(all[2], identity.FlagAuthority|identity.FlagRoot)
		l.contacts.mu.Lock()
		cred := l.contacts.known[all[1].node.ID()]
		cred.Origin = next
		l.contacts.known[all[1].node.ID()] = cred
		l.contacts.mu.Unlock()
		got := l.renewers()
		if !slices.EqualFunc(got, [][]micronet.NodeID{{all[2].node.ID()}, {all[1].node.ID()}, nil}, slices.Equal) {
			t.Errorf("it asks %v", got)
		}
	})
}
