package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/node/api"
)

// unheard checks that a subject is none of those that nodes have a word about.
func unheard(subject string, by ...*simNode) func() error {
	return func() error {
		for _, n := range by {
			if slices.ContainsFunc(n.life().stated(kindOf(subject)), func(s identity.Statement) bool { return string(s.Subject) == subject }) {
				return fmt.Errorf("%s takes the word about %s", n.host.Name(), subject)
			}
		}
		return nil
	}
}

// TestCastOffAuthority: what an authority has said until the root ends its right counts on, and nothing of what
// it says later, however it dates that back. What was disavowed counts no more at all.
func TestCastOffAuthority(t *testing.T) {
	for _, how := range []string{"demoted", "revoked", "disavowed"} {
		t.Run(how, func(t *testing.T) {
			inBubble(t, 430, func(t *testing.T, b *bubble) {
				all := b.mesh("a", "b", "c", "d")
				a, thief, c, d := all[0], all[1], all[2], all[3]
				b.promote(a, "b")
				b.await(10*time.Second, "a knows", b.signing(a, "b"))
				before := identity.ClockAt(a.host.Env().Wall())
				time.Sleep(time.Second)
				for i := range 2 * spreadFetched {
					b.says(thief, fmt.Sprintf("x%d", i), "1")
				}
				b.revoke(thief, api.Revocation{Node: "d"})
				b.await(20*time.Second, "a and c know", knows("x9", "1", a, c))
				right := thief.life().gate.authority.Load().issuer.Load()
				time.Sleep(time.Minute)
				switch how {
				case "demoted":
					b.demote(a, "b")
				default:
					b.revoke(a, api.Revocation{Node: "b", Disavow: how == "disavowed", Force: how == "revoked"})
				}
				if how == "disavowed" {
					b.await(20*time.Second, "its word is gone", unheard("x9", a, c))
				} else {
					b.await(20*time.Second, "its word counts on", func() error {
						if !c.life().pass.trust.Ended(thief.node.ID(), time.Time{}) && !c.life().pass.trust.Revoked(thief.node.ID()) {
							return fmt.Errorf("c has not heard of it")
						}
						return knows("x9", "1", a, c)()
					})
				}
				if counts := c.life().pass.trust.Revoked(d.node.ID()); counts != (how != "disavowed") {
					t.Errorf("its revocation counts: %v", counts)
				}
				word := identity.Revocation{When: a.host.Env().Wall()}
				body, err := word.Body()
				if err != nil {
					t.Fatal(err)
				}
				id := c.node.ID()
				var forged [][]byte
				for _, st := range []identity.Statement{
					{Kind: testWord, Subject: []byte("y"), Body: []byte("late")},
					{Kind: identity.StatementSetting, Subject: []byte("x9"), Body: []byte("late")},
					{Kind: identity.StatementRevocation, Subject: id[:], Body: body},
				} {
					st.Clock = before + identity.ClockAt(time.UnixMilli(10_000)) // after it had last spoken, by its own word
					raw, err := right.State(a.host.Env().Wall(), st)
					if err != nil {
						t.Fatal(err)
					}
					forged = append(forged, raw)
				}
				if refused, err := c.life().statements.Import(forged); refused > 0 || err != nil {
					t.Fatal(refused, err)
				}
				b.await(20*time.Second, "a holds them as well", func() error {
					if a.life().statements.held.Load().Fingerprint() != c.life().statements.held.Load().Fingerprint() {
						return fmt.Errorf("not the same")
					}
					return nil
				})
				for _, n := range []*simNode{a, c} {
					if err := unheard("y", n)(); err != nil {
						t.Error(err)
					}
					if err := knows("x9", "late", n)(); err == nil || n.life().pass.trust.Revoked(id) {
						t.Errorf("%s takes what was dated back", n.host.Name())
					}
				}
			})
		})
	}
}

// TestRootConfirmsRevocations: the root may say again what another authority has said, as its word goes
// further.
func TestRootConfirmsRevocations(t *testing.T) {
	inBubble(t, 431, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c")
		a, deputy := all[0], all[1]
		b.promote(a, "b")
		b.promote(a, "c")
		b.await(10*time.Second, "b knows", b.signing(deputy, "a", "c"))
		r := b.revoke(deputy, api.Revocation{Node: "c"})
		contains(t, "the warning", r.Warning, "node revoke "+all[2].node.ID().Short()+" --disavow", "where the root key is")
		_, err := deputy.backend().Revoke(context.Background(), api.Revocation{Node: "c"})
		wantError(t, "again", err, micronet.Refused, "already")
		b.await(10*time.Second, "a knows", shutOut("c", a))
		b.revoke(a, api.Revocation{Node: "c"})
		_, err = a.backend().Revoke(context.Background(), api.Revocation{Node: "c"})
		wantError(t, "once more", err, micronet.Refused, "already")
	})
}

// TestRevokeWhoHasSpoken: the root does not make what an authority has said its own unless it is told to, and says how
// much that is; also of who is no authority any more, as far as others know.
func TestRevokeWhoHasSpoken(t *testing.T) {
	inBubble(t, 432, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c", "d")
		a, thief, d := all[0], all[1], all[3]
		b.promote(a, "b")
		b.promote(a, "c")
		b.await(10*time.Second, "b knows", b.signing(thief, "a", "c"))
		b.revoke(thief, api.Revocation{Node: "d"})
		b.await(10*time.Second, "a knows", shutOut("d", a))
		try := func(r api.Revocation) error {
			_, err := a.backend().Revoke(context.Background(), r)
			return err
		}
		wantError(t, "plain", try(api.Revocation{Node: "b"}), micronet.Refused, "1 revocation", "--disavow", "--force")
		if a.life().pass.trust.Revoked(thief.node.ID()) {
			t.Fatal("it was revoked all the same")
		}
		b.revoke(all[2], api.Revocation{Node: "b"})
		b.await(10*time.Second, "a has heard of that", shutOut("b", a))
		wantError(t, "once it is forgotten", try(api.Revocation{Node: thief.node.ID().String()}), micronet.Refused, "1 revocation")
		r := b.revoke(a, api.Revocation{Node: thief.node.ID().String(), Force: true})
		contains(t, "the warning", r.Warning, "in the name of the root", "1 revocation")
		r = b.revoke(a, api.Revocation{Node: thief.node.ID().String(), Disavow: true})
		contains(t, "the warning of a late disavowal", r.Warning, "counts on in the name of the root")
		if !a.life().pass.trust.Revoked(d.node.ID()) {
			t.Error("what was repeated does not count")
		}
	})
}

// TestNobodyIsWithoutWords: what an authority has said counts at every moment while the root ends its right.
func TestNobodyIsWithoutWords(t *testing.T) {
	inBubble(t, 434, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c", "d")
		const many = 300
		b.promote(all[0], "b")
		b.await(10*time.Second, "b signs", b.signing(all[0], "b"))
		var words []identity.Statement
		for i := range many {
			words = append(words, identity.Statement{Kind: identity.StatementSetting, Subject: fmt.Appendf(nil, "x%d", i), Body: []byte("1")})
		}
		if err := all[1].life().declareAll(t.Context(), "test", words...); err != nil {
			t.Fatal(err)
		}
		lacking := func() error {
			for _, n := range all {
				if got := len(n.life().stated(identity.StatementSetting)); got != many {
					return fmt.Errorf("%s has %d settings of %d", n.host.Name(), got, many)
				}
			}
			return nil
		}
		b.await(time.Minute, "all know all", lacking)
		b.wg.Go(func() { b.demote(all[0], "b") })
		ended := func() bool { return all[3].life().pass.trust.Ended(all[1].node.ID(), time.Time{}) }
		for range 2000 {
			if err := lacking(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		if !ended() {
			t.Error("d has not heard of the end")
		}
	})
}

// TestWhatHasNoRoom: who has said more than can be repeated loses its right all the same.
func TestWhatHasNoRoom(t *testing.T) {
	inBubble(t, 435, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b")
		b.promote(all[0], "b")
		b.await(10*time.Second, "b signs", b.signing(all[0], "b"))
		fill := func(n *simNode, from, to int) {
			var words []identity.Statement
			for i := from; i < to; i++ {
				words = append(words, identity.Statement{Kind: identity.StatementSetting, Subject: fmt.Appendf(nil, "x%d", i), Body: []byte("1")})
			}
			if err := n.life().declareAll(t.Context(), "test", words...); err != nil {
				t.Fatal(err)
			}
		}
		fill(all[0], 0, gossip.MaxStatements/4+1)
		fill(all[1], gossip.MaxStatements/2, gossip.MaxStatements*7/8)
		b.await(time.Minute, "a knows all", func() error {
			if len(all[0].life().stated(identity.StatementSetting)) < gossip.MaxStatements*5/8 {
				return fmt.Errorf("not yet")
			}
			return nil
		})
		_, err := all[0].backend().Demote(t.Context(), api.DemoteRequest{Node: "b"})
		wantError(t, "demote", err, micronet.Overloaded, "node revoke --disavow "+all[1].node.ID().String())
		b.revoke(all[0], api.Revocation{Node: "b", Disavow: true})
	})
}

// TestUnknownWordsAreNotRepeated: a root says nothing whose meaning it does not know.
func TestUnknownWordsAreNotRepeated(t *testing.T) {
	inBubble(t, 436, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b")
		b.promote(all[0], "b")
		b.await(10*time.Second, "b signs", b.signing(all[0], "b"))
		b.says(all[1], "x1", "1")
		b.says(all[1], "strange", "1")
		b.await(10*time.Second, "a knows", func() error { return errors.Join(knows("x1", "1", all[0])(), knows("strange", "1", all[0])()) })
		b.demote(all[0], "b")
		if err := errors.Join(knows("x1", "1", all[0])(), unheard("strange", all[0])()); err != nil {
			t.Error(err)
		}
	})
}

// TestDemoteTells: who ends a right is told what counts on of what was said by it.
func TestDemoteTells(t *testing.T) {
	inBubble(t, 433, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c")
		b.promote(all[0], "b")
		b.await(10*time.Second, "b signs", b.signing(all[0], "b"))
		b.revoke(all[1], api.Revocation{Node: "c"})
		b.await(10*time.Second, "a knows", shutOut("c", all[0]))
		d, err := all[0].backend().Demote(t.Context(), api.DemoteRequest{Node: "b"})
		if err != nil {
			t.Fatal(err)
		}
		contains(t, "the answer", d.Warning, "counts on in the name of the root", "1 revocation")
	})
}
