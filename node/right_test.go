package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/node/api"
)

// pretends has a node show a right that it may not have, to another one that also believes the flags of its credential.
func (b *bubble) pretends(liar, to *simNode, right []byte) {
	b.t.Helper()
	d := liar.life().address.document(nil)
	d.Right = right
	if err := liar.life().records.publish(d); err != nil {
		b.t.Fatal(err)
	}
	to.claims(liar, identity.FlagAuthority|identity.FlagRoot)
	b.await(5*time.Second, "the lie has come", func() error {
		if got := to.life().records.rights()[liar.node.ID()]; !bytes.Equal(got, right) {
			return fmt.Errorf("it shows %x", got)
		}
		return nil
	})
}

// foreignRight is a promotion of a node by the root of another cluster.
func foreignRight(t *testing.T, n *simNode) []byte {
	t.Helper()
	env := n.host.Env()
	root, err := identity.NewRoot(env.Entropy, "sim", env.Wall())
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := root.Authority(env.Entropy)
	if err != nil {
		t.Fatal(err)
	}
	p, err := issuer.Promote(env.Wall(), n.node.ID(), "b")
	if err != nil {
		t.Fatal(err)
	}
	return p.Grant
}

// alone checks that a node takes itself for the only authority, or that it does not.
func alone(n *simNode, want bool) func() error {
	return func() error {
		if got := codesOf(n, "one-authority") != ""; got != want {
			return fmt.Errorf("it warns: %t", got)
		}
		_, err := n.backend().Leave(context.Background(), api.LeaveRequest{})
		if err == nil {
			return fmt.Errorf("it may leave")
		}
		if got := strings.Contains(err.Error(), "only authority"); got != want {
			return fmt.Errorf("it may not leave: %w", err)
		}
		return nil
	}
}

// TestQ12_AuthoritiesShowTheirRight: a member that says it signs for the cluster, with nothing or with another's right behind it,
// hides nothing from who is the only authority; one that was promoted does, until it is demoted.
func TestQ12_AuthoritiesShowTheirRight(t *testing.T) {
	inBubble(t, 442, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c")
		a, liar, deputy := all[0], all[1], all[2]
		time.Sleep(lookAround) // what it finds out about itself on the way would replace the lie
		for _, lie := range []struct {
			what  string
			right []byte
		}{
			{"nothing", nil},
			{"another's", a.life().address.right()},
			{"its own certificate's", liar.life().pass.member().Grant},
			{"another cluster's", foreignRight(t, liar)},
			{"garbage", bytes.Repeat([]byte{1}, 200)},
		} {
			b.pretends(liar, a, lie.right)
			if err := alone(a, true)(); err != nil {
				t.Errorf("%s: %v", lie.what, err)
			}
			if got := rolesAt(a); got != "a root,authority; b ; c ; " {
				t.Errorf("%s: a shows %s", lie.what, got)
			}
			if a.life().rootWarning() == "" {
				t.Errorf("%s: a believes that the root key is there", lie.what)
			}
		}
		b.promote(a, "c")
		b.await(5*time.Second, "two sign", alone(a, false))
		right := deputy.life().address.right()
		b.demote(a, "c")
		b.await(5*time.Second, "one signs", alone(a, true))
		b.pretends(deputy, a, right)
		if err := alone(a, true)(); err != nil {
			t.Errorf("who was demoted shows the right it had: %v", err)
		}
		b.promote(a, "c")
		b.await(5*time.Second, "two sign again", alone(a, false))
		if err := deputy.backend().ImportRoot(exported(t, a)); err != nil {
			t.Fatal(err)
		}
		b.await(5*time.Second, "the root key is at c, too", func() error {
			if w := a.life().rootWarning(); w != "" {
				return micronet.E("test", micronet.Internal, "it warns: %s", w)
			}
			return nil
		})
		if got := rolesAt(liar); got != "a root,authority; b ; c root,authority; " {
			t.Errorf("b shows %s", got)
		}
	})
}

// TestRootOfADeadHost: that a host has the root key counts for nothing once it is dead: it may have been taken off in the
// meantime. Who was promoted signs again when it is back, dead or not.
func TestRootOfADeadHost(t *testing.T) {
	inBubble(t, 447, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c")
		a, deputy, holder := all[0], all[1], all[2]
		if err := holder.backend().ImportRoot(exported(t, a)); err != nil {
			t.Fatal(err)
		}
		b.await(5*time.Second, "the root key is at c, too", func() error {
			if a.life().isLastAuthority() {
				return errors.New("it takes itself for the only authority")
			}
			return nil
		})
		b.crash(holder)
		b.await(30*time.Second, "c is dead", b.alive(2, a))
		b.await(10*time.Second, "a signs alone", alone(a, true))
		if a.life().rootWarning() == "" {
			t.Error("a believes that the root key is at c")
		}
		b.promote(a, "b")
		b.await(5*time.Second, "b signs, too", alone(a, false))
		b.crash(deputy)
		b.await(30*time.Second, "b is dead", b.alive(1, a))
		time.Sleep(10 * time.Second)
		if a.life().isLastAuthority() {
			t.Error("the promotion of a host that is dead does not count")
		}
	})
}

// TestLiarIsNotNamed: who is sent to an authority is sent to one that has shown that it is one.
func TestLiarIsNotNamed(t *testing.T) {
	inBubble(t, 446, func(t *testing.T, b *bubble) {
		all := b.mesh("z", "b", "c")
		b.pretends(all[1], all[2], nil)
		_, err := all[2].backend().Invite(api.InviteRequest{})
		wantError(t, "invite", err, micronet.Refused, "run it on z")
		if ids := all[2].life().signers(); len(ids) != 2 || ids[0] != all[0].node.ID() {
			t.Errorf("it would ask %v", ids)
		}
	})
}

// TestRightIsRenewed: where the root key is, that is shown anew with each certificate, and no longer once the key is gone.
func TestRightIsRenewed(t *testing.T) {
	inBubble(t, 443, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b")
		a, o := all[0], all[1]
		for range 3 {
			b.later(9 * day)
			time.Sleep(time.Minute)
			if got := rolesAt(o); got != "a root,authority; b ; " {
				t.Errorf("b shows %s", got)
			}
		}
		former := a.life().address.right()
		r := api.RootRemoval{SealedRoot: exported(t, a)}
		b.promote(a, "a")
		if err := a.backend().RemoveRoot(r); err != nil {
			t.Fatal(err)
		}
		b.await(5*time.Second, "the promotion is shown", func() error {
			if got := rolesAt(o); got != "a authority; b ; " {
				return fmt.Errorf("b shows %s", got)
			}
			return nil
		})
		b.later(15 * day)
		if _, err := o.life().pass.trust.VerifyRight(former, a.node.ID(), o.host.Env().Wall()); err == nil {
			t.Error("what a showed while it had the key counts for good")
		}
	})
}
