package node

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/node/api"
	"github.com/micro/micro-net/sim/netsim"
)

func (b *bubble) promote(at *simNode, name string) api.Promoted {
	b.t.Helper()
	p, err := at.backend().Promote(b.t.Context(), api.PromoteRequest{Node: name})
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

// rolesAt is what a node shows of who may sign.
func rolesAt(n *simNode) (text string) {
	for _, o := range n.backend().Nodes() {
		text += o.Name + " " + signs(o.Roles) + "; "
	}
	return text
}

// withDeputy is a mesh of a, b and c in which b has been made an authority, too, as a and c know.
func (b *bubble) withDeputy() []*simNode {
	b.t.Helper()
	all := b.mesh("a", "b", "c")
	b.promote(all[0], "b")
	b.await(10*time.Second, "c sees both sign", b.signing(all[2], "a", "b"))
	b.await(10*time.Second, "a sees b sign", b.signing(all[0], "b"))
	return all
}

// warns checks that a node has a warning.
func warns(n *simNode, code string) func() error {
	return func() error {
		if codesOf(n, code) == "" {
			return fmt.Errorf("%s does not warn of %s", n.host.Name(), code)
		}
		return nil
	}
}

// signing checks whom a node takes for authorities, by what they say and by what they have shown.
func (b *bubble) signing(by *simNode, names ...string) func() error {
	return func() error {
		got, shown := map[micronet.NodeID]bool{}, by.life().rights()
		for _, id := range by.life().authorities() {
			got[id] = true
		}
		for _, name := range names {
			if id := b.nodes[name].node.ID(); !got[id] || shown[id] == 0 {
				return fmt.Errorf("%s does not take %s for an authority", by.host.Name(), name)
			}
		}
		if len(got) != len(names) {
			return fmt.Errorf("%s knows %d authorities, want %v", by.host.Name(), len(got), names)
		}
		return nil
	}
}

// TestQ8_PromotedNodeStandsIn: a promoted node invites and renews at once, also when the founder is down,
// and after a restart.
func TestQ8_PromotedNodeStandsIn(t *testing.T) {
	inBubble(t, 401, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c")
		a, deputy, c := all[0], all[1], all[2]
		if codesOf(a, "one-authority") == "" {
			t.Error("a cluster that hangs on one key is not warned of")
		}
		p := b.promote(a, "b")
		if p.Node != "b" || p.ID != deputy.node.ID().String() || p.Ends.Sub(a.host.Env().Wall()) < 364*day {
			t.Errorf("promoted %+v", p)
		}
		b.await(10*time.Second, "c sees both", b.signing(c, "a", "b"))
		b.await(10*time.Second, "c shows what they may", func() error {
			if got := rolesAt(c); got != "a root,authority; b authority; c ; " {
				return fmt.Errorf("it shows %s", got)
			}
			return nil
		})
		if s := a.backend().Status(); signs(s.Node.Roles) != "root,authority" {
			t.Errorf("a says of itself %v", s.Node.Roles)
		}
		b.await(10*time.Second, "the warning ends", func() error {
			if codesOf(a, "one-authority") != "" {
				return fmt.Errorf("it warns on")
			}
			return nil
		})
		if raw, found, err := deputy.node.disk.loadRaw(filePromotion); !found || err != nil || len(raw) == 0 {
			t.Errorf("the promotion is not on disk: %v", err)
		}
		log, err := a.backend().Issuances()
		if last := log.Issued[len(log.Issued)-1]; err != nil || log.Fault != "" || last.What != identity.IssuedPromote || last.ID != p.ID {
			t.Errorf("the promotion is not in the log: %+v, %v", log, err)
		}
		b.halt(a)
		b.await(20*time.Second, "c sees b alone", b.signing(c, "b"))
		n := b.start("d", b.invite(deputy))
		b.await(15*time.Second, "all see all", b.alive(3, deputy, c, n))
		ends := c.host.Env().Wall().Add(identity.NodeTerm)
		b.later(9 * day)
		for _, o := range []*simNode{deputy, c, n} {
			b.await(time.Minute, "renewed by b", b.renewed(o, ends, deputy, c, n))
			if m := o.life().pass.member(); len(m.Issuers) != 1 {
				t.Errorf("%s was renewed by the root", o.host.Name())
			}
		}
		b.halt(deputy)
		deputy = b.start("b", "")
		for _, name := range []string{"e", "late"} {
			b.prepare(name).host.StepWall(9 * day)
		}
		b.start("e", b.invite(deputy))
		a = b.start("a", "")
		b.await(15*time.Second, "the founder is back", b.alive(5, a, deputy, c, n, b.nodes["e"]))
		// Names that the other authority gave are taken, in both directions.
		twin := b.start("late", b.invite(a), func(c *Config) { c.Env.Host.Name = "e" })
		if got := twin.backend().Status().Node.Name; got != "e-2" {
			t.Errorf("it is called %s, want e-2", got)
		}
	})
}

// TestPromotionsAreRefused where the root key is not, to who is not there, and from who is not entitled.
func TestPromotionsAreRefused(t *testing.T) {
	inBubble(t, 402, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c")
		a, o := all[0], all[1]
		promote := func(at *simNode, name string) error {
			_, err := at.backend().Promote(t.Context(), api.PromoteRequest{Node: name})
			return err
		}
		wantError(t, "elsewhere", promote(o, "c"), micronet.Refused, "no authority", "run it on a")
		wantError(t, "nobody", promote(a, "nobody"), micronet.NotFound, "nobody")
		b.promote(a, o.node.ID().String()[:12])
		b.await(10*time.Second, "b knows where the root key is", func() error {
			if len(o.life().rootHolders()) == 0 {
				return fmt.Errorf("nowhere")
			}
			return nil
		})
		wantError(t, "without the root key", promote(o, "c"), micronet.Refused, "root key of the cluster is not on this host", "run it on a")
		b.halt(all[2])
		b.await(10*time.Second, "c is gone", b.seen("c", micronet.Left, "a"))
		before := a.life().gate.authority.Load().log.at.Count
		wantError(t, "who is not there", promote(a, "c"), micronet.Unreachable, "c is left")
		if now := a.life().gate.authority.Load().log.at.Count; now != before {
			t.Error("a promotion that nobody could take was issued")
		}
		mine := o.life().pass.promotion.Load()
		raw, err := mine.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		_, err = a.life().extend(all[2].node.ID(), raw)
		wantError(t, "another's promotion", err, micronet.Refused, "not one of the node that shows it")
		_, err = o.life().extend(o.node.ID(), raw)
		wantError(t, "extended without the root key", err, micronet.Refused, "not on this host")
		wantError(t, "for another key", a.life().takePromotion(t.Context(), *mine), micronet.Unauthorized, "not for this node's key")
		wantError(t, "garbage", o.life().ask(t.Context(), a.node.ID(), controlRequest{Verb: verbPromote, Promotion: []byte("{}")}, nil), micronet.Invalid)
	})
}

// TestPromotionsAreRenewed from half of their term on, and warned of where nobody can; what has ended
// makes nobody an authority.
func TestPromotionsAreRenewed(t *testing.T) {
	inBubble(t, 403, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c")
		a, deputy := all[0], all[1]
		b.promote(a, "b")
		pass := func(days int) {
			for range days {
				b.later(day)
				time.Sleep(30 * time.Second)
			}
		}
		first := deputy.life().pass.promotion.Load().Ends()
		for range 22 { // half of a year and the draw
			b.later(10 * day)
			time.Sleep(time.Minute)
		}
		second := deputy.life().pass.promotion.Load().Ends()
		if !second.After(first.Add(150 * day)) {
			t.Fatalf("it ends %s, and did at first %s", second, first)
		}
		if got := codesOf(deputy, "promotion-ends", "promotion-ended"); got != "" {
			t.Errorf("it warns of %s", got)
		}
		b.halt(a)
		for range 25 {
			b.later(10 * day)
			time.Sleep(time.Minute)
		}
		if got := codesOf(deputy, "promotion-ends", "promotion-ended"); got != "promotion-ends" {
			t.Errorf("it warns of %q", got)
		}
		for deputy.host.Env().Wall().Before(second) {
			pass(5)
		}
		if got := codesOf(deputy, "promotion-ends", "promotion-ended"); got != "promotion-ended" {
			t.Errorf("it warns of %q", got)
		}
		_, err := deputy.backend().Invite(api.InviteRequest{})
		wantError(t, "invite", err, micronet.Refused, "no authority")
		if f := deputy.life().address.next().Flags; f&(identity.FlagAuthority|identity.FlagRoot) != 0 {
			t.Errorf("it says that it can sign: %b", f)
		}
	})
}

// TestQ7_RootKeyMayGo: with a promotion of its own the founder signs on without the root key.
func TestQ7_RootKeyMayGo(t *testing.T) {
	inBubble(t, 404, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b")
		a := all[0]
		sealed, err := a.backend().ExportRoot(phrase)
		if err != nil {
			t.Fatal(err)
		}
		r := api.RootRemoval{SealedRoot: api.SealedRoot{Root: sealed.Root, Passphrase: phrase}}
		wantError(t, "the only authority", a.backend().RemoveRoot(r), micronet.Refused, "node promote")
		b.promote(a, "a")
		if err := a.backend().RemoveRoot(r); err != nil {
			t.Fatal(err)
		}
		n := b.start("c", b.invite(a))
		b.await(15*time.Second, "all see all", b.alive(3, a, all[1], n))
		b.await(10*time.Second, "the root key is nowhere", func() error {
			if k := len(n.life().rootHolders()); k != 0 {
				return fmt.Errorf("%d have it", k)
			}
			return b.signing(n, "a")()
		})
		_, err = a.backend().Promote(t.Context(), api.PromoteRequest{Node: "b"})
		wantError(t, "promote", err, micronet.Refused, "root key of the cluster is not on this host", "root import")
	})
}

// TestNameFromTwoAuthorities: a name that two authorities gave out while they did not hear each other
// belongs to one node in the end, the same in all eyes; it is renewed at both, the other at none.
func TestNameFromTwoAuthorities(t *testing.T) {
	inBubble(t, 405, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b")
		b.promote(all[0], "b")
		heal := b.world.Partition([]*netsim.Host{all[0].host, b.prepare("one").host}, []*netsim.Host{all[1].host, b.prepare("two").host})
		b.await(30*time.Second, "they are apart", b.alive(1, all...))
		named := func(c *Config) { c.Env.Host.Name = "worker" }
		one := b.start("one", b.invite(all[0]), named)
		two := b.start("two", b.invite(all[1]), named)
		for _, n := range []*simNode{one, two} {
			if n.life().name != "worker" {
				t.Fatalf("%s is called %s", n.host.Name(), n.life().name)
			}
		}
		heal()
		b.await(30*time.Second, "all see all", b.alive(4, all[0], all[1], one, two))
		winner, loser := one, two
		if m, o := one.life().pass.member(), two.life().pass.member(); o.NotBefore.After(m.NotBefore) ||
			(o.NotBefore.Equal(m.NotBefore) && two.node.ID().String() < one.node.ID().String()) {
			winner, loser = two, one
		}
		b.await(10*time.Second, "both are told", func() error {
			for _, n := range []*simNode{one, two} {
				if codesOf(n, nameTwice) == "" {
					return fmt.Errorf("%s is not told", n.host.Name())
				}
			}
			return nil
		})
		contains(t, "the loser", warningOf(loser, nameTwice), "belongs to another one now: "+winner.node.ID().Short())
		for _, at := range all {
			au := at.life().gate.authority.Load()
			if _, err := at.life().renewFor(au, winner.node.ID()); err != nil {
				t.Errorf("%s does not renew for the winner: %v", at.host.Name(), err)
			}
			_, err := at.life().renewFor(au, loser.node.ID())
			wantError(t, at.host.Name()+" renews for the loser", err, micronet.Refused, "belongs to another node now")
		}
	})
}

// TestLastAuthorityStays: leaving needs --force for the last one, and for who has the only root key.
func TestLastAuthorityStays(t *testing.T) {
	inBubble(t, 406, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c")
		_, err := all[0].backend().Leave(t.Context(), api.LeaveRequest{})
		wantError(t, "the last authority", err, micronet.Refused, "only authority", "node promote")
		b.promote(all[0], "b")
		b.await(10*time.Second, "all know", b.signing(all[0], "b"))
		_, err = all[0].backend().Leave(t.Context(), api.LeaveRequest{})
		wantError(t, "who has the only root key", err, micronet.Refused, "never exported", "--force")
		f, err := all[0].backend().Leave(t.Context(), api.LeaveRequest{Force: true})
		if err != nil {
			t.Fatal(err)
		}
		contains(t, "the warning", f.Warning, "root key", "never exported")
		b.await(30*time.Second, "b is the last one", b.signing(all[2], "b"))
		_, err = all[1].backend().Leave(t.Context(), api.LeaveRequest{})
		wantError(t, "the last but one", err, micronet.Refused, "only authority")
	})
}

// TestNothingIsSaidAfterARight: what an authority says once its right has ended is refused by all, and what it had said
// before is not.
func TestNothingIsSaidAfterARight(t *testing.T) {
	inBubble(t, 444, func(t *testing.T, b *bubble) {
		all := b.withDeputy()
		issuer, began := all[1].life().gate.authority.Load().issuer.Load(), all[0].host.Env().Wall()
		b.later(400 * day)
		say := func(wall time.Time) []byte {
			raw, err := issuer.State(began, identity.Statement{Kind: testWord, Subject: []byte("x"), Clock: identity.ClockAt(wall)})
			if err != nil {
				t.Fatal(err)
			}
			return raw
		}
		for _, n := range []*simNode{all[0], all[2]} {
			if added, refused, err := n.life().statements.take([][]byte{say(n.host.Env().Wall())}); err != nil || len(added) != 0 || refused != 1 {
				t.Errorf("%s takes %d, refuses %d: %v", n.host.Name(), len(added), refused, err)
			}
			if added, refused, err := n.life().statements.take([][]byte{say(began)}); err != nil || refused != 0 {
				t.Errorf("what was said before: %s takes %d, refuses %d: %v", n.host.Name(), len(added), refused, err)
			}
		}
	})
}

// TestRightComesBack: a right to sign that had ended by a clock that was wrong, while the daemon ran or when it
// started, is there again when the clock is right.
func TestRightComesBack(t *testing.T) {
	inBubble(t, 419, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b")
		deputy := all[1]
		b.promote(all[0], "b")
		b.await(10*time.Second, "it signs", b.signing(all[0], "b"))
		signs := func(want bool) func() error {
			return func() error {
				if got := deputy.life().gate.authority.Load() != nil; got != want {
					return fmt.Errorf("it signs: %v", got)
				}
				return nil
			}
		}
		for _, step := range []time.Duration{2 * 365 * day, -5 * 365 * day} {
			deputy.host.StepWall(step)
			b.await(time.Minute, "the clock is wrong", signs(false))
			deputy.host.StepWall(-step)
			b.await(time.Minute, "the clock is right", signs(true))
		}
		b.halt(deputy)
		deputy.host.StepWall(2 * 365 * day)
		deputy = b.launch("b", "")
		b.await(time.Minute, "it is there", func() error {
			if deputy.life() == nil {
				return fmt.Errorf("not yet")
			}
			return signs(false)()
		})
		deputy.host.StepWall(-2 * 365 * day)
		b.await(time.Minute, "the clock is right", signs(true))
		b.start("c", b.invite(deputy))
	})
}

// signs lists the roles that have to do with signing.
func signs(roles []string) string {
	return strings.Join(slices.DeleteFunc(slices.Clone(roles), func(r string) bool { return r == api.RoleRelay }), ",")
}
