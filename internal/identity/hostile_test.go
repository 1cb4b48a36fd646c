package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
)

// hugeRSA is a public key that nobody has the private one of: what it costs to look at is the point.
func hugeRSA(bits uint) *rsa.PublicKey {
	n := new(big.Int).Lsh(big.NewInt(1), bits)
	return &rsa.PublicKey{N: n.Sub(n, big.NewInt(1)), E: 65537}
}

// TestQ2_RefusedBeforeExpensiveWork: keys and sizes that no cluster issues cost less than a signature of an
// honest one is allowed to, although the root has signed them.
func TestQ2_RefusedBeforeExpensiveWork(t *testing.T) {
	w := newWorld(t, 1)
	curve, err := ecdsa.GenerateKey(elliptic.P256(), entropyOf(3))
	if err != nil {
		t.Fatal(err)
	}
	signed := func(public any) []byte { return forge(t, leafOf(w, "a"), w.rootCert(t), public, w.root.key) }
	k, m := w.member(t, w.auth, "a")
	for name, c := range map[string]struct {
		chain [][]byte
		word  string
	}{
		"RSA of 2,048 bits":      {[][]byte{signed(hugeRSA(2048))}, "only Ed25519"},
		"RSA of 16,384 bits":     {[][]byte{signed(hugeRSA(16384))}, "only Ed25519"},
		"RSA behind a good leaf": {[][]byte{m.Chain[0], signed(hugeRSA(16384))}, "only Ed25519"},
		"P-256":                  {[][]byte{signed(curve.Public())}, "only Ed25519"},
		"1 MiB of zeros":         {[][]byte{make([]byte, 1<<20)}, "bytes, at most"},
		"10 MB of zeros":         {[][]byte{make([]byte, 10<<20)}, "bytes, at most"},
		"10,000 certificates":    {make([][]byte, 10_000), "10000 certificates"},
	} {
		t.Run(name, func(t *testing.T) {
			least := time.Hour
			for range 20 { // the machine may be busy with something else
				begin := time.Now()
				_, err = w.trust.VerifyChain(c.chain, epoch, x509.ExtKeyUsageClientAuth, 0)
				least = min(least, time.Since(begin))
			}
			wantError(t, err, micronet.Unauthorized, c.word)
			if least > time.Millisecond {
				t.Errorf("the refusal takes %v, want 1ms at most", least)
			}
			if len(c.chain) > MaxChain || len(c.chain[0]) > MaxCertificate {
				return // crypto/tls ends such a handshake before we see it: TestH7_
			}
			shown := &tls.Certificate{Certificate: c.chain, PrivateKey: k.Sign}
			client := w.tls(k, m).Client(k.ID())
			client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return shown, nil }
			if h := shake(t, client, w.tls(k, m).Server()); h.serverError == nil || h.clientError == nil {
				t.Errorf("the handshake ends with %v and %v", h.serverError, h.clientError)
			}
		})
	}
}

// hostileLeaves are certificates of the true root, made to confuse whoever reads them.
func hostileLeaves(w *world) map[string]func(c *x509.Certificate) {
	uri := func(name string) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.URIs = uris("spiffe://" + w.root.Cluster.String() + "/node/" + name) }
	}
	many := func(n int) []string {
		names := make([]string, n)
		for i := range names {
			names[i] = fmt.Sprintf("n%d.example", i)
		}
		return names
	}
	return map[string]func(c *x509.Certificate){
		"100,000 names": func(c *x509.Certificate) { c.DNSNames = many(100_000) },
		"100 names":     func(c *x509.Certificate) { c.DNSNames = many(100) },
		"100 SPIFFE ids": func(c *x509.Certificate) {
			c.URIs = uris(strings.Split(strings.Repeat("spiffe://x/node/a ", 100), " ")[:100]...)
		},
		"a NUL in the name":    uri("a%00b"),
		"another script":       uri("%D0%B0"), // a Cyrillic letter that looks like a Latin one
		"a joiner":             uri("a%E2%80%8D"),
		"two labels":           uri("a.b"),
		"a dot at the end":     uri("a."),
		"a name of 64 letters": uri(strings.Repeat("a", 64)),
		"an empty name":        uri(""),
		"two parents":          uri("../../node/a"),
		"an escaped slash":     uri("a%2Fb"),
		"a line break":         uri("a%0Ab"),
		"ended":                func(c *x509.Certificate) { c.NotAfter = epoch.Add(-time.Second) },
		"not yet, until 9999": func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = epoch.Add(time.Hour), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
		},
		"an unknown extension that must be known": func(c *x509.Certificate) {
			c.ExtraExtensions = append(c.ExtraExtensions, criticalExtension)
		},
	}
}

// criticalExtension is one that nobody knows and that must not be passed over (RFC 5280 section 4.2).
var criticalExtension = pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 1}, Critical: true, Value: []byte{5, 0}}

// TestH7_HostileCertificates: by the verifier, and by both sides of a handshake.
func TestH7_HostileCertificates(t *testing.T) {
	w := newWorld(t, 1)
	k, m := w.member(t, w.auth, "a")
	chains := map[string][][]byte{
		"10 MB":             {make([]byte, 10<<20)},
		"100 certificates":  make([][]byte, 100),
		"the key of others": {forge(t, leafOf(w, "a"), w.rootCert(t), public(w.keys(t).Sign), w.root.key)},
	}
	for i := range chains["100 certificates"] {
		chains["100 certificates"][i] = m.Chain[0]
	}
	for name, change := range hostileLeaves(w) {
		chains[name] = tampered(func(_ *world, c *x509.Certificate) { change(c) })(t, w, k)
	}
	for name, chain := range chains {
		t.Run(name, func(t *testing.T) {
			_, err := w.trust.VerifyChain(chain, epoch, x509.ExtKeyUsageClientAuth, 0)
			if stolen := name == "the key of others"; (err == nil) != stolen { // who holds the key, the handshake shows
				t.Errorf("the chain alone: %v", err)
			}
			shown := &tls.Certificate{Certificate: chain, PrivateKey: k.Sign}
			client, server := w.tls(k, m).Client(k.ID()), w.tls(k, m).Server()
			client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return shown, nil }
			if h := shake(t, client, server); h.serverError == nil {
				t.Error("the server takes it")
			}
			client, server = w.tls(k, m).Client(k.ID()), w.tls(k, m).Server()
			server.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return shown, nil }
			if h := shake(t, client, server); h.clientError == nil {
				t.Error("the client takes it")
			}
		})
	}
}

// A certificate that would be good for eight thousand years is good for as long as its issuer.
func TestH7_NoCertificateOutlivesItsIssuer(t *testing.T) {
	w := newWorld(t, 1)
	chain := tampered(func(_ *world, c *x509.Certificate) {
		c.NotAfter = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	})(t, w, w.keys(t))
	leaf, err := w.trust.VerifyChain(chain, epoch, x509.ExtKeyUsageClientAuth, 0)
	if err != nil || !leaf.NotAfter.Equal(w.rootCert(t).NotAfter) {
		t.Errorf("it ends %v, %v, want with the root", leaf.NotAfter, err)
	}
	_, err = w.trust.VerifyChain(chain, w.rootCert(t).NotAfter.Add(time.Second), x509.ExtKeyUsageClientAuth, 365*24*time.Hour)
	wantError(t, err, micronet.Unauthorized, "not issued by this cluster")
}

// TestH35_CertificatesOfTomorrow: a host whose clock is ahead gets no further with what it issues than
// the clocks of the others.
func TestH35_CertificatesOfTomorrow(t *testing.T) {
	w := newWorld(t, 1)
	ahead, err := w.auth.Issue(epoch.Add(BackDated+time.Hour), Request{ID: w.keys(t).ID(), Name: "a"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.trust.VerifyChain(ahead.Chain, epoch, x509.ExtKeyUsageClientAuth, 0)
	wantIs(t, err, ErrNotYetValid)
	_, err = w.trust.VerifyGrant(ahead.Grant, ahead.Issuers, epoch)
	wantIs(t, err, ErrNotYetValid)
	raw := state(t, w.auth, Statement{Kind: 9, Subject: []byte("x"), Clock: ClockAt(epoch.Add(MaxClockAhead + time.Second))})
	_, err = w.trust.VerifyStatement(raw, epoch)
	wantError(t, err, micronet.Refused, "ahead of this host's clock")
	// Two days of difference are allowed for: certificates are back-dated.
	ahead, err = w.auth.Issue(epoch.Add(BackDated-time.Hour), Request{ID: w.keys(t).ID(), Name: "b"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = w.trust.VerifyChain(ahead.Chain, epoch, x509.ExtKeyUsageClientAuth, 0); err != nil {
		t.Error(err)
	}
}
