package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/node/api"
	"github.com/micro/micro-net/sim/netsim"
	"github.com/micro/micro-net/tunnel"
)

// revoke revokes a node at an authority.
func (b *bubble) revoke(at *simNode, r api.Revocation) api.Revoked {
	b.t.Helper()
	out, err := at.backend().Revoke(context.Background(), r)
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

// shutOut checks that nodes refuse another one in every way.
func shutOut(name string, by ...*simNode) func() error {
	return func() error {
		for _, n := range by {
			l := n.life()
			if l == nil {
				return fmt.Errorf("%s does not run", n.host.Name())
			}
			i := slices.IndexFunc(n.backend().Nodes(), func(o api.Node) bool { return o.Name == name })
			if i < 0 {
				return fmt.Errorf("%s does not list it", n.host.Name())
			}
			o := n.backend().Nodes()[i]
			id, err := micronet.ParseNodeID(o.ID)
			if err != nil {
				return err
			}
			_, packets := l.under.Peer(id)
			tunnels := slices.ContainsFunc(l.tun.Connections(), func(c tunnel.ConnectionInfo) bool { return c.Peer == id })
			record := l.records.version(id).Epoch != 0
			if o.Status != micronet.Revoked || packets || tunnels || record || !l.pass.trust.Revoked(id) {
				return fmt.Errorf("%s sees it as %s; packets %t, tunnel %t, record %t", n.host.Name(), o.Status, packets, tunnels, record)
			}
		}
		return nil
	}
}

// reads opens a connection through a node and reads from it until it ends; when tells at what time it did.
func (b *bubble) reads(n *simNode, service string) (when chan time.Time) {
	b.t.Helper()
	c, err := n.node.Dial(context.Background(), service)
	if err != nil {
		b.t.Fatal(err)
	}
	when = make(chan time.Time, 1)
	b.wg.Go(func() {
		_, _ = io.Copy(io.Discard, c)
		when <- time.Now()
		_ = c.Close()
	})
	return when
}

// source runs a service that sends without end.
func (b *bubble) source(n *simNode, service string) {
	b.t.Helper()
	ln := b.listen(n.host, "127.0.0.1:0")
	b.accept(ln, func(c net.Conn) {
		for {
			if _, err := c.Write(make([]byte, 1000)); err != nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
	b.register(n, service, ln)
}

// TestQ23_RevocationCutsFlows: who is revoked is refused everywhere within a second, its flows in both
// directions are cut, its services are gone, and it says itself what has happened.
func TestQ23_RevocationCutsFlows(t *testing.T) {
	inBubble(t, 80, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c")
		b.source(all[1], "of-b")
		b.source(all[2], "of-c")
		b.await(5*time.Second, "both are known", func() error {
			_, err1 := all[2].backend().Services("of-b")
			_, err2 := all[1].backend().Services("of-c")
			return errors.Join(err1, err2)
		})
		to, from := b.reads(all[2], "of-b"), b.reads(all[1], "of-c")
		time.Sleep(time.Second)

		begin := time.Now()
		out := b.revoke(all[0], api.Revocation{Node: "b", Reason: "stolen"})
		if out.ID != all[1].node.ID().String() || out.Name != "b" || out.Warning != "" {
			t.Errorf("it answers %+v", out)
		}
		if err := shutOut("b", all[0])(); err != nil {
			b.await(100*time.Millisecond, "it is shut out at the authority", shutOut("b", all[0]))
		}
		b.await(time.Second, "it is shut out at c", shutOut("b", all[2]))
		for what, ended := range map[string]chan time.Time{"to b": to, "from b": from} {
			if took := (<-ended).Sub(begin); took > 2*time.Second {
				t.Errorf("a connection %s was cut after %v", what, took)
			}
		}
		if s, err := all[2].backend().Services("of-b"); err == nil {
			t.Errorf("its service is still there: %+v", s)
		}
		b.await(time.Second, "b knows", func() error {
			w := warned(all[1], "revoked")
			if w == nil || !strings.Contains(w.Text, `"stolen"`) {
				return fmt.Errorf("it says %v", w)
			}
			return nil
		})
		if got := all[2].backend().Status().Nodes; got.Alive != 2 || got.Revoked != 1 {
			t.Errorf("c counts %+v", got)
		}
		b.stays(time.Minute, "it stays out", shutOut("b", all[0], all[2]))
	})
}

// TestRevokedNodeSaysSo: a revoked node is not ready, tells who revoked it, and what it advises works.
func TestRevokedNodeSaysSo(t *testing.T) {
	inBubble(t, 87, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c")
		b.source(all[1], "web")
		b.await(5*time.Second, "c knows it", b.dials(all[2], "web"))
		token := b.invite(all[0])
		b.revoke(all[0], api.Revocation{Node: "c", Reason: "stolen"})
		c := all[2].backend()
		b.await(2*time.Second, "c knows", func() error {
			if s := c.Status(); s.Ready || s.Node.Status != micronet.Revoked || s.Nodes.Revoked != 1 {
				return fmt.Errorf("it says %+v", s)
			}
			return nil
		})
		for _, n := range c.Nodes() {
			if n.Self != (n.Status == micronet.Revoked) {
				t.Errorf("c shows itself so: %+v", n)
			}
		}
		const by = "this node was revoked by the root key, which a has, on "
		b.await(5*time.Second, "a call is refused", func() error {
			_, err := c.Dial(t.Context(), "web", micronet.Caller{})
			if micronet.KindOf(err) != micronet.Refused || !strings.Contains(err.Error(), by) {
				return fmt.Errorf("it ends with %v", err)
			}
			return nil
		})
		wantError(t, "ready", c.Ready(), micronet.Refused, by, `"stolen"`)
		wantError(t, "join", c.Join(t.Context(), token), micronet.Refused, by, "micro-net leave", "up --join")
		if bye, err := c.Leave(t.Context(), api.LeaveRequest{}); bye.Warning != "" || err != nil {
			t.Errorf("leave warns %q, %v", bye.Warning, err)
		}
	})
}

// TestQ3_RevocationIsOfTheKey: no new certificate, restart, token or name makes a revoked key good again, and
// its name is free.
func TestQ3_RevocationIsOfTheKey(t *testing.T) {
	inBubble(t, 81, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c")
		old := all[1].node.ID()
		fresh, err := all[0].life().gate.authority.Load().renew(old, "b", false) // on its way when the key is revoked
		if err != nil {
			t.Fatal(err)
		}
		b.revoke(all[0], api.Revocation{Node: old.String()[:10]})
		b.await(time.Second, "it is shut out", shutOut("b", all[0], all[2]))
		_, err = all[0].life().gate.authority.Load().renew(old, "b", false)
		wantError(t, "renewal", err, micronet.Refused, "revoked")
		credential, err := identity.NewCredential(all[1].life().keys, fresh, identity.Self{Epoch: 1 << 40})
		if err != nil {
			t.Fatal(err)
		}
		if err := all[2].life().admit(old, 1<<40, credential); !errors.Is(err, identity.ErrRevoked) {
			t.Errorf("its newest credential: %v", err)
		}

		// All start again; b has its key, its certificate and its address book.
		for _, n := range all {
			b.halt(n)
		}
		for _, n := range all {
			b.launch(n.host.Name(), "")
		}
		for _, n := range all {
			if err := n.node.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		b.await(20*time.Second, "a and c see each other", b.alive(2, all[0], all[2]))
		b.stays(time.Minute, "it stays out", shutOut("b", all[0], all[2]))

		// A token does not help the key, but it does a new one, which gets the name.
		b.halt(all[1])
		d := disk{fs: all[1].host.FS(), dir: testDir}
		if err := d.remove(fileMembership); err != nil {
			t.Fatal(err)
		}
		token := b.invite(all[0])
		wantError(t, "with a token", b.ended(b.launch("b", token), 30*time.Second), micronet.Refused, "key of this node was revoked")
		if err := d.remove(fileKeys); err != nil {
			t.Fatal(err)
		}
		b.start("b", token, func(c *Config) { c.Name = "b" })
		b.await(15*time.Second, "there is a new b", b.alive(3, all...))
		if id := all[1].node.ID(); id == old {
			t.Error("it has the key that was revoked")
		}
	})
}

// Who was cut off learns of a revocation first thing when it is back; so does the revoked node's side of a
// split, which took it for a member until then.
func TestRevocationAcrossASplit(t *testing.T) {
	inBubble(t, 82, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c", "d")
		b.source(all[1], "of-b")
		b.await(5*time.Second, "it is known", func() error {
			_, err := all[3].backend().Services("of-b")
			return err
		})
		b.world.Partition([]*netsim.Host{all[0].host, all[2].host}, []*netsim.Host{all[1].host, all[3].host})
		b.await(15*time.Second, "each side sees two", b.alive(2, all...))
		ended := b.reads(all[3], "of-b")
		b.revoke(all[0], api.Revocation{Node: "b"})
		b.await(time.Second, "it is shut out at c", shutOut("b", all[0], all[2]))
		time.Sleep(30 * time.Second)
		select {
		case <-ended:
			t.Error("d cannot know, and cut it")
		default:
		}
		b.world.Heal()
		healed := time.Now()
		b.await(12*time.Second, "it is shut out at d", shutOut("b", all[0], all[2], all[3]))
		t.Logf("d knows after %v", time.Since(healed))
		if took := time.Since(<-ended); took > 2*time.Second {
			t.Errorf("its connection ended %v ago", took)
		}
		b.await(12*time.Second, "the rest is whole", b.alive(3, all[0], all[2], all[3]))
	})
}

// A node whose disk was rolled back to before a revocation does not revive the key, and learns again.
func TestRevocationOutlivesARollback(t *testing.T) {
	inBubble(t, 83, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c")
		b.says(all[0], "x", "1")
		b.await(time.Second, "c has a file", knows("x", "1", all[2]))
		path := testDir + "/" + fileStatements
		before, err := all[2].host.FS().ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		b.revoke(all[0], api.Revocation{Node: "b"})
		b.await(time.Second, "it is shut out", shutOut("b", all[0], all[2]))
		b.halt(all[2])
		if err := micronet.WriteFile(all[2].host.FS(), path, before, secretPerm); err != nil {
			t.Fatal(err)
		}
		b.start("c", "")
		b.await(2*time.Second, "c knows again", shutOut("b", all[0], all[2]))
		b.stays(30*time.Second, "it stays out", shutOut("b", all[0], all[2]))
	})
}

// promoted makes another node an authority, as its root would.
func (b *bubble) promoted(root, n *simNode) {
	b.t.Helper()
	l := root.life()
	p, err := l.gate.authority.Load().issuer.Load().Promote(l.env.Wall(), n.node.ID(), n.life().name)
	if err != nil {
		b.t.Fatal(err)
	}
	raw, err := p.Marshal()
	if err != nil {
		b.t.Fatal(err)
	}
	b.halt(n)
	if err := micronet.WriteFile(n.host.FS(), testDir+"/"+filePromotion, raw, secretPerm); err != nil {
		b.t.Fatal(err)
	}
	b.start(n.host.Name(), "")
}

// Two authorities that revoke others without hearing of each other agree once they do. What an authority
// says after it was revoked does not count, whoever passes it on.
func TestTwoAuthoritiesRevoke(t *testing.T) {
	inBubble(t, 84, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c", "d", "e")
		b.promoted(all[0], all[1])
		b.await(15*time.Second, "all see all", b.alive(5, all...))
		b.world.Partition([]*netsim.Host{all[0].host, all[2].host, all[3].host}, []*netsim.Host{all[1].host, all[4].host})
		b.await(15*time.Second, "they are apart", b.alive(3, all[0]))
		out := b.revoke(all[0], api.Revocation{Node: "b"})
		if !strings.Contains(out.Warning, "--disavow") {
			t.Errorf("an authority is revoked without a warning: %+v", out)
		}
		time.Sleep(time.Second)
		b.revoke(all[1], api.Revocation{Node: "e"}) // too late
		b.revoke(all[0], api.Revocation{Node: "c"})
		time.Sleep(20 * time.Second)
		b.world.Heal()
		b.await(12*time.Second, "all agree", func() error {
			return errors.Join(shutOut("b", all[0], all[3], all[4])(), shutOut("c", all[0], all[3], all[4])(), b.alive(3, all[0], all[3], all[4])())
		})
		b.await(12*time.Second, "the word of the revoked authority does not count", b.seen("e", micronet.Alive, "a", "d"))
	})
}

func TestRevocationsThatAreRefused(t *testing.T) {
	inBubble(t, 85, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b")
		try := func(at *simNode, r api.Revocation) error {
			_, err := at.backend().Revoke(context.Background(), r)
			return err
		}
		wantError(t, "elsewhere", try(all[1], api.Revocation{Node: "a"}), micronet.Refused, "no authority", "run it on a")
		wantError(t, "a stranger", try(all[0], api.Revocation{Node: "x"}), micronet.NotFound, "no node")
		wantError(t, "itself", try(all[0], api.Revocation{Node: "a"}), micronet.Refused, "only authority", "leave", "--force")
		wantError(t, "two lines", try(all[0], api.Revocation{Node: "b", Reason: "a\nb"}), micronet.Invalid, "reason")
		b.revoke(all[0], api.Revocation{Node: "b"})
		wantError(t, "again", try(all[0], api.Revocation{Node: "b"}), micronet.Refused, "already")
		b.revoke(all[0], api.Revocation{Node: "b", Disavow: true})
		wantError(t, "and again", try(all[0], api.Revocation{Node: "b", Disavow: true}), micronet.Refused, "already")

		log, err := all[0].backend().Issuances()
		if err != nil || log.Fault != "" {
			t.Fatal(err, log.Fault)
		}
		if last := log.Issued[len(log.Issued)-1]; last.What != identity.IssuedRevocation || last.Node != "b" {
			t.Errorf("the log ends with %+v", last)
		}
		var text strings.Builder
		if err := all[0].backend().Metrics(&text); err != nil {
			t.Fatal(err)
		}
		contains(t, "metrics", text.String(), "micronet_revocations 1", "micronet_statements 2")

		b.revoke(all[0], api.Revocation{Node: "a", Force: true})
		_, err = all[0].backend().Invite(api.InviteRequest{})
		wantError(t, "invite", err, micronet.Refused, "this node was revoked")
		if codesOf(all[0], "revoked") == "" {
			t.Error("it does not say that it revoked itself")
		}
	})
}

// A node whose key was revoked is no authority, with or without the root key: it says so, also after a
// restart, brings the root key to safety and leaves.
func TestRevokedAuthority(t *testing.T) {
	inBubble(t, 86, func(t *testing.T, b *bubble) {
		all := b.withDeputy()
		a, deputy, c := all[0], all[1], all[2]
		b.revoke(deputy, api.Revocation{Node: "a"})
		b.await(2*time.Second, "a knows", warns(a, "revoked"))
		_, err := a.backend().Promote(t.Context(), api.PromoteRequest{Node: "c"})
		wantError(t, "promote", err, micronet.Refused, "this node was revoked by b")
		_, err = a.backend().Issuances()
		wantError(t, "log", err, micronet.Refused, "this node was revoked by b")
		sealed, err := a.backend().ExportRoot(phrase)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.backend().ImportRoot(api.SealedRoot{Root: sealed.Root, Passphrase: phrase}); err != nil {
			t.Fatal(err)
		}
		b.await(2*time.Second, "c knows", shutOut("a", c)) // it repeats what it has heard
		b.revoke(c, api.Revocation{Node: "b", Force: true})
		b.halt(a)
		b.halt(deputy)
		b.later(9 * day) // time for both to renew
		for _, name := range []string{"a", "b"} {
			n := b.launch(name, "")
			b.await(30*time.Second, name+" runs and says so", func() error {
				if n.life() == nil || codesOf(n, "revoked") == "" {
					return errors.New("it does not")
				}
				return nil
			})
			if _, err := n.life().leave(t.Context(), true); err != nil {
				t.Errorf("%s cannot leave: %v", name, err)
			}
		}
	})
}

// TestRevokedRootHost: a stolen deputy revokes the host of the root key. Nothing that this one is told to do destroys
// the key.
func TestRevokedRootHost(t *testing.T) {
	inBubble(t, 87, func(t *testing.T, b *bubble) {
		all := b.withDeputy()
		a, thief, c := all[0], all[1], all[2]
		b.revoke(thief, api.Revocation{Node: "a"})
		b.await(2*time.Second, "a knows", warns(a, "revoked"))
		w, _ := a.life().revokedWarning()
		contains(t, "the warning", w.Fix, "node root export", "node root import", "node revoke "+thief.node.ID().String()+" --disavow")
		_, err := a.backend().Leave(t.Context(), api.LeaveRequest{})
		wantError(t, "leave", err, micronet.Refused, "root key", "node root export", "--disavow", "--force")

		sealed, err := a.backend().ExportRoot(phrase)
		if err != nil {
			t.Fatal(err)
		}
		kept := api.SealedRoot{Root: sealed.Root, Passphrase: phrase}
		wantError(t, "a torn file", a.backend().RootKept(api.SealedRoot{Root: sealed.Root[:50], Passphrase: phrase}), micronet.Invalid)
		if a.life().isRootKept() {
			t.Error("a torn file is a copy")
		}
		if err := errors.Join(a.backend().RootKept(kept), c.backend().ImportRoot(kept)); err != nil {
			t.Fatal(err)
		}
		if !a.life().isRootKept() {
			t.Error("the copy is not noted")
		}
		if _, err := a.backend().Leave(t.Context(), api.LeaveRequest{}); err != nil {
			t.Error(err)
		}
	})
}

// TestRestoredRootHost: once the revocation of the host of the root key is taken back this host signs again at once.
func TestRestoredRootHost(t *testing.T) {
	inBubble(t, 88, func(t *testing.T, b *bubble) {
		all := b.withDeputy()
		a, thief, c := all[0], all[1], all[2]
		b.revoke(thief, api.Revocation{Node: "a"})
		b.await(2*time.Second, "a knows", warns(a, "revoked"))
		sealed, err := a.backend().ExportRoot(phrase)
		if err == nil {
			err = c.backend().ImportRoot(api.SealedRoot{Root: sealed.Root, Passphrase: phrase})
		}
		if err != nil {
			t.Fatal(err)
		}
		b.revoke(c, api.Revocation{Node: "b", Disavow: true})
		b.await(time.Minute, "a signs again", func() error {
			_, err := a.backend().Invite(api.InviteRequest{})
			return err
		})
		if codesOf(a, "revoked") != "" {
			t.Error("it still warns")
		}
	})
}

// What was said while this host's clock was far ahead keeps it from nothing later.
func TestClockOfStatements(t *testing.T) {
	wall := time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)
	for newest, want := range map[identity.Clock]identity.Clock{
		0:                                       identity.ClockAt(wall),
		identity.ClockAt(wall.Add(time.Minute)): identity.ClockAt(wall.Add(time.Minute)) + 1,
		identity.ClockAt(wall.Add(24 * time.Hour)): identity.ClockAt(wall),
	} {
		if got := nextClock(newest, wall); got != want {
			t.Errorf("after %s comes %s, want %s", newest.Time(), got.Time(), want.Time())
		}
	}
}

// The name of a dead node is free once it was forgotten, and the node is a member as before when it comes
// back under a name that nobody else has.
func TestForgottenNode(t *testing.T) {
	inBubble(t, 86, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c", "d")
		forget := func(name string) error {
			_, err := all[0].backend().Forget(context.Background(), api.Forgetting{Node: name})
			return err
		}
		wantError(t, "elsewhere", func() error {
			_, err := all[2].backend().Forget(context.Background(), api.Forgetting{Node: "b"})
			return err
		}(), micronet.Refused, "run it on a")
		wantError(t, "a live one", forget("b"), micronet.Refused, "alive", "revoke b")
		wantError(t, "a stranger", forget("x"), micronet.NotFound, "no node")
		inv, err := all[0].backend().Invite(api.InviteRequest{Name: "b"})
		if err != nil || !strings.Contains(inv.Warning, "is alive and has this name") {
			t.Errorf("a token for the name of a live node: %q, %v", inv.Warning, err)
		}
		b.crash(all[1])
		b.crash(all[3])
		b.await(15*time.Second, "b and d are dead", func() error {
			return errors.Join(b.seen("b", micronet.Dead, "a", "c")(), b.seen("d", micronet.Dead, "a", "c")())
		})
		wantError(t, "its name", func() error {
			n := b.launch("new", b.invite(all[0]), func(c *Config) { c.Name = "b" })
			return b.ended(n, 30*time.Second)
		}(), micronet.Refused, "b")
		for _, name := range []string{"b", "d"} {
			if err := forget(name); err != nil {
				t.Fatal(err)
			}
			b.await(time.Second, name+" is not listed", b.seen(name, "unknown", "a", "c"))
		}
		b.start("new", b.invite(all[0]), func(c *Config) { c.Name = "b" })

		all[3].host.Restart()
		b.start("d", "")
		b.await(15*time.Second, "d is back", b.seen("d", micronet.Alive, "a", "c", "new"))
		if got := all[3].backend().Status().Node.Name; got != "d" {
			t.Errorf("it is called %s", got)
		}
		b.await(15*time.Second, "it sees the others", b.alive(4, all[3]))
		wantError(t, "two of one name", func() error {
			v := *all[0].life().view.Load()
			v.nodes = append(slices.Clone(v.nodes), micronet.Node{ID: id(7), Name: "d", Status: micronet.Alive})
			_, err := v.find("d")
			return err
		}(), micronet.Refused, "any of 2 nodes", id(7).Short()+" (d, alive)")
		b.start("e", b.invite(all[0]))
		b.revoke(all[0], api.Revocation{Node: "e"})
		wantError(t, "one that was revoked", forget("e"), micronet.Refused, "e was revoked by the root key, which this node has,", "never welcome again")
		// It is a node like others: dead when it dies, and listed as that.
		b.crash(all[3])
		b.await(15*time.Second, "d is dead", b.seen("d", micronet.Dead, "a", "c"))
		wantError(t, "its name again", func() error {
			n := b.launch("late", b.invite(all[0]), func(c *Config) { c.Name = "d" })
			return b.ended(n, 30*time.Second)
		}(), micronet.Refused, "d")
	})
}
