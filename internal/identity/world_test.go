package identity

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
)

// epoch is the present of all tests, in the middle of a second so that rounding shows.
var epoch = time.Date(2031, 3, 4, 5, 6, 7, 890, time.UTC)

func entropyOf(seed byte) *rand.ChaCha8 { return rand.NewChaCha8([32]byte{seed}) }

// world is a cluster with an authority and the means to make members.
type world struct {
	entropy *rand.ChaCha8
	root    Root
	auth    *Authority
	trust   *Trust
}

func newWorld(t testing.TB, seed byte) *world {
	t.Helper()
	w := &world{entropy: entropyOf(seed)}
	var err error
	if w.root, err = NewRoot(w.entropy, "main", epoch); err != nil {
		t.Fatal(err)
	}
	if w.auth, err = w.root.Authority(w.entropy); err != nil {
		t.Fatal(err)
	}
	if w.trust, err = NewTrust(w.root.Cluster, w.root.Certificate); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) keys(t testing.TB) Keys {
	t.Helper()
	k, err := NewKeys(w.entropy)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// member issues a membership by a.
func (w *world) member(t testing.TB, a *Authority, name string) (Keys, Membership) {
	t.Helper()
	k := w.keys(t)
	m, err := a.Issue(epoch, Request{ID: k.ID(), Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return k, m
}

// promoted makes an authority below the root.
func (w *world) promoted(t testing.TB) *Authority {
	t.Helper()
	k := w.keys(t)
	p, err := w.auth.Promote(epoch, k.ID(), "deputy")
	if err != nil {
		t.Fatal(err)
	}
	a, err := p.Authority(k, w.entropy, epoch)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (w *world) credential(t testing.TB, a *Authority, name string, self Self) ([]byte, Keys) {
	t.Helper()
	k, m := w.member(t, a, name)
	c, err := NewCredential(k, m, self)
	if err != nil {
		t.Fatal(err)
	}
	return c, k
}

// forge signs any template with any key, as an attacker could with the keys that he has.
func forge(t testing.TB, template, parent *x509.Certificate, public, signer any) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(entropyOf(99), template, parent, public, signer)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func mustParse(t testing.TB, der []byte) *x509.Certificate {
	t.Helper()
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// wantError demands an error of a kind whose text holds all words.
func wantError(t testing.TB, err error, kind micronet.Kind, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %s with %q", kind, words)
	}
	if got := micronet.KindOf(err); got != kind {
		t.Fatalf("kind %s, want %s: %v", got, kind, err)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Fatalf("error %q does not say %q", err, w)
		}
	}
}

func wantIs(t testing.TB, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Fatalf("error %v is not %v", err, target)
	}
}

func addrPorts(ss ...string) []netip.AddrPort {
	var out []netip.AddrPort
	for _, s := range ss {
		out = append(out, netip.MustParseAddrPort(s))
	}
	return out
}

func leafOf(w *world, name string) *x509.Certificate {
	return leafTemplate(w.root.Cluster, "main", name, [16]byte{7}, term(epoch, NodeTerm, time.Time{}))
}

func (w *world) rootCert(t testing.TB) *x509.Certificate { return mustParse(t, w.root.Certificate) }

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

func sign(token Token, msg []byte) []byte { return ed25519.Sign(token.proofKey(), msg) }

func signWith(k Keys, msg []byte) []byte { return ed25519.Sign(k.Sign, msg) }

func fmtJSON(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
