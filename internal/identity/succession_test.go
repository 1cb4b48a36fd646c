package identity

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"crypto/x509/pkix"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
)

// line is a cluster whose root was replaced several times, oldest first.
func (w *world) line(t testing.TB, n int) []Root {
	t.Helper()
	all := []Root{w.root}
	for range n - 1 {
		next, err := all[len(all)-1].Succeed(w.entropy, epoch)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, next)
	}
	return all
}

// trusting is a Trust in some roots of a line.
func trusting(t testing.TB, roots ...Root) *Trust {
	t.Helper()
	var ders [][]byte
	for _, r := range roots {
		ders = append(ders, r.Certificate)
	}
	trust, err := NewTrust(roots[0].Cluster, ders...)
	if err != nil {
		t.Fatal(err)
	}
	return trust
}

func (w *world) issuer(t testing.TB, trust *Trust, r Root) *Authority {
	t.Helper()
	a, err := trust.RootAuthority(r, w.entropy)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestRootsSucceed: the cluster keeps id and name, the key is another one, and it is read back from disk.
func TestRootsSucceed(t *testing.T) {
	w := newWorld(t, 1)
	all := w.line(t, MaxRoots)
	for i, r := range all[1:] {
		if r.Cluster != w.root.Cluster || r.ClusterName != w.root.ClusterName || r.Hash() == all[i].Hash() {
			t.Fatalf("root %d is %v of %s", i, r, r.Cluster)
		}
		if len(r.Certificate) > MaxCertificate/2 {
			t.Errorf("root %d has %d bytes", i, len(r.Certificate))
		}
		again, err := ParseRoot(r.MarshalKey(), r.Certificate)
		if err != nil || again.Hash() != r.Hash() || again.Cluster != r.Cluster {
			t.Fatal(again, err)
		}
		next := mustParse(t, r.Certificate)
		for j, o := range all {
			known := func(key ed25519.PublicKey) bool { return hashRoot(key) == o.Hash() }
			if got := isHeir(next, w.root.Cluster, known); got != (j <= i) {
				t.Errorf("root %d is an heir of %d: %t", i+1, j, got)
			}
		}
	}
	_, err := all[len(all)-1].Succeed(w.entropy, epoch)
	wantError(t, err, micronet.Refused, "8 roots")
	trusting(t, all...)
}

// TestForgedSuccession: nobody becomes a root by saying so.
func TestForgedSuccession(t *testing.T) {
	w := newWorld(t, 1)
	all := w.line(t, 3)
	thief, err := NewRoot(w.entropy, "main", epoch)
	if err != nil {
		t.Fatal(err)
	}
	thief.Cluster = w.root.Cluster
	good := heirlooms(mustParse(t, all[2].Certificate))
	known := func(key ed25519.PublicKey) bool { return hashRoot(key) == w.root.Hash() }
	for name, c := range map[string]struct {
		of    Root
		value []byte
		want  bool
	}{
		"as it is":            {all[2], good, true},
		"somebody else's":     {thief, good, false},
		"signed by itself":    {thief, append(bytes.Clone(w.root.public()), ed25519.Sign(thief.key, message(domainSuccession, thief.Cluster, thief.public()))...), false},
		"one left out":        {all[2], good[heirloomLen:], false},
		"the first alone":     {all[2], good[:heirloomLen], false},
		"in another order":    {all[2], append(bytes.Clone(good[heirloomLen:]), good[:heirloomLen]...), false},
		"a changed signature": {all[2], flipped(good, len(good)-1), false},
		"a changed first one": {all[2], flipped(good, heirloomLen-1), false},
		"cut short":           {all[2], good[:len(good)-1], false},
		"too many":            {all[2], bytes.Repeat(good, MaxRoots), false},
		"none":                {all[2], nil, false},
		"of another cluster":  {thief, append(bytes.Clone(w.root.public()), ed25519.Sign(w.root.key, message(domainSuccession, ClusterID{1}, thief.public()))...), false},
		"one put before":      {all[2], append(thief.heirloom(w.root.public()), good...), true}, // it says so itself
		"a false one before":  {all[2], append(bytes.Repeat([]byte{1}, heirloomLen), good...), false},
		"by the root":         {thief, w.root.heirloom(thief.public()), true},
	} {
		t.Run(name, func(t *testing.T) {
			der, err := c.of.certify(w.entropy, epoch, pkix.Extension{Id: oidSuccession, Value: c.value})
			if err != nil {
				t.Fatal(err)
			}
			if got := isHeir(mustParse(t, der), w.root.Cluster, known); got != c.want {
				t.Errorf("it is an heir: %t", got)
			}
		})
	}
	if isHeir(mustParse(t, all[1].Certificate), ClusterID{1}, known) {
		t.Error("an heir of another cluster")
	}
}

// TestQ8_RotationOverlaps: while both roots are trusted what either issued counts, in all forms and over TLS in
// both directions.
func TestQ8_RotationOverlaps(t *testing.T) {
	w := newWorld(t, 1)
	all := w.line(t, 2)
	w.trust = trusting(t, all...)
	before, after := w.issuer(t, w.trust, all[0]), w.issuer(t, w.trust, all[1])
	ka, ma := w.member(t, before, "a")
	kb, mb := w.member(t, after, "b")
	if !w.counts(t, ka, ma, epoch) || !w.counts(t, kb, mb, epoch) {
		t.Fatal("one of the two does not count")
	}
	if ma.Origin() != KeyIDOf(all[0].Certificate) || mb.Origin() != KeyIDOf(all[1].Certificate) || ma.Origin() == mb.Origin() {
		t.Error("they lead to the wrong roots")
	}
	if len(mb.Roots) != 2 || mb.Validate(kb, epoch) != nil {
		t.Errorf("%d roots, %v", len(mb.Roots), mb.Validate(kb, epoch))
	}
	a, b := w.tls(ka, ma), w.tls(kb, mb)
	for _, h := range []handshake{shake(t, a.Client(kb.ID()), b.Server()), shake(t, b.Client(ka.ID()), a.Server())} {
		if h.clientError != nil || h.serverError != nil {
			t.Error(h.clientError, h.serverError)
		}
	}
}

// TestQ8_AwayDuringRotation: who knows a former root alone understands peers that show the present one, over
// any number of rotations, and they take its old certificate until it ends. So the tunnel comes up that brings
// the news.
func TestQ8_AwayDuringRotation(t *testing.T) {
	for n := 2; n <= 4; n++ {
		for _, promoted := range []bool{false, true} {
			w := newWorld(t, 1)
			all := w.line(t, n)
			kl, ml := w.member(t, w.auth, "late")
			late := w.tls(kl, ml)
			late.Trust = trusting(t, all[0])

			present := trusting(t, all...)
			ended := map[micronet.NodeID][]Clock{}
			for _, r := range all[:n-1] {
				ended[r.ID()] = []Clock{ClockAt(epoch.Add(time.Hour))}
			}
			present.SetEnded(ended)
			a := w.issuer(t, present, all[n-1])
			if promoted {
				k := w.keys(t)
				p, err := a.Promote(epoch, k.ID(), "deputy")
				if err != nil {
					t.Fatal(err)
				}
				if a, err = present.Authority(p, k, w.entropy, epoch); err != nil {
					t.Fatal(err)
				}
			}
			ko, mo := w.member(t, a, "other")
			other := w.tls(ko, mo)
			other.Trust = present
			for _, h := range []handshake{shake(t, late.Client(ko.ID()), other.Server()), shake(t, other.Client(kl.ID()), late.Server())} {
				if h.clientError != nil || h.serverError != nil {
					t.Errorf("%d roots, promoted %t: %v, %v", n, promoted, h.clientError, h.serverError)
				}
			}
			// What the former root issues from now on does not count.
			_, err := present.RootAuthority(all[0], w.entropy)
			wantError(t, err, micronet.Unauthorized, "was replaced")
			m, err := w.auth.Issue(epoch.Add(2*time.Hour), Request{ID: kl.ID(), Name: "late"})
			if err != nil {
				t.Fatal(err)
			}
			_, err = present.VerifyGrant(m.Grant, m.Issuers, epoch.Add(2*time.Hour))
			wantError(t, err, micronet.Unauthorized, "no authority any more")
			_, err = present.VerifyChain(m.Chain, epoch.Add(2*time.Hour), x509.ExtKeyUsageServerAuth, 0)
			wantError(t, err, micronet.Unauthorized, "no authority any more")
			// Nor does another heir of it that nobody here has heard of.
			thief, err := all[0].Succeed(w.entropy, epoch)
			if err != nil {
				t.Fatal(err)
			}
			kt, mt := w.member(t, w.issuer(t, trusting(t, thief), thief), "thief")
			evil := w.tls(kt, mt)
			evil.Trust = trusting(t, all[0], thief)
			h := shake(t, other.Client(kt.ID()), evil.Server())
			wantError(t, h.clientError, micronet.Unauthorized, "not issued by this cluster")
		}
	}
}

// TestQ5_TokensOutliveRotations: a token that pins a former root leads to the present one.
func TestQ5_TokensOutliveRotations(t *testing.T) {
	for n := 2; n <= 3; n++ {
		w := newWorld(t, 1)
		all := w.line(t, n)
		f := newFounder(t, w, w.auth)
		token, used := f.invite(t, invitation), f.invite(t, invitation)
		w.trust = trusting(t, all...)
		k, m := w.member(t, w.issuer(t, w.trust, all[n-1]), "founder")
		f.auth, f.tls = w.issuer(t, w.trust, all[n-1]), w.tls(k, m)
		keys := w.keys(t)
		j := f.join(t, token, keys, Wish{Name: "worker-7"})
		if j.clientError != nil || j.serverError != nil {
			t.Fatal(j.clientError, j.serverError)
		}
		if got := j.result.Membership; len(got.Roots) != n || got.Validate(keys, epoch) != nil || got.Origin() != KeyIDOf(all[n-1].Certificate) {
			t.Errorf("joined with %d roots: %v", len(got.Roots), got.Validate(keys, epoch))
		}
		// A refusal is believed as well.
		used.Secret[0] ^= 1
		j = f.join(t, used, w.keys(t), Wish{Name: "a"})
		wantError(t, j.clientError, micronet.Refused, "not one of this cluster, or has expired")
		// The other way round nothing leads back: the root before knows nothing of its heir.
		next := f.invite(t, invitation)
		f.auth, f.tls = w.auth, w.tls(w.member(t, w.auth, "founder"))
		f.tls.Trust = trusting(t, all[0])
		j = f.join(t, next, w.keys(t), Wish{Name: "a"})
		wantError(t, j.clientError, micronet.Unauthorized, "does not show the root", "ask for a new token")
	}
}

// TestTokensOfARotation: who signs under the new root already and shows the former one, or the other way round, makes
// tokens that are good there, and later.
func TestTokensOfARotation(t *testing.T) {
	w := newWorld(t, 1)
	all := w.line(t, 2)
	w.trust = trusting(t, all...)
	for _, c := range []struct{ signs, shows int }{{0, 0}, {1, 0}, {0, 1}, {1, 1}} {
		f := newFounder(t, w, w.issuer(t, w.trust, all[c.signs]))
		k, m := w.member(t, w.issuer(t, w.trust, all[c.shows]), "founder")
		f.tls = w.tls(k, m)
		i := invitation
		i.Uses, i.Shown = 2, w.trust.RootOf(m)
		token := f.invite(t, i)
		for _, name := range []string{"one", "two"} {
			if j := f.join(t, token, w.keys(t), Wish{Name: name}); j.clientError != nil || j.serverError != nil {
				t.Errorf("%+v: %s: %v, %v", c, name, j.clientError, j.serverError)
			}
			f.auth, f.tls = w.issuer(t, w.trust, all[1]), w.tls(w.member(t, w.issuer(t, w.trust, all[1]), "founder"))
		}
	}
}

// FuzzSuccession puts what the fuzzer makes of an extension into a root certificate that a thief has signed
// for himself: it never makes him an heir.
func FuzzSuccession(f *testing.F) {
	w := newWorld(f, 1)
	all := w.line(f, 3)
	thief, err := NewRoot(w.entropy, "main", epoch)
	if err != nil {
		f.Fatal(err)
	}
	thief.Cluster = w.root.Cluster
	good := heirlooms(mustParse(f, all[2].Certificate))
	for _, seed := range [][]byte{nil, good, good[:heirloomLen], good[heirloomLen:], bytes.Repeat(good, 3), thief.heirloom(thief.public())} {
		f.Add(seed)
	}
	known := func(key ed25519.PublicKey) bool { return hashRoot(key) == w.root.Hash() }
	f.Fuzz(func(t *testing.T, value []byte) {
		if len(value) > MaxCertificate {
			return
		}
		der, err := thief.certify(entropyOf(3), epoch, pkix.Extension{Id: oidSuccession, Value: value})
		if err != nil {
			t.Fatal(err)
		}
		c, err := parseCertificate("root", der)
		if err != nil {
			return // too long
		}
		if isHeir(c, thief.Cluster, known) {
			t.Fatalf("%x makes a thief an heir", value)
		}
		if last, err := thief.Succeed(entropyOf(4), epoch); err == nil && inherits(c, thief.Cluster) && !isHeir(mustParse(t, last.Certificate), thief.Cluster, func(k ed25519.PublicKey) bool { return k.Equal(thief.public()) }) {
			t.Fatal("whom it hands over to is no heir")
		}
	})
}
