package identity

import (
	"crypto/x509"
	"testing"
	"time"
)

// TestGrace: what ended at most the grace ago is as good as it was at its end, and nothing else is:
// neither what has not begun, nor what ended before, nor what was wrong all the time.
func TestGrace(t *testing.T) {
	w := newWorld(t, 61)
	for _, a := range []*Authority{w.auth, w.promoted(t)} {
		k, m := w.member(t, a, "n1")
		credential, err := NewCredential(k, m, Self{})
		if err != nil {
			t.Fatal(err)
		}
		const grace = 30 * 24 * time.Hour
		for _, c := range []struct {
			what   string
			now    time.Time
			grace  time.Duration
			target error
		}{
			{"in its term", epoch, 0, nil},
			{"at its end", m.NotAfter, 0, nil},
			{"a second later", m.NotAfter.Add(time.Second), 0, ErrExpired},
			{"a second later, in grace", m.NotAfter.Add(time.Second), grace, nil},
			{"at the end of the grace", m.NotAfter.Add(grace), grace, nil},
			{"after the grace", m.NotAfter.Add(grace + time.Second), grace, ErrExpired},
			{"before its term", m.NotBefore.Add(-time.Second), grace, ErrNotYetValid},
		} {
			cred, credErr := w.trust.VerifyCredential(credential, c.now, c.grace)
			leaf, leafErr := w.trust.VerifyChain(m.Chain, c.now, x509.ExtKeyUsageServerAuth, c.grace)
			for _, err := range []error{credErr, leafErr} {
				if c.target != nil {
					wantIs(t, err, c.target)
				} else if err != nil {
					t.Errorf("%s: %v", c.what, err)
				}
			}
			if c.target == nil && (!cred.Expires.Equal(m.NotAfter) || !leaf.NotAfter.Equal(m.NotAfter)) {
				t.Errorf("%s: the end has moved", c.what)
			}
		}
		other := newWorld(t, 62)
		if _, err := other.trust.VerifyChain(m.Chain, m.NotAfter.Add(time.Hour), x509.ExtKeyUsageServerAuth, grace); err == nil {
			t.Error("another cluster takes it in grace")
		}
		credential[len(credential)-1] ^= 1
		if _, err := w.trust.VerifyCredential(credential, m.NotAfter.Add(time.Hour), grace); err == nil {
			t.Error("a wrong signature counts in grace")
		}
	}
}

func TestTerm(t *testing.T) {
	w := newWorld(t, 63)
	_, m := w.member(t, w.auth, "n1")
	if m.Term() != NodeTerm || m.RenewAfter() != m.NotAfter.Add(-NodeTerm/2) {
		t.Errorf("term %v, renewal %v before its end", m.Term(), m.NotAfter.Sub(m.RenewAfter()))
	}
}
