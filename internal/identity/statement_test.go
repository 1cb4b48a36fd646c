package identity

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
)

// state signs a statement as an attacker with the authority's key could: nothing is checked.
func state(t testing.TB, a *Authority, s Statement) []byte {
	t.Helper()
	raw, err := s.sign(a.key, a.cluster, a.grants)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func (w *world) revoke(t testing.TB, a *Authority, id micronet.NodeID, disavow bool) []byte {
	t.Helper()
	raw, err := a.Revoke(epoch, ClockAt(epoch), id, Revocation{Name: "worker-7", Reason: "stolen", When: epoch}, disavow)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestStatementsAreReadAsTheyWereSigned(t *testing.T) {
	w := newWorld(t, 1)
	for name, a := range map[string]*Authority{"root": w.auth, "promoted": w.promoted(t)} {
		t.Run(name, func(t *testing.T) {
			want := Statement{Kind: 77, Subject: []byte("x"), Clock: ClockAt(epoch).Next(epoch), Body: bytes.Repeat([]byte{7}, MaxStatementBody)}
			raw, err := a.State(epoch, want)
			if err != nil {
				t.Fatal(err)
			}
			got, err := w.trust.VerifyStatement(raw, epoch)
			if err != nil {
				t.Fatal(err)
			}
			if got.Kind != want.Kind || !bytes.Equal(got.Subject, want.Subject) || got.Clock != want.Clock || !bytes.Equal(got.Body, want.Body) {
				t.Fatalf("%+v is read back as %+v", want, got)
			}
			if got.Issuer != micronet.NodeID(public(a.key)) || got.Root != a.IsRoot() {
				t.Fatalf("issuer %s, root %t", got.Issuer, got.Root)
			}
		})
	}
}

func TestH17_StatementsOfNobodyAreRefused(t *testing.T) {
	w := newWorld(t, 1)
	deputy, other := w.promoted(t), newWorld(t, 2)
	keys, m := w.member(t, w.auth, "member")
	good := Statement{Kind: 9, Subject: []byte("x"), Clock: 1}
	raw := state(t, deputy, good)
	for name, c := range map[string]struct {
		raw  []byte
		kind micronet.Kind
		word string
	}{
		"empty":                {nil, micronet.Invalid, "cut short"},
		"another version":      {append([]byte{2}, raw[1:]...), micronet.Invalid, "version"},
		"too long":             {make([]byte, MaxStatement+1), micronet.Invalid, "bytes"},
		"cut short":            {raw[:len(raw)-1], micronet.Invalid, ""},
		"another cluster":      {state(t, other.auth, good), micronet.Unauthorized, "does not know"},
		"a member":             {must(t)(good.sign(keys.Sign, w.root.Cluster, [][]byte{m.Grant})), micronet.Unauthorized, "no authority"},
		"a stranger":           {must(t)(good.sign(keys.Sign, w.root.Cluster, nil)), micronet.Unauthorized, "does not know"},
		"another's grant":      {must(t)(good.sign(keys.Sign, w.root.Cluster, deputy.grants)), micronet.Unauthorized, "does not know"},
		"a foreign signature":  {flipped(raw, len(raw)-1), micronet.Unauthorized, "signature"},
		"another body":         {flipped(raw, 3), micronet.Unauthorized, "signature"},
		"no subject":           {state(t, w.auth, Statement{Kind: 9, Clock: 1}), micronet.Invalid, "subject"},
		"no clock":             {state(t, w.auth, Statement{Kind: 9, Subject: []byte("x")}), micronet.Invalid, "clock"},
		"the end of the clock": {state(t, w.auth, Statement{Kind: 9, Subject: []byte("x"), Clock: math.MaxUint64}), micronet.Refused, "clock"},
		"behind its end":       {resigned(w.auth, append(bytes.Clone(state(t, w.auth, good)), 0)), micronet.Invalid, "behind its end"},
		"two grants":           {must(t)(good.sign(deputy.key, w.root.Cluster, [][]byte{deputy.grants[0], deputy.grants[0]})), micronet.Invalid, "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.trust.VerifyStatement(c.raw, epoch)
			wantError(t, err, c.kind, c.word)
		})
	}
}

// TestStatementsAreNeverTooOld: neither their own date nor that of the grant keeps them out, and only
// five minutes ahead are accepted.
func TestStatementsAreNeverTooOld(t *testing.T) {
	w := newWorld(t, 1)
	a := w.promoted(t)
	at := func(wall time.Time) []byte {
		return state(t, a, Statement{Kind: 9, Subject: []byte("x"), Clock: ClockAt(wall)})
	}
	for name, c := range map[string]struct {
		clock, wall time.Time
		refused     bool
	}{
		"as old as the hills":     {time.UnixMilli(1), epoch, false},
		"from before the grant":   {epoch.Add(-BackDated - time.Hour), epoch, false},
		"after the grant's end":   {epoch, epoch.Add(3 * AuthorityTerm), false},
		"a little ahead":          {epoch.Add(MaxClockAhead), epoch, false},
		"too far ahead":           {epoch.Add(MaxClockAhead + time.Second), epoch, true},
		"far ahead, checked once": {epoch.Add(24 * time.Hour), time.Time{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.trust.VerifyStatement(at(c.clock), c.wall)
			if refused := micronet.KindOf(err) == micronet.Refused && err != nil; refused != c.refused || (err != nil && !refused) {
				t.Fatal(err)
			}
		})
	}
}

// TestStatementsEndWithTheRight: what is said after the end of an authority's right counts for nothing, by its own clock,
// which may be ahead where those of others are.
func TestStatementsEndWithTheRight(t *testing.T) {
	w := newWorld(t, 1)
	a := w.promoted(t)
	end := epoch.Truncate(time.Second).Add(AuthorityTerm)
	for name, c := range map[string]struct {
		by      *Authority
		clock   time.Time
		refused bool
	}{
		"its last word":      {a, end, false},
		"a clock ahead":      {a, end.Add(MaxClockAhead), false},
		"after the end":      {a, end.Add(MaxClockAhead + time.Second), true},
		"long after the end": {a, end.Add(AuthorityTerm), true},
		"the root":           {w.auth, end.Add(AuthorityTerm), false},
	} {
		raw := state(t, c.by, Statement{Kind: 9, Subject: []byte("x"), Clock: ClockAt(c.clock)})
		for _, wall := range []time.Time{end.Add(2 * AuthorityTerm), {}} {
			_, err := w.trust.VerifyStatement(raw, wall)
			if errors.Is(err, ErrExpired) != c.refused || (err != nil) != c.refused {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestClockGoesForward(t *testing.T) {
	c := ClockAt(epoch)
	if got := c.Time(); !got.Equal(epoch.Truncate(time.Millisecond)) {
		t.Fatal(got)
	}
	if next := c.Next(epoch); next <= c {
		t.Fatal("it stood still")
	}
	if next := c.Next(epoch.Add(-time.Hour)); next <= c {
		t.Fatal("it went back with the host's")
	}
	if next := c.Next(epoch.Add(time.Hour)); next != ClockAt(epoch.Add(time.Hour)) {
		t.Fatal("it did not follow the host's")
	}
}

func TestH17_RevocationsNameAKeyThatCanBeRevoked(t *testing.T) {
	w := newWorld(t, 1)
	deputy := w.promoted(t)
	body := must(t)(Revocation{Name: "a", Reason: "b", When: epoch}.Body())
	revoke := func(a *Authority, subject, body []byte) []byte {
		return state(t, a, Statement{Kind: StatementRevocation, Subject: subject, Clock: 1, Body: body})
	}
	id := w.keys(t).ID()
	for name, c := range map[string]struct {
		raw  []byte
		word string
	}{
		"the root":       {revoke(deputy, public(w.root.key), body), "root key"},
		"the root first": {revoke(w.auth, public(w.root.key), body), "itself"},
		"itself":         {revoke(deputy, public(deputy.key), body), "itself"},
		"nobody":         {revoke(deputy, make([]byte, 32), body), "public key"},
		"half a key":     {revoke(deputy, id[:16], body), "public key"},
		"no body":        {revoke(deputy, id[:], nil), "cut short"},
		"a long rest":    {revoke(deputy, id[:], append(bytes.Clone(body), make([]byte, 65)...)), "too long"},
		"two lines":      {revoke(deputy, id[:], must(t)(rawRevocation("a", "b\nc"))), "one line"},
		"no name":        {revoke(deputy, id[:], must(t)(rawRevocation("../a", "b"))), "name"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.trust.VerifyStatement(c.raw, epoch)
			if err == nil || !strings.Contains(err.Error(), c.word) {
				t.Fatalf("%v does not say %q", err, c.word)
			}
		})
	}
	if _, err := w.auth.Revoke(epoch, 1, micronet.NodeID(public(w.root.key)), Revocation{}, false); micronet.KindOf(err) != micronet.Refused {
		t.Fatalf("the root can be revoked: %v", err)
	}
}

// rawRevocation is a body that no honest authority writes.
func rawRevocation(name, reason string) ([]byte, error) {
	b := append(make([]byte, 8), byte(len(name)))
	b = append(append(b, name...), byte(len(reason)))
	return append(b, reason...), nil
}

func TestRevokedKeysAreRefusedEverywhere(t *testing.T) {
	w := newWorld(t, 1)
	keys, m := w.member(t, w.auth, "worker-7")
	cred := must(t)(NewCredential(keys, m, fullSelf))
	again := must(t)(NewCredential(keys, m, Self{Epoch: 9}))
	renewed, err := w.auth.Issue(epoch, Request{ID: keys.ID(), Name: "worker-8"})
	if err != nil {
		t.Fatal(err)
	}
	check := func() (errs []error) {
		_, err := w.trust.VerifyCredential(cred, epoch, 0)
		errs = append(errs, err)
		_, err = w.trust.VerifyCredential(again, epoch, 0)
		errs = append(errs, err)
		_, err = w.trust.VerifyGrant(m.Grant, nil, epoch)
		errs = append(errs, err)
		for _, chain := range [][][]byte{m.Chain, renewed.Chain} {
			_, err = w.trust.VerifyChain(chain, epoch, x509.ExtKeyUsageClientAuth, 0)
			errs = append(errs, err)
		}
		return errs
	}
	for _, err := range check() {
		if err != nil {
			t.Fatal(err)
		}
	}
	w.trust.SetRevoked(map[micronet.NodeID]Revoked{keys.ID(): {Since: ClockAt(epoch)}})
	for i, err := range check() {
		wantError(t, err, micronet.Unauthorized, "revoked")
		wantIs(t, err, ErrRevoked)
		if i > 5 {
			t.Fatal("more than was expected")
		}
	}
	if err := w.trust.SetRoots(w.root.Certificate); err != nil || !w.trust.Revoked(keys.ID()) {
		t.Fatalf("new roots take a revocation back: %v", err)
	}
	other := newWorld(t, 2)
	if err := w.trust.Replace(other.root.Cluster, other.root.Certificate); err != nil || w.trust.Revoked(keys.ID()) {
		t.Fatalf("another cluster revokes as well: %v", err)
	}
}

// TestRevokedAuthorities: what one signed before goes on, unless that was taken back as well.
func TestRevokedAuthorities(t *testing.T) {
	w := newWorld(t, 1)
	deputy := w.promoted(t)
	id := micronet.NodeID(public(deputy.key))
	since := epoch.Add(time.Hour)
	issue := func(at time.Time) Membership {
		k := w.keys(t)
		m, err := deputy.Issue(at, Request{ID: k.ID(), Name: "a"})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	before, after := issue(since.Add(-time.Minute)), issue(since.Add(time.Minute))
	now := since.Add(2 * time.Minute)
	good := func(m Membership) bool {
		_, err := w.trust.VerifyGrant(m.Grant, m.Issuers, now)
		_, err2 := w.trust.VerifyChain(m.Chain, now, x509.ExtKeyUsageServerAuth, 0)
		if (err == nil) != (err2 == nil) {
			t.Fatalf("the grant: %v, the certificate: %v", err, err2)
		}
		return err == nil
	}
	for name, c := range map[string]struct {
		revoked       map[micronet.NodeID]Revoked
		before, after bool
	}{
		"nobody":    {nil, true, true},
		"revoked":   {map[micronet.NodeID]Revoked{id: {Since: ClockAt(since)}}, true, false},
		"disavowed": {map[micronet.NodeID]Revoked{id: {Since: ClockAt(since), Disavowed: true}}, false, false},
	} {
		w.trust.SetRevoked(c.revoked)
		if b, a := good(before), good(after); b != c.before || a != c.after {
			t.Fatalf("%s: what it issued before %t, after %t", name, b, a)
		}
	}
	w.trust.SetRevoked(map[micronet.NodeID]Revoked{id: {Since: ClockAt(since)}})
	if _, err := w.trust.VerifyGrant(deputy.grants[0], nil, now); err == nil {
		t.Fatal("the authority's own grant still counts")
	}
	if _, err := w.trust.VerifyStatement(w.revoke(t, deputy, w.keys(t).ID(), false), now); err != nil {
		t.Fatalf("whether it counts is for the holder of all statements to say: %v", err)
	}
}

func TestRevocationFitsIntoAPacket(t *testing.T) {
	w := newWorld(t, 1)
	r := Revocation{Name: strings.Repeat("a", 63), Reason: strings.Repeat("b", MaxReason), When: epoch}
	raw := must(t)(w.promoted(t).Revoke(epoch, ClockAt(epoch), w.keys(t).ID(), r, true))
	if len(raw)+maxRevocationRest > 900 {
		t.Fatalf("it has %d bytes", len(raw))
	}
}

func must(t testing.TB) func(b []byte, err error) []byte {
	return func(b []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
}

func flipped(raw []byte, i int) []byte {
	out := bytes.Clone(raw)
	out[i] ^= 1
	return out
}

// resigned signs all but the last 64 bytes anew.
func resigned(a *Authority, raw []byte) []byte {
	body := raw[:max(0, len(raw)-ed25519.SignatureSize)]
	return append(bytes.Clone(body), ed25519.Sign(a.key, message(domainStatement, a.cluster, body))...)
}

// FuzzStatement signs what the fuzzer makes of a statement, which would never get past the signature
// otherwise.
func FuzzStatement(f *testing.F) {
	w := newWorld(f, 1)
	deputy := w.promoted(f)
	id := w.keys(f).ID()
	for _, a := range []*Authority{w.auth, deputy} {
		f.Add(w.revoke(f, a, id, a == deputy), a == deputy)
		f.Add(state(f, a, Statement{Kind: 99, Subject: []byte("x"), Clock: 1, Body: []byte("y")}), a == deputy)
	}
	f.Add(w.revoke(f, deputy, id, false), false)
	next, err := w.root.Succeed(w.entropy, epoch)
	if err != nil {
		f.Fatal(err)
	}
	for _, make := range []func() ([]byte, error){
		func() ([]byte, error) { return w.auth.Demote(epoch, 7, id) },
		func() ([]byte, error) { return w.auth.Announce(epoch, 7, next) },
		func() ([]byte, error) { return w.auth.Retire(epoch, 7, next) },
	} {
		f.Add(must(f)(make()), false)
	}
	f.Fuzz(func(t *testing.T, raw []byte, byDeputy bool) {
		a := w.auth
		if byDeputy {
			a = deputy
		}
		_, _ = w.trust.VerifyStatement(raw, epoch)
		raw = resigned(a, raw)
		s, err := w.trust.VerifyStatement(raw, epoch)
		if err != nil {
			return
		}
		if s.Issuer != micronet.NodeID(public(a.key)) || s.Root == byDeputy {
			t.Fatalf("it was signed by %s, root %t", s.Issuer, s.Root)
		}
		if again := state(t, a, s); !bytes.Equal(again, raw) {
			t.Fatalf("one statement, two forms:\n%x\n%x", raw, again)
		}
		if s.Kind.Permanent() && (micronet.NodeID(s.Subject) == s.Issuer || bytes.Equal(s.Subject, public(w.root.key))) {
			t.Fatalf("%x cannot be revoked", s.Subject)
		}
		if id := s.Ends(); !id.IsZero() && (!s.Root || (s.Kind == StatementDemotion && id == s.Issuer)) {
			t.Fatalf("kind %d ends %s", s.Kind, id)
		}
	})
}
