package identity

import (
	"bytes"
	"crypto/x509"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
)

// promote makes an authority of given keys at a moment.
func (w *world) promote(t testing.TB, k Keys, at time.Time) *Authority {
	t.Helper()
	p, err := w.auth.Promote(at, k.ID(), "deputy")
	if err != nil {
		t.Fatal(err)
	}
	a, err := p.Authority(k, w.entropy, at)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// counts reports whether a membership does in all its forms, which must agree.
func (w *world) counts(t testing.TB, k Keys, m Membership, at time.Time) bool {
	t.Helper()
	raw, err := NewCredential(k, m, Self{})
	if err != nil {
		t.Fatal(err)
	}
	_, grantErr := w.trust.VerifyGrant(m.Grant, m.Issuers, at)
	_, chainErr := w.trust.VerifyChain(m.Chain, at, x509.ExtKeyUsageServerAuth, 0)
	_, credErr := w.trust.VerifyCredential(raw, at, 0)
	if (grantErr == nil) != (chainErr == nil) || (grantErr == nil) != (credErr == nil) {
		t.Fatalf("grant %v, certificate %v, credential %v", grantErr, chainErr, credErr)
	}
	return grantErr == nil
}

// TestQ3_DemotionEndsARight: every order of promotion, issuing, demotion, a second promotion and a second
// demotion, in steps of an hour: what was issued by a right that had ended by then does not count, and all else
// does. Nobody is revoked by it.
func TestQ3_DemotionEndsARight(t *testing.T) {
	w := newWorld(t, 1)
	deputy := w.keys(t)
	at := func(h int) time.Time { return epoch.Add(time.Duration(h) * time.Hour) }
	const steps = 6
	type made struct {
		k Keys
		m Membership
	}
	issued := map[[2]int]made{} // by when the right was given and when it was used
	for given := range steps {
		a := w.promote(t, deputy, at(given))
		for used := given; used < steps; used++ {
			k := w.keys(t)
			m, err := a.Issue(at(used), Request{ID: k.ID(), Name: "x"})
			if err != nil {
				t.Fatal(err)
			}
			issued[[2]int{given, used}] = made{k, m}
		}
	}
	late, checked := at(steps), 0
	for first := range steps + 1 { // steps: never
		for second := first; second <= steps; second++ {
			var ends []Clock
			for _, h := range []int{first, second} {
				if h < steps {
					ends = append(ends, ClockAt(at(h).Add(30*time.Minute)))
				}
			}
			w.trust.SetEnded(map[micronet.NodeID][]Clock{deputy.ID(): ends})
			for when, i := range issued {
				want := true
				for _, h := range []int{first, second} {
					if h < steps && when[0] <= h && when[1] > h {
						want = false
					}
				}
				if got := w.counts(t, i.k, i.m, late); got != want {
					t.Fatalf("given at %d, used at %d, ended at %d and %d: counts %t", when[0], when[1], first, second, got)
				}
				checked++
			}
		}
	}
	if checked < 500 {
		t.Fatalf("%d cases", checked)
	}
	w.trust.SetEnded(map[micronet.NodeID][]Clock{deputy.ID(): {ClockAt(epoch.Add(-time.Hour))}})
	own, err := w.auth.Issue(epoch, Request{ID: deputy.ID(), Name: "deputy"})
	if err != nil || !w.counts(t, deputy, own, epoch) {
		t.Errorf("the demoted node is no member any more: %v", err)
	}
}

// TestDemotedAuthorityCannotDateBack beyond what it could have issued in time.
func TestEndedAuthorityCannotDateBack(t *testing.T) {
	end := epoch.Add(24 * time.Hour)
	t.Run("demoted", func(t *testing.T) {
		cannotDateBack(t, end, func(trust *Trust, id micronet.NodeID) {
			trust.SetEnded(map[micronet.NodeID][]Clock{id: {ClockAt(end)}})
		})
	})
	t.Run("revoked", func(t *testing.T) {
		cannotDateBack(t, end, func(trust *Trust, id micronet.NodeID) {
			trust.SetRevoked(map[micronet.NodeID]Revoked{id: {Since: ClockAt(end)}})
		})
	})
}

// cannotDateBack: what an authority whose right has ended makes now cannot hold longer than what it made
// before, whatever date it writes into it.
func cannotDateBack(t *testing.T, end time.Time, finish func(*Trust, micronet.NodeID)) {
	t.Helper()
	w := newWorld(t, 1)
	deputy, k := w.keys(t), w.keys(t)
	a := w.promote(t, deputy, epoch)
	finish(w.trust, deputy.ID())
	for _, c := range []struct {
		to   time.Time
		want bool
	}{{end.Add(NodeTerm).Truncate(time.Second), true}, {end.Add(NodeTerm + time.Hour), false}, {epoch.Add(AuthorityTerm), false}} {
		win := window{epoch.Truncate(time.Second).Add(-BackDated), c.to}
		leaf, err := a.certify(leafTemplate(a.cluster, "main", "x", [16]byte{1}, win), k.ID())
		if err != nil {
			t.Fatal(err)
		}
		grant, err := a.grant(Grant{ID: k.ID(), Name: "x", Roles: RoleMember}, win)
		if err != nil {
			t.Fatal(err)
		}
		m := Membership{Cluster: a.cluster, ClusterName: "main", Name: "x", Chain: append([][]byte{leaf}, a.chain...), Roots: a.roots, Grant: grant, Issuers: a.grants}
		if got := w.counts(t, k, m, epoch); got != c.want {
			t.Errorf("what holds until %s counts: %t", c.to, got)
		}
	}
}

func TestDemotedNodeIsNoAuthority(t *testing.T) {
	w := newWorld(t, 1)
	k := w.keys(t)
	p, err := w.auth.Promote(epoch, k.ID(), "deputy")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.trust.Authority(p, k, w.entropy, epoch); err != nil {
		t.Fatal(err)
	}
	w.trust.SetEnded(map[micronet.NodeID][]Clock{k.ID(): {ClockAt(epoch)}})
	_, err = w.trust.Authority(p, k, w.entropy, epoch)
	wantIs(t, err, ErrDemoted)
	again, err := w.auth.Promote(epoch.Add(time.Second), k.ID(), "deputy")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.trust.Authority(again, k, w.entropy, epoch); err != nil {
		t.Errorf("promoted anew: %v", err)
	}
	if !w.trust.Ended(k.ID(), epoch.Truncate(time.Second)) || w.trust.Ended(k.ID(), epoch.Add(time.Second)) {
		t.Error("a right from after the end has ended, or one from before has not")
	}
}

// TestEndingsAreOfTheRootAlone and name what they end in one way.
func TestEndingsAreOfTheRootAlone(t *testing.T) {
	w := newWorld(t, 1)
	deputy, id := w.promoted(t), w.keys(t).ID()
	next, err := w.root.Succeed(w.entropy, epoch)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := newWorld(t, 2).root.Succeed(w.entropy, epoch)
	if err != nil {
		t.Fatal(err)
	}
	hash, self := next.Hash(), w.root.ID()
	clock := ClockAt(epoch)
	for name, c := range map[string]struct {
		a    *Authority
		s    Statement
		kind micronet.Kind
		word string
	}{
		"demotion by a deputy":     {deputy, Statement{Kind: StatementDemotion, Subject: withClock8(id[:], clock)}, micronet.Refused, "only the root key"},
		"root by a deputy":         {deputy, Statement{Kind: StatementRoot, Subject: hash[:], Body: next.Certificate}, micronet.Refused, "only the root key"},
		"no clock":                 {w.auth, Statement{Kind: StatementDemotion, Subject: id[:]}, micronet.Invalid, "does not name a public key and its own clock"},
		"another clock":            {w.auth, Statement{Kind: StatementDemotion, Subject: withClock8(id[:], clock+1)}, micronet.Invalid, "another clock"},
		"another clock of a root":  {w.auth, Statement{Kind: StatementRoot, Subject: withClock8(hash[:], clock-1), Body: next.Certificate}, micronet.Invalid, "another clock"},
		"the root demoted":         {w.auth, Statement{Kind: StatementDemotion, Subject: withClock8(self[:], clock)}, micronet.Refused, "root key cannot be demoted"},
		"nobody demoted":           {w.auth, Statement{Kind: StatementDemotion, Subject: withClock8(make([]byte, 32), clock)}, micronet.Refused, "cannot be demoted"},
		"a long body":              {w.auth, Statement{Kind: StatementDemotion, Subject: withClock8(id[:], clock), Body: make([]byte, maxDemotionRest+1)}, micronet.Invalid, "does not name"},
		"no certificate":           {w.auth, Statement{Kind: StatementRoot, Subject: hash[:]}, micronet.Unauthorized, "cannot be read"},
		"another's hash":           {w.auth, Statement{Kind: StatementRoot, Subject: id[:], Body: next.Certificate}, micronet.Invalid, "does not name the root"},
		"a short subject":          {w.auth, Statement{Kind: StatementRoot, Subject: hash[:31], Body: next.Certificate}, micronet.Invalid, "does not name the root"},
		"itself":                   {w.auth, Statement{Kind: StatementRoot, Subject: hashOf(w.root), Body: w.root.Certificate}, micronet.Unauthorized, "has not taken over"},
		"a root of another family": {w.auth, Statement{Kind: StatementRoot, Subject: hashOf(foreign), Body: foreign.Certificate}, micronet.Unauthorized, "has not taken over"},
	} {
		t.Run(name, func(t *testing.T) {
			c.s.Clock = clock
			_, err := c.a.State(epoch, c.s)
			wantError(t, err, c.kind, c.word)
			_, err = w.trust.VerifyStatement(state(t, c.a, c.s), epoch)
			wantError(t, err, c.kind, c.word)
		})
	}
}

func hashOf(r Root) []byte { h := r.Hash(); return h[:] }

func TestEndingsAreReadAsTheyWereSigned(t *testing.T) {
	w := newWorld(t, 1)
	id := w.keys(t).ID()
	next, err := w.root.Succeed(w.entropy, epoch)
	if err != nil {
		t.Fatal(err)
	}
	clock := ClockAt(epoch)
	for _, c := range []struct {
		name string
		make func() ([]byte, error)
		ends micronet.NodeID
	}{
		{"demotion", func() ([]byte, error) { return w.auth.Demote(epoch, clock, id) }, id},
		{"announcement", func() ([]byte, error) { return w.auth.Announce(epoch, clock, next) }, micronet.NodeID{}},
		{"retirement", func() ([]byte, error) { return w.auth.Retire(epoch, clock, next) }, w.root.ID()},
	} {
		s, err := w.trust.VerifyStatement(must(t)(c.make()), epoch)
		if err != nil || s.Ends() != c.ends || !s.Root || s.Given != 0 {
			t.Errorf("%s: %+v, %v", c.name, s, err)
		}
		if s.Kind == StatementRoot && !bytes.Equal(s.Body, next.Certificate) {
			t.Errorf("%s holds another certificate", c.name)
		}
	}
	deputy := w.promoted(t)
	s, err := w.trust.VerifyStatement(state(t, deputy, Statement{Kind: 9, Subject: []byte("x"), Clock: 1}), epoch)
	if want := ClockAt(epoch.Truncate(time.Second)); err != nil || s.Given != want || s.Ends() != (micronet.NodeID{}) {
		t.Errorf("its right was given at %v, want %v: %v", s.Given, want, err)
	}
	if !(Statement{Kind: 9, Subject: withClock8(id[:], 1)}).Ends().IsZero() {
		t.Error("another kind ends somebody")
	}
}

// TestTrustKeepsWhatItVerified: what changes nothing does not make it verify all credentials anew.
func TestTrustKeepsWhatItVerified(t *testing.T) {
	w := newWorld(t, 9)
	ended := func(at time.Time) map[micronet.NodeID][]Clock {
		return map[micronet.NodeID][]Clock{{1}: {ClockAt(at)}}
	}
	revoked := func(at time.Time) map[micronet.NodeID]Revoked {
		return map[micronet.NodeID]Revoked{{1}: {Since: ClockAt(at)}}
	}
	w.trust.SetEnded(ended(epoch))
	w.trust.SetRevoked(revoked(epoch))
	cache := w.trust.snapshot().cache
	w.trust.SetEnded(ended(epoch))
	w.trust.SetRevoked(revoked(epoch))
	if w.trust.snapshot().cache != cache {
		t.Error("it has forgotten what it verified")
	}
	w.trust.SetEnded(ended(epoch.Add(time.Hour)))
	if w.trust.snapshot().cache == cache {
		t.Error("what was verified counts on after an end")
	}
}
