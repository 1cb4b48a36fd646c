package node

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/node/api"
)

func (b *bubble) demote(at *simNode, name string) {
	b.t.Helper()
	if _, err := at.backend().Demote(b.t.Context(), api.DemoteRequest{Node: name}); err != nil {
		b.t.Fatal(err)
	}
}

// exported is the root key of a node, with what opens it.
func exported(t *testing.T, n *simNode) api.SealedRoot {
	t.Helper()
	sealed, err := n.backend().ExportRoot(phrase)
	if err != nil {
		t.Fatal(err)
	}
	sealed.Passphrase = phrase
	return sealed
}

// holdsRoot checks that a node takes another one for a holder of the root key.
func showsRoot(by *simNode, name string) error {
	for _, o := range by.backend().Nodes() {
		if o.Name == name && slices.Contains(o.Roles, api.RoleRoot) {
			return nil
		}
	}
	return fmt.Errorf("%s is not shown with the key", name)
}

// TestQ8_DemotedNodeStaysAMember: it signs no more, at once and after restarts, and says so; who was renewed by
// it stays; promoted anew it signs again.
func TestQ8_DemotedNodeStaysAMember(t *testing.T) {
	inBubble(t, 411, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c")
		a, deputy, c := all[0], all[1], all[2]
		demote := func(r api.DemoteRequest) error {
			_, err := a.backend().Demote(t.Context(), r)
			return err
		}
		wantError(t, "no authority", demote(api.DemoteRequest{Node: "b"}), micronet.Refused, "does not say that it is an authority", "--force")
		wantError(t, "itself", demote(api.DemoteRequest{Node: "a"}), micronet.Refused, "signs with it", "root export")
		wantError(t, "nobody", demote(api.DemoteRequest{Node: "x"}), micronet.NotFound)
		_, err := c.backend().Demote(t.Context(), api.DemoteRequest{Node: "b"})
		wantError(t, "elsewhere", err, micronet.Refused, "run it on a")
		b.promote(a, "b")
		b.await(10*time.Second, "all know", b.signing(c, "a", "b"))
		if err := deputy.backend().ImportRoot(exported(t, a)); err != nil {
			t.Fatal(err)
		}
		b.await(10*time.Second, "a knows that b has the key", func() error { return showsRoot(a, "b") })
		wantError(t, "with the root key", demote(api.DemoteRequest{Node: "b"}), micronet.Refused, "b has the root key", "on b: `micro-net node root export FILE --remove`")
		if err := deputy.backend().RemoveRoot(api.RootRemoval{SealedRoot: exported(t, deputy)}); err != nil {
			t.Fatal(err)
		}
		b.await(10*time.Second, "a knows that b has it no more", func() error {
			if showsRoot(a, "b") == nil {
				return errors.New("it does not")
			}
			return nil
		})
		b.halt(a)
		n := b.start("d", b.invite(deputy)) // by b
		a = b.start("a", "")
		b.await(15*time.Second, "all see all", b.alive(4, a, deputy, c, n))
		b.await(10*time.Second, "a knows", b.signing(a, "b"))
		right := deputy.life().gate.authority.Load().issuer.Load()
		token := b.invite(deputy)
		time.Sleep(2 * time.Second)
		b.demote(a, "b")
		b.await(5*time.Second, "b has given it up", func() error {
			if deputy.life().gate.authority.Load() != nil {
				return fmt.Errorf("it signs")
			}
			return nil
		})
		if _, found, _ := deputy.node.disk.loadRaw(filePromotion); found {
			t.Error("the promotion is still on disk")
		}
		_, err = deputy.backend().Invite(api.InviteRequest{})
		wantError(t, "invite", err, micronet.Refused, "no authority", "run it on a")
		b.await(10*time.Second, "all know", b.signing(c, "a"))
		guest := b.launch("guest", token)
		if err := b.ended(guest, time.Minute); err == nil {
			t.Error("its token is good for something")
		}
		// What it would issue all the same counts nowhere.
		time.Sleep(2 * time.Second)
		m, err := right.Issue(deputy.host.Env().Wall(), identity.Request{ID: n.node.ID(), Name: "d"})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range []*simNode{a, c, n} {
			_, err := o.life().pass.trust.VerifyGrant(m.Grant, m.Issuers, o.host.Env().Wall())
			wantError(t, o.host.Name(), err, micronet.Unauthorized, "no authority any more")
		}
		b.halt(n)
		b.halt(deputy)
		n, deputy = b.start("d", ""), b.start("b", "")
		b.await(15*time.Second, "who was admitted by it is a member, and so is it", b.alive(4, a, deputy, c, n))
		if deputy.life().gate.authority.Load() != nil {
			t.Error("after a restart it signs")
		}
		b.promote(a, "b")
		b.await(10*time.Second, "it signs again", b.signing(c, "a", "b"))
		e := b.start("e", b.invite(deputy))
		b.await(15*time.Second, "all see all", b.alive(5, a, deputy, c, n, e))
	})
}

// TestDemotedWhileAway: who did not hear of it learns of it when it is back, before it signs anything that
// counts; a promotion that was made before does not bring it back.
func TestDemotedWhileAway(t *testing.T) {
	inBubble(t, 412, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c")
		b.promote(all[0], "b")
		old := *all[1].life().pass.promotion.Load()
		b.halt(all[1])
		b.await(10*time.Second, "b is gone", b.seen("b", micronet.Left, "a"))
		b.demote(all[0], "b")
		deputy := b.start("b", "")
		b.await(15*time.Second, "b knows", func() error {
			if deputy.life().gate.authority.Load() != nil {
				return fmt.Errorf("it signs")
			}
			return nil
		})
		wantError(t, "the promotion from before", deputy.life().takePromotion(t.Context(), old), micronet.Unauthorized, "demoted")
		raw, err := old.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		_, err = all[0].life().extend(deputy.node.ID(), raw)
		wantError(t, "an extension of it", err, micronet.Refused, "demoted")
	})
}

// rotated checks that nodes have certificates under the newest root, and trust no other one anew.
func (b *bubble) rotated(roots int, by ...*simNode) func() error {
	return func() error {
		for _, n := range by {
			l := n.life()
			m, list := l.pass.member(), l.pass.trust.Roots()
			if len(list) != roots {
				return fmt.Errorf("%s trusts %d roots", n.host.Name(), len(list))
			}
			if h := l.heir.Load(); h == nil || h.key != m.Origin() {
				return fmt.Errorf("%s has a certificate under a former root", n.host.Name())
			}
			if ended := len(l.statements.ended()); ended != roots-1 {
				return fmt.Errorf("%s knows of %d ends", n.host.Name(), ended)
			}
		}
		return nil
	}
}

func (b *bubble) rotate(at *simNode) api.Rotation {
	b.t.Helper()
	r, err := at.backend().RotateRoot(b.t.Context(), api.RotateRequest{Force: true})
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

// TestQ8_RootRotates: everybody gets a certificate under the new root, promoted nodes a new promotion, the
// former root ends, and connections stay. The cluster keeps its id; tokens from before are good.
func TestQ8_RootRotates(t *testing.T) {
	inBubble(t, 413, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c", "d")
		a := all[0]
		cluster := a.life().pass.trust.Cluster()
		b.promote(a, "b")
		b.await(10*time.Second, "all know", b.signing(all[2], "a", "b"))
		sealed, err := a.backend().ExportRoot(phrase)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.backend().RootKept(api.SealedRoot{Root: sealed.Root, Passphrase: phrase}); err != nil {
			t.Fatal(err)
		}
		b.serve(all[1], "echo", "b")
		b.await(5*time.Second, "echo", b.answers(all[2], "echo", "b"))
		conn, err := all[2].backend().Dial(t.Context(), "echo", micronet.Caller{})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		before, inside := b.inviteWith(a, api.InviteRequest{TTL: "24h"}), b.inviteWith(all[1], api.InviteRequest{TTL: "24h"})
		r := b.rotate(a)
		if r.Step != api.RotationAnnounced || r.Nodes != 4 || r.Renewed != 0 || len(r.Waiting) != 4 {
			t.Errorf("%+v", r)
		}
		if again := b.rotate(a); again.Root != r.Root {
			t.Error("asked twice it makes another root")
		}
		_, err = a.backend().ExportRoot(phrase)
		wantError(t, "export", err, micronet.Refused, "being replaced")
		_, err = a.backend().RotateRoot(t.Context(), api.RotateRequest{Retire: true})
		wantError(t, "too early", err, micronet.Refused, "does not sign yet")
		if codesOf(a, "root-rotation") == "" {
			t.Error("status does not tell")
		}
		b.await(3*time.Minute, "all have moved", b.rotated(2, all...))
		for _, n := range all {
			if n.life().pass.trust.Cluster() != cluster {
				t.Error("it is another cluster")
			}
		}
		b.await(time.Minute, "it is over", func() error {
			if got := codesOf(a, "root-rotation"); got != "" {
				return fmt.Errorf("a warns of %s", got)
			}
			if p := all[1].life().pass.promotion.Load(); p.Origin() != all[0].life().heir.Load().key {
				return fmt.Errorf("b has the promotion from before")
			}
			return nil
		})
		if _, found, _ := a.node.disk.loadRaw(fileNextRoot); found {
			t.Error("root.next is left")
		}
		if _, err := conn.Write([]byte("x")); err != nil {
			t.Errorf("the connection was cut: %v", err)
		}
		wantError(t, "the former root", a.backend().ImportRoot(api.SealedRoot{Root: sealed.Root, Passphrase: phrase}), micronet.Refused, "was replaced")
		if a.life().gate.authority.Load().exported.Load() {
			t.Error("the new root key counts as exported")
		}
		e, f := b.start("e", before), b.start("f", inside)
		b.await(20*time.Second, "all see all", b.alive(6, append(all, e, f)...))
		b.halt(a)
		a = b.start("a", "")
		b.await(20*time.Second, "after a restart", b.alive(6, a, all[1], e))
		b.rotate(a)
		b.await(4*time.Minute, "and once more", b.rotated(3, a, all[1], all[2], all[3], e, f))
		g := b.start("g", b.invite(a))
		b.await(20*time.Second, "all see all", b.alive(7, a, g))
	})
}

// TestQ8_AwayWhileTheRootRotates: nodes that were off while the root was replaced, once or twice, are back by
// themselves; one whose certificate has ended within the grace as well.
func TestQ8_AwayWhileTheRootRotates(t *testing.T) {
	for _, times := range []int{1, 2} {
		for _, off := range []int{0, 20} {
			t.Run(fmt.Sprintf("%d times, %d days", times, off), func(t *testing.T) {
				inBubble(t, 414, func(t *testing.T, b *bubble) {
					all := b.mesh("a", "b", "late")
					late := all[2]
					b.halt(late)
					b.await(20*time.Second, "it is gone", b.seen("late", micronet.Left, "a", "b"))
					for i := range times {
						b.rotate(all[0])
						b.await(3*time.Minute, "the others have moved", b.rotated(2+i, all[:2]...))
						b.await(time.Minute, "it is over", func() error {
							if all[0].life().pass.next.Load() != nil {
								return fmt.Errorf("not yet")
							}
							return nil
						})
					}
					for range off {
						b.later(day)
						time.Sleep(30 * time.Second)
					}
					b.launch("late", "")
					b.await(time.Minute, "it is back", b.seen("late", micronet.Alive, "a", "b"))
					b.await(3*time.Minute, "it has moved", b.rotated(1+times, all[0], all[1], late))
					b.await(20*time.Second, "it sees all", b.alive(3, late))
				})
			})
		}
	}
}

// TestQ8_RotationSurvivesCrashes: the disk of the node with the root key takes no more changes after the first,
// the second and so on while it replaces that, and then its power fails. Whatever was begun goes on by itself,
// no root is lost, and everybody is there.
func TestQ8_RotationSurvivesCrashes(t *testing.T) {
	inBubble(t, 415, func(t *testing.T, b *bubble) {
		for step := 0; ; step++ {
			names := []string{fmt.Sprintf("a%d", step), fmt.Sprintf("b%d", step)}
			all := b.mesh(names...)
			a := all[0]
			failAfter(a.host.Disk(), step)
			_, err := a.backend().RotateRoot(t.Context(), api.RotateRequest{})
			time.Sleep(2 * time.Minute)
			whole := err == nil && b.rotated(2, all...)() == nil && a.life().pass.next.Load() == nil
			b.powerCut(a)
			a = b.start(names[0], "")
			b.await(20*time.Second, fmt.Sprintf("step %d: both are there", step), b.alive(2, a, all[1]))
			begun := a.life().pass.next.Load() != nil || len(a.life().pass.trust.Roots()) > 1
			if err == nil && !begun {
				t.Errorf("step %d: what was announced is forgotten", step)
			}
			if !begun {
				b.rotate(a)
			}
			b.await(4*time.Minute, fmt.Sprintf("step %d: it goes on", step), b.rotated(2, a, all[1]))
			b.await(time.Minute, "it is over", func() error {
				if _, found, _ := a.node.disk.loadRaw(fileNextRoot); found || a.life().pass.next.Load() != nil {
					return fmt.Errorf("not yet")
				}
				return nil
			})
			if b.invite(a) == "" {
				t.Errorf("step %d: no token", step)
			}
			b.halt(all[1])
			b.halt(a)
			if whole {
				if step < 20 {
					t.Errorf("there are only %d steps", step)
				}
				return
			}
		}
	})
}

// TestQ8_OlderMembershipAfterARotation: a membership that is as it was before the root was replaced does not keep
// a node from starting with the new root key, be it made or imported there.
func TestQ8_OlderMembershipAfterARotation(t *testing.T) {
	inBubble(t, 416, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b")
		b.rotate(all[0])
		b.await(4*time.Minute, "all have moved", b.rotated(2, all...))
		b.await(time.Minute, "it is over", b.over(all[0]))
		sealed, err := all[0].backend().ExportRoot(phrase)
		if err != nil {
			t.Fatal(err)
		}
		if err := all[1].backend().ImportRoot(api.SealedRoot{Root: sealed.Root, Passphrase: phrase}); err != nil {
			t.Fatal(err)
		}
		for i, n := range all {
			name := n.host.Name()
			b.powerCut(n)
			d := disk{fs: n.host.FS(), dir: testDir}
			if err := d.write(fileMembership, []byte("damaged")); err != nil {
				t.Fatal(err)
			}
			all[i] = b.start(name, "")
			if codesOf(all[i], "damaged-file") == "" {
				t.Errorf("%s does not say that its membership was damaged", name)
			}
			if b.invite(all[i]) == "" {
				t.Errorf("%s makes no tokens", name)
			}
		}
		b.await(20*time.Second, "both are there", b.alive(2, all...))
		b.await(4*time.Minute, "both have moved again", b.rotated(2, all...))
	})
}

// over checks that the root key is not being replaced at a node.
func (b *bubble) over(at *simNode) func() error {
	return func() error {
		if _, found, _ := at.node.disk.loadRaw(fileNextRoot); found || at.life().pass.next.Load() != nil {
			return fmt.Errorf("the root key is still being replaced")
		}
		return nil
	}
}

// TestRotationIsNotBegunTwice: who asks how far a replacement of the root key is, or runs it again when it has ended,
// begins no other one; any node tells how far it is.
func TestRotationIsNotBegunTwice(t *testing.T) {
	inBubble(t, 417, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b")
		ask := func(at *simNode, r api.RotateRequest) (api.Rotation, error) {
			return at.backend().RotateRoot(t.Context(), r)
		}
		expect := func(step string, by ...*simNode) {
			t.Helper()
			for _, n := range by {
				if r, err := ask(n, api.RotateRequest{Status: true}); err != nil || r.Step != step || r.Nodes != 2 || (r.Ended != nil) != (step == api.RotationRetired) {
					t.Errorf("%s: %+v, %v; want %s", n.host.Name(), r, err, step)
				}
			}
		}
		expect(api.RotationNone, all...)
		first, err := ask(all[0], api.RotateRequest{})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		expect(api.RotationAnnounced, all...)
		if again, err := ask(all[0], api.RotateRequest{}); err != nil || again.Root != first.Root {
			t.Errorf("while it is under way: %+v, %v", again, err)
		}
		b.await(4*time.Minute, "all have moved", b.rotated(2, all...))
		b.await(time.Minute, "it is over", b.over(all[0]))
		expect(api.RotationRetired, all...)
		_, err = ask(all[0], api.RotateRequest{})
		wantError(t, "again", err, micronet.Refused, "replaced already: that ended on", "--status", "--yes")
		b.later(day)
		if r, err := ask(all[0], api.RotateRequest{}); err != nil || r.Root == first.Root {
			t.Errorf("a day later: %+v, %v", r, err)
		}
	})
}

// TestRotationWaitsForItsHost: while the node with the root keys is down, nobody asks for certificates that would
// lead back, none are issued, and nothing counts as failed: everybody moves as soon as it is there again.
func TestRotationWaitsForItsHost(t *testing.T) {
	inBubble(t, 418, func(t *testing.T, b *bubble) {
		all := b.withDeputy()
		b.rotate(all[0])
		raw, err := all[1].life().pass.promotion.Load().Marshal()
		if err != nil {
			t.Fatal(err)
		}
		_, err = all[0].life().extend(all[1].node.ID(), raw)
		wantError(t, "a promotion before the new root signs", err, micronet.Refused, "does not sign here yet")
		time.Sleep(10 * time.Second)
		b.halt(all[0])
		deputy := all[1].life().gate.authority.Load()
		before := deputy.log.at.Count
		time.Sleep(time.Hour)
		if n := deputy.log.at.Count - before; n != 0 {
			t.Errorf("%d certificates were issued that nobody can use", n)
		}
		err = all[2].life().renewAt(t.Context(), all[1].node.ID())
		wantError(t, "who asks all the same", err, micronet.Refused, "the new one does not sign here yet")
		if n := len(deputy.asked); n != 0 {
			t.Errorf("%d nodes are counted", n)
		}
		all[0] = b.start("a", "")
		b.await(time.Minute, "all have moved", b.rotated(2, all...))
		b.await(time.Minute, "it is over", b.over(all[0]))
	})
}

// TestRootKeyAndOtherChanges: what comes between the steps of a replacement neither takes the key away from it nor
// brings it back after the node has left.
func TestRootKeyAndOtherChanges(t *testing.T) {
	inBubble(t, 420, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b")
		a := all[0]
		b.promote(a, "b")
		b.await(10*time.Second, "b signs", b.signing(a, "b"))
		sealed, err := a.backend().ExportRoot(phrase)
		if err != nil {
			t.Fatal(err)
		}
		q := api.SealedRoot{Root: sealed.Root, Passphrase: phrase}
		l := a.life()
		// A removal that waits while a replacement begins finds that it is under way.
		removed := make(chan error, 1)
		if err := l.inRotation(t.Context(), func() error {
			go func() { removed <- a.backend().RemoveRoot(api.RootRemoval{SealedRoot: q, Force: true}) }()
			time.Sleep(time.Second)
			return l.beginRotation(t.Context())
		}); err != nil {
			t.Fatal(err)
		}
		wantError(t, "remove", <-removed, micronet.Refused, "being replaced")
		b.await(4*time.Minute, "all have moved", b.rotated(2, all...))
		b.await(time.Minute, "it is over", b.over(a))
		wantError(t, "what was exported before", a.backend().RootKept(q), micronet.Refused, "was replaced")
		if sealed, err = a.backend().ExportRoot(phrase); err != nil {
			t.Fatal(err)
		}
		q.Root = sealed.Root
		next, err := l.pass.root.Load().Succeed(l.env.Entropy, l.env.Wall())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.backend().Leave(t.Context(), api.LeaveRequest{Force: true}); err != nil {
			t.Fatal(err)
		}
		l.pass.next.Store(&next)
		wantError(t, "the end of a replacement after leave", l.finishRotation(t.Context()), micronet.Closed, "has left")
		l.pass.next.Store(nil)
		wantError(t, "import after leave", l.importRoot(*l.pass.root.Load()), micronet.Closed, "has left")
		wantError(t, "a new key after leave", l.drawRoot(), micronet.Closed, "has left")
		if err := b.ended(a, 2*drainFor); err != nil {
			t.Error(err)
		}
		for _, name := range []string{fileRootKey, fileNextRoot} {
			if _, found, _ := (disk{fs: a.host.FS(), dir: testDir}).loadRaw(name); found {
				t.Errorf("%s is on disk after leave", name)
			}
		}
	})
}

// TestRotationTold: the warning says what there is to wait for, and names a few of many.
func TestRotationTold(t *testing.T) {
	w := rotationTold(&api.Rotation{Step: api.RotationAnnounced, Nodes: 3, Waiting: []string{"a", "b", "c"}})
	contains(t, "announced", w.Text+"; "+w.Fix, "announced to 3 nodes, and signs in a minute; wait")
	w = rotationTold(&api.Rotation{Step: api.RotationRenewing, Nodes: 9, Renewed: 2, Waiting: []string{"a", "b", "c", "d", "e", "f", "g"}})
	contains(t, "renewing", w.Text+"; "+w.Fix, "2 of 9 nodes", "these do not yet: a, b, c, d, e, and 2 more; wait for them", "node root rotate --retire")
	w = rotationTold(&api.Rotation{Step: api.RotationRenewing, Nodes: 2, Renewed: 2})
	contains(t, "renewed", w.Text+"; "+w.Fix, "2 of 2 nodes", "wait, it goes on by itself")
}
