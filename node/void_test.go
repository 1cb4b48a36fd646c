package node

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/node/api"
	"github.com/micro/micro-net/sim/netsim"
)

// accepted checks that the certificates of nodes count in the eyes of others, and that nobody warns.
func accepted(at *simNode, of ...*simNode) func() error {
	return func() error {
		for _, n := range of {
			m := n.life().pass.member()
			if err := at.life().pass.trust.VerifyMembership(m, n.node.ID(), at.host.Env().Wall()); err != nil {
				return err
			}
			if got := codesOf(n, "certificate-void", "promotion-void"); got != "" {
				return fmt.Errorf("%s warns of %s", n.host.Name(), got)
			}
		}
		return nil
	}
}

// TestCertificateOfADemotedAuthority: who was cut off with an authority that was demoted meanwhile, and got
// a certificate from it, as that one from itself, is a member like before once it is back.
func TestCertificateOfADemotedAuthority(t *testing.T) {
	inBubble(t, 420, func(t *testing.T, b *bubble) {
		all := b.withDeputy()
		a, deputy, c := all[0], all[1], all[2]
		b.world.Partition([]*netsim.Host{a.host}, []*netsim.Host{deputy.host, c.host})
		b.await(time.Minute, "b and c are gone", b.seen("b", micronet.Dead, "a"))
		b.demote(a, "b")
		ends := a.host.Env().Wall().Add(identity.NodeTerm)
		b.later(9 * day)
		for _, n := range all {
			b.await(2*time.Minute, "renewed", b.renewed(n, ends))
		}
		if accepted(a, deputy)() == nil || accepted(a, c)() == nil {
			t.Error("a would take the certificates that b has issued")
		}
		b.world.Heal()
		b.await(3*time.Minute, "all see all", b.alive(3, all...))
		b.await(2*time.Minute, "all have certificates that count", accepted(a, all...))
		b.await(2*time.Minute, "of a new term", b.renewed(c, ends, a))
	})
}

// TestVoidCertificateIsNotTaken: a node that knows of an authority's end takes no certificate of it, and asks
// another one.
func TestVoidCertificateIsNotTaken(t *testing.T) {
	inBubble(t, 421, func(t *testing.T, b *bubble) {
		all := b.withDeputy()
		a, deputy, c := all[0], all[1], all[2]
		right := deputy.life().gate.authority.Load().issuer.Load()
		b.demote(a, "b")
		b.await(5*time.Second, "c knows", b.signing(c, "a"))
		time.Sleep(2 * time.Second)
		m, err := right.Issue(deputy.host.Env().Wall().Add(time.Minute), identity.Request{ID: c.node.ID(), Name: "c"})
		if err != nil {
			t.Fatal(err)
		}
		wantError(t, "its certificate", c.life().useMembership(t.Context(), m), micronet.Unauthorized, "no authority any more")
	})
}

// TestDisavowedGuest: a certificate that only a disavowed authority has issued is worth nothing, not even
// another one; its holder says so, and joins anew with a token and nothing else.
func TestDisavowedGuest(t *testing.T) {
	inBubble(t, 422, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b")
		a, deputy := all[0], all[1]
		b.promote(a, "b")
		b.await(10*time.Second, "b signs", b.signing(a, "b"))
		b.halt(a)
		guest := b.start("c", b.invite(deputy)) // by b
		a = b.start("a", "")
		b.await(15*time.Second, "all see all", b.alive(3, a, deputy, guest))
		b.serve(a, "echo", "a")
		b.serve(guest, "shop", "c")
		b.await(5*time.Second, "echo", b.answers(guest, "echo", "a"))
		b.await(5*time.Second, "shop", b.answers(a, "shop", "c"))
		conn, err := guest.backend().Dial(t.Context(), "echo", micronet.Caller{})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		b.revoke(a, api.Revocation{Node: "b", Disavow: true})
		if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1024)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("its connection goes on: %v", err)
		}
		b.await(10*time.Second, "c says so", warns(guest, "certificate-void"))
		b.await(10*time.Second, "a says so of c", warns(a, "member-void"))
		contains(t, "why a refuses b", reasonAt(a, "b"), "its key was revoked on")
		for _, n := range []*simNode{a, guest} {
			contains(t, "why c is refused, at "+n.host.Name(), reasonAt(n, "c"), "its certificate does not count", "has been revoked")
		}
		b.await(5*time.Second, "its service is gone", b.withheld(a, "shop"))
		_, err = a.backend().Explain(t.Context(), "shop", micronet.Caller{})
		wantError(t, "explain", err, micronet.NotFound, "what these nodes offer is not used", "c (authority", "revoked")
		b.serve(guest, "late", "c")
		time.Sleep(time.Minute)
		if accepted(a, guest)() == nil {
			t.Error("it has another certificate")
		}
		for _, service := range []string{"shop", "late"} {
			if err := b.withheld(a, service)(); err != nil {
				t.Error(err)
			}
		}
		_, err = a.life().renewFor(a.life().gate.authority.Load(), guest.node.ID())
		wantError(t, "a renewal", err, micronet.Refused, "join anew")
		id := guest.node.ID()
		b.halt(guest)
		guest = b.start("c", b.invite(a))
		b.await(15*time.Second, "it is a member again", accepted(a, guest))
		if guest.node.ID() != id {
			t.Error("it is another node now")
		}
		b.await(5*time.Second, "its service is back", b.answers(a, "shop", "c"))
		if got := reasonAt(a, "c") + codesOf(a, "member-void"); got != "" {
			t.Errorf("a says of c: %s", got)
		}
	})
}

// reasonAt is why a node says that another one is refused.
func reasonAt(n *simNode, name string) string {
	for _, o := range n.backend().Nodes() {
		if o.Name == name {
			return o.Reason
		}
	}
	return "unknown"
}

// withheld checks that a service has no instances at a node.
func (b *bubble) withheld(at *simNode, service string) func() error {
	return func() error {
		if placed := at.life().view.Load().of(micronet.Destination{Service: service}); len(placed) > 0 {
			return fmt.Errorf("%s is at %s", service, placed[0].node.Name)
		}
		return nil
	}
}

// TestInnocentGuest: who had a certificate before it got one of an authority that was disavowed goes back to that, and
// its services with it.
func TestInnocentGuest(t *testing.T) {
	inBubble(t, 424, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c", "d")
		a, deputy, guest := all[0], all[1], all[2]
		b.promote(a, "b")
		b.await(10*time.Second, "b signs", b.signing(a, "b"))
		b.serve(guest, "shop", "c")
		b.await(10*time.Second, "the guest knows", b.signing(guest, "a", "b"))
		ends := guest.host.Env().Wall().Add(identity.NodeTerm)
		time.Sleep(2 * time.Second)
		m, err := deputy.life().gate.authority.Load().issuer.Load().Issue(deputy.host.Env().Wall(), identity.Request{ID: guest.node.ID(), Name: "c"})
		if err != nil {
			t.Fatal(err)
		}
		m.Roots = guest.life().pass.trust.Roots()
		if err := guest.life().useMembership(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		b.await(10*time.Second, "all know its certificate", b.renewed(guest, ends, a, all[3]))
		b.await(5*time.Second, "shop", b.answers(a, "shop", "c"))
		b.world.Partition([]*netsim.Host{guest.host}, []*netsim.Host{a.host, deputy.host, all[3].host})
		b.revoke(a, api.Revocation{Node: "b", Disavow: true})
		for _, n := range []*simNode{a, all[3]} {
			b.await(5*time.Second, "its service is gone", b.withheld(n, "shop"))
		}
		b.world.Heal()
		b.await(3*time.Minute, "it has a certificate that counts", accepted(a, guest))
		for _, n := range []*simNode{a, all[3]} {
			b.await(10*time.Second, "its service is back", b.answers(n, "shop", "c"))
		}
	})
}

// TestPromotionOfAFormerRoot: what a root has signed after it was replaced makes nobody an authority. Who had
// taken it says so, is a member like all others, and starts again.
func TestPromotionOfAFormerRoot(t *testing.T) {
	inBubble(t, 423, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b")
		a, deputy := all[0], all[1]
		former, err := a.life().pass.trust.RootAuthority(*a.life().pass.root.Load(), a.host.Env().Entropy)
		if err != nil {
			t.Fatal(err)
		}
		b.rotate(a)
		b.await(3*time.Minute, "all have moved", b.rotated(2, all...))
		b.await(time.Minute, "it is over", func() error {
			if codesOf(a, "root-rotation") != "" {
				return errors.New("it is not")
			}
			return nil
		})
		time.Sleep(2 * time.Second)
		p, err := former.Promote(a.host.Env().Wall(), deputy.node.ID(), "b")
		if err != nil {
			t.Fatal(err)
		}
		wantError(t, "the promotion", deputy.life().takePromotion(t.Context(), p), micronet.Unauthorized, "no authority any more")
		raw, err := p.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if err := deputy.node.disk.saveRaw(filePromotion, raw); err != nil { // before it knew
			t.Fatal(err)
		}
		b.halt(deputy)
		deputy = b.start("b", "")
		if deputy.life().gate.authority.Load() != nil || codesOf(deputy, "promotion-void") == "" {
			t.Error("it signs, or does not say why it does not")
		}
	})
}

// TestRenewalWhileAnAuthorityEnds: the word that ends the right of who issued a certificate may come while that waits to
// be taken. It is not, and what another authority has issued meanwhile stays.
func TestRenewalWhileAnAuthorityEnds(t *testing.T) {
	inBubble(t, 425, func(t *testing.T, b *bubble) {
		all := b.withDeputy()
		a, deputy, c := all[0], all[1], all[2]
		right, l := deputy.life().gate.authority.Load().issuer.Load(), c.life()
		ahead := time.Duration(0)
		issue := func(by *identity.Authority) identity.Membership {
			ahead += 30 * time.Second // it is dated after the word that ends the right
			m, err := by.Issue(c.host.Env().Wall().Add(ahead), identity.Request{ID: c.node.ID(), Name: "c"})
			if err != nil {
				t.Fatal(err)
			}
			m.Roots = l.pass.trust.Roots()
			return m
		}
		if err := l.useMembership(t.Context(), issue(right)); err != nil {
			t.Fatal(err)
		}
		good, void := issue(a.life().gate.authority.Load().issuer.Load()), issue(right)
		l.pass.turn <- struct{}{} // as while a file is written
		var taken [2]chan error   // each its own: who was served first need not be the first to report
		for i, m := range []identity.Membership{good, void} {
			taken[i] = make(chan error, 1)
			go func() { taken[i] <- l.useMembership(t.Context(), m) }()
			time.Sleep(time.Millisecond)
		}
		b.demote(a, "b")
		b.await(5*time.Second, "c knows", func() error { // b's own word that it signs no more may come first, and proves nothing
			if l.pass.trust.VerifyMembership(void, l.self, l.env.Wall()) == nil {
				return errors.New("what b signs still counts")
			}
			return nil
		})
		<-l.pass.turn
		if err := <-taken[0]; err != nil {
			t.Errorf("the good certificate: %v", err)
		}
		wantError(t, "the other one", <-taken[1], micronet.Unauthorized, "no authority any more")
		time.Sleep(time.Second)
		if m := l.pass.member(); !m.NotAfter.Equal(good.NotAfter) {
			t.Errorf("it uses the one that ends %v, want %v", m.NotAfter, good.NotAfter)
		}
	})
}
