package node

import (
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/node/api"
)

const day = 24 * time.Hour

// later moves the clocks of all hosts.
func (b *bubble) later(d time.Duration) {
	for _, n := range b.nodes {
		n.host.StepWall(d)
	}
}

// renewed checks that a node has a certificate that ends after the given time, in memory, on disk
// and in the eyes of others.
func (b *bubble) renewed(n *simNode, after time.Time, by ...*simNode) func() error {
	return func() error {
		m := n.life().pass.member()
		if !m.NotAfter.After(after) {
			return fmt.Errorf("the certificate of %s ends %v", n.host.Name(), m.NotAfter)
		}
		p, err := readPassport(n.host.Env(), n.node.disk, fileMembership, n.life().keys)
		if err != nil || !p.member().NotAfter.Equal(m.NotAfter) {
			return fmt.Errorf("on disk there is another certificate: %v, %v", p, err)
		}
		for _, o := range by {
			if o == n {
				continue
			}
			c := o.life().contacts
			c.mu.Lock()
			seen := c.known[n.node.ID()].Expires
			c.mu.Unlock()
			if !seen.Equal(m.NotAfter) {
				return fmt.Errorf("%s knows a credential of %s that ends %v, not %v", o.host.Name(), n.host.Name(), seen, m.NotAfter)
			}
		}
		return nil
	}
}

// TestCertificatesRenew: in the second half of the term everybody gets a new certificate, the founder
// from itself, and connections that are open go on.
func TestCertificatesRenew(t *testing.T) {
	inBubble(t, 81, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c")
		b.serve(all[1], "echo", "b")
		b.await(5*time.Second, "echo", b.answers(all[2], "echo", "b"))
		conn, err := all[2].backend().Dial(t.Context(), "echo", micronet.Caller{})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		ends := all[0].host.Env().Wall().Add(identity.NodeTerm)
		b.later(6 * day)
		time.Sleep(time.Minute)
		for _, n := range all {
			if m := n.life().pass.member(); m.NotAfter.After(ends) {
				t.Errorf("%s renewed before half of its term", n.host.Name())
			}
		}
		b.later(3 * day)
		for _, n := range all {
			b.await(time.Minute, "renewed", b.renewed(n, ends, all...))
		}
		if _, err := io.WriteString(conn, "still here"); err != nil {
			t.Error(err)
		}
		if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Error(err)
		}
		if got, err := io.ReadAll(conn); string(got) != "b:still here" {
			t.Errorf("the connection was cut: %q, %v", got, err)
		}
		b.halt(all[1])
		b.start("b", "")
		b.await(10*time.Second, "b is back with the new certificate", b.seen("b", micronet.Alive, "a", "c"))
	})
}

// TestFounderlessTerm: while no authority runs nothing ends. Nodes warn in time, accept each other's
// ended certificates, also after a restart, and renew as soon as an authority is back.
func TestFounderlessTerm(t *testing.T) {
	inBubble(t, 82, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c")
		b.serve(all[1], "echo", "b")
		b.await(5*time.Second, "echo", b.answers(all[2], "echo", "b"))
		begin := all[0].host.Env().Wall()
		b.halt(all[0])
		others := all[1:]
		for at, want := range []string{0: "", 6: "", 10: "certificate-expires", 13: "certificate-expires", 15: "certificate-expired expired-grace"} {
			if at > 0 && want == "" && at != 6 {
				continue
			}
			for _, n := range all {
				n.host.StepWall(begin.Add(time.Duration(at) * day).Sub(n.host.Env().Wall()))
			}
			time.Sleep(2 * time.Minute)
			for _, n := range others {
				if got := codesOf(n, "certificate-expires", "certificate-expired", "expired-grace"); got != want {
					t.Errorf("%s after %d days warns of %q, want %q", n.host.Name(), at, got, want)
				}
			}
		}
		b.halt(others[1])
		b.start("c", "")
		b.await(20*time.Second, "c is back with an ended certificate", b.seen("c", micronet.Alive, "b"))
		b.await(10*time.Second, "it is served", b.answers(others[1], "echo", "b"))
		b.start("a", "")
		for _, n := range others {
			b.await(2*time.Minute, "renewed", b.renewed(n, n.host.Env().Wall().Add(10*day), all...))
			b.await(10*time.Second, "all is well", func() error {
				if got := codesOf(n, "certificate-expires", "certificate-expired", "expired-grace"); got != "" {
					return fmt.Errorf("%s warns of %s", n.host.Name(), got)
				}
				return nil
			})
		}
	})
}

// codesOf lists which of some warnings a node shows.
func codesOf(n *simNode, codes ...string) (out string) {
	for _, w := range n.backend().Status().Warnings {
		for _, c := range codes {
			if w.Code == c {
				if out != "" {
					out += " "
				}
				out += c
			}
		}
	}
	return out
}

// TestLateNode: a node that was off beyond the end of its certificate is renewed by an authority, and
// by nobody when that is longer ago than the grace, or when there is none.
func TestLateNode(t *testing.T) {
	for _, c := range []struct {
		name  string
		off   time.Duration
		grace time.Duration
		back  bool
	}{
		{"within the grace", 20 * day, defaultGrace, true},
		{"beyond the grace", 50 * day, defaultGrace, false},
		{"no grace", 15 * day, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, 83, func(t *testing.T, b *bubble) {
				set := func(k *Config) { k.ExpiredGrace = c.grace }
				a := b.start("a", "", set)
				o := b.start("o", b.invite(a), set)
				n := b.start("n", b.invite(a), set)
				b.await(15*time.Second, "all see all", b.alive(3, a, o, n))
				b.halt(n)
				for range int(c.off / day) { // the others renew in the meantime
					b.later(day)
					time.Sleep(30 * time.Second)
				}
				b.launch("n", "", set)
				if c.back {
					b.await(time.Minute, "n is back", b.seen("n", micronet.Alive, "a", "o"))
					b.await(time.Minute, "n is renewed", b.renewed(n, n.host.Env().Wall(), a, o))
					return
				}
				time.Sleep(2 * time.Minute)
				if err := b.seen("n", micronet.Alive, "o")(); err == nil {
					t.Error("a node with a certificate that ended is back")
				}
			})
		})
	}
}

// TestRenewalGivesNoMore: whatever name a member would like, it gets the one that it has; a name that
// went to another node is not renewed; nobody keeps an authority busy.
func TestRenewalGivesNoMore(t *testing.T) {
	inBubble(t, 84, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b")
		a, l := all[0].life().gate.authority.Load(), all[0].life()
		id := all[1].node.ID()
		for i := range maxRenewals {
			m, err := l.renewFor(a, id)
			if err != nil {
				t.Fatalf("renewal %d: %v", i, err)
			}
			got, err := identity.UnmarshalMembership(m.Membership)
			if err != nil || got.Name != "b" || got.Validate(all[1].life().keys, l.env.Wall()) != nil {
				t.Fatalf("%+v, %v", got, err)
			}
		}
		_, err := l.renewFor(a, id)
		wantError(t, "too many", err, micronet.Overloaded, "it was given 8 certificates within 1h")
		b.later(2 * time.Hour)
		if err := a.saveNames(a.names.with("b", micronet.NodeID{1})); err != nil {
			t.Fatal(err)
		}
		_, err = l.renewFor(a, id)
		wantError(t, "another's name", err, micronet.Refused, `the name "b" belongs to another node now`)
		_, err = l.renewFor(a, micronet.NodeID{9})
		wantError(t, "a stranger", err, micronet.Unreachable, "does not know the asker's name")
		wantError(t, "no authority", all[1].life().ask(t.Context(), l.self, controlRequest{Verb: "promise"}, nil), micronet.Invalid, "does not know the request")
		wantError(t, "no authority", l.ask(t.Context(), id, controlRequest{Verb: verbRenew}, nil), micronet.Refused, "no authority")
	})
}

// TestLeavingBeatsRenewal: what a renewal would write after the node left is not written.
func TestLeavingBeatsRenewal(t *testing.T) {
	inBubble(t, 85, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b")
		l := all[1].life()
		m, err := all[0].life().gate.authority.Load().renew(l.self, "b", false)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := all[1].backend().Leave(t.Context(), api.LeaveRequest{}); err != nil {
			t.Fatal(err)
		}
		wantError(t, "renewal", l.pass.adopt(t.Context(), l.node.disk, m), micronet.Closed, "left")
		if _, found, err := l.node.disk.loadRaw(fileMembership); found || err != nil {
			t.Errorf("the membership is back: %v, %v", found, err)
		}
	})
}

func TestReissue(t *testing.T) {
	wall := time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC)
	m := &identity.Membership{NotBefore: wall.Add(-identity.BackDated), NotAfter: wall.Add(identity.NodeTerm)}
	now, lo, hi := time.Now(), time.Duration(0), time.Duration(0)
	for seed := range uint64(200) {
		r := reissue{rng: rand.New(rand.NewPCG(seed, 0))}
		if r.isDue(now, wall.Add(7*day-time.Second), m) {
			t.Fatal("due in the first half of the term")
		}
		late := r.due.Sub(wall.Add(7 * day))
		if lo == 0 || late < lo {
			lo = late
		}
		hi = max(hi, late)
		if !r.isDue(now, r.due, m) {
			t.Fatal("not due when it is")
		}
		total := time.Duration(0)
		for range 20 {
			r.failed(now)
			pause := r.next.Sub(now)
			if pause < reissueFirst/2 || pause > reissueMost || r.isDue(r.next.Add(-1), r.due, m) || !r.isDue(r.next, r.due, m) {
				t.Fatalf("the pause is %v", pause)
			}
			total += pause
		}
		if total < time.Hour {
			t.Fatalf("20 attempts within %v", total)
		}
	}
	if lo > 2*time.Hour || hi < 30*time.Hour || hi > 34*time.Hour {
		t.Errorf("200 members ask between %v and %v after half of the term, want all over 33.6h", lo, hi)
	}
}

func TestGraceHolds(t *testing.T) {
	t0 := time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC)
	var g grace
	for i, c := range []struct {
		now, answered time.Duration
		want          bool
	}{
		{0, 0, false},
		{6 * day, 0, false},
		{7 * day, 0, true},
		{20 * day, 0, true},
		{20*day + time.Hour, 20*day + time.Hour, true}, // it is back: all have a day to renew
		{21 * day, 21 * day, false},
		{22 * day, 22 * day, false},
	} {
		if got := g.holds(t0.Add(c.now), t0.Add(c.answered)); got != c.want {
			t.Errorf("%d: after %v: %v", i, c.now, got)
		}
	}
	if !new(grace).holds(t0, time.Time{}) {
		t.Error("a node that remembers no authority at all waits for one")
	}
}
