package identity

import (
	"crypto/x509"
	"testing"
)

func BenchmarkVerifyCredentialCached(b *testing.B) {
	w := newWorld(b, 1)
	raw, _ := w.credential(b, w.auth, "worker-7", fullSelf)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.trust.VerifyCredential(raw, epoch, 0); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyCredentialCold(b *testing.B) {
	w := newWorld(b, 1)
	for name, a := range map[string]*Authority{"root": w.auth, "deputy": w.promoted(b)} {
		b.Run(name, func(b *testing.B) {
			raw, _ := w.credential(b, a, "worker-7", fullSelf)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := w.trust.snapshot().credential(raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// What a stranger's packet costs: a key that no root has is found out before any signature.
func BenchmarkVerifyCredentialStranger(b *testing.B) {
	w, other := newWorld(b, 1), newWorld(b, 2)
	raw, _ := other.credential(b, other.auth, "worker-7", fullSelf)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.trust.VerifyCredential(raw, epoch, 0); err == nil {
			b.Fatal("accepted")
		}
	}
}

func BenchmarkVerifyChain(b *testing.B) {
	w := newWorld(b, 1)
	_, m := w.member(b, w.auth, "a")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.trust.VerifyChain(m.Chain, epoch, x509.ExtKeyUsageClientAuth, 0); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkIssue(b *testing.B) {
	w := newWorld(b, 1)
	id := w.keys(b).ID()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.auth.Issue(epoch, Request{ID: id, Name: "a"}); err != nil {
			b.Fatal(err)
		}
	}
}
