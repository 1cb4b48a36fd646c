package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
)

// badChain is a chain that nobody may accept. Each is made for the node key given, so that the
// handshake tests can use it with a real key.
type badChain struct {
	name string
	make func(t testing.TB, w *world, k Keys) [][]byte
	word string
}

// tampered issues a leaf by the real root after a change that no authority makes.
func tampered(change func(w *world, c *x509.Certificate)) func(testing.TB, *world, Keys) [][]byte {
	return func(t testing.TB, w *world, k Keys) [][]byte {
		c := leafOf(w, "a")
		change(w, c)
		return [][]byte{forge(t, c, w.rootCert(t), public(k.Sign), w.root.key)}
	}
}

func uris(ss ...string) []*url.URL {
	var out []*url.URL
	for _, s := range ss {
		u, err := url.Parse(s)
		if err != nil {
			panic(err)
		}
		out = append(out, u)
	}
	return out
}

var badChains = []badChain{
	{"expired", tampered(func(_ *world, c *x509.Certificate) { c.NotAfter = epoch.Add(-time.Second) }), "expired"},
	{"not yet valid", tampered(func(_ *world, c *x509.Certificate) { c.NotBefore = epoch.Add(time.Second) }), "not yet valid"},
	{"year 9999, not yet", tampered(func(_ *world, c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Date(9998, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	}), "not yet valid"},
	{"a CA as a node", tampered(func(_ *world, c *x509.Certificate) { c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign }), "not one of a node"},
	{"may also sign", tampered(func(_ *world, c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCertSign }), "not one of a node"},
	{"no key usage", tampered(func(_ *world, c *x509.Certificate) { c.KeyUsage = 0 }), "not one of a node"},
	{"code signing only", tampered(func(_ *world, c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}
	}), "incompatible key usage"},
	{"no name", tampered(func(_ *world, c *x509.Certificate) { c.URIs = nil }), "exactly one name"},
	{"two SPIFFE ids", tampered(func(w *world, c *x509.Certificate) { c.URIs = append(c.URIs, nodeURI(w.root.Cluster, "b")) }), "exactly one name"},
	{"a DNS name too", tampered(func(_ *world, c *x509.Certificate) { c.DNSNames = []string{"a"} }), "exactly one name"},
	{"an IP address too", tampered(func(_ *world, c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(1, 2, 3, 4)} }), "exactly one name"},
	{"other cluster id", tampered(func(_ *world, c *x509.Certificate) { c.URIs = uris("spiffe://other/node/a") }), "for cluster"},
	{"https", tampered(func(w *world, c *x509.Certificate) { c.URIs = uris("https://" + w.root.Cluster.String() + "/node/a") }), "no SPIFFE id"},
	{"no node", tampered(func(w *world, c *x509.Certificate) { c.URIs = uris("spiffe://" + w.root.Cluster.String()) }), "does not name a node"},
	{"name is a path", tampered(func(w *world, c *x509.Certificate) {
		c.URIs = uris("spiffe://" + w.root.Cluster.String() + "/node/a/b")
	}), "does not name a node"},
	{"name is upper case", tampered(func(w *world, c *x509.Certificate) { c.URIs = uris("spiffe://" + w.root.Cluster.String() + "/node/A") }), "does not name a node"},
	{"name has a NUL", tampered(func(w *world, c *x509.Certificate) {
		c.URIs = uris("spiffe://" + w.root.Cluster.String() + "/node/a%00b")
	}), "does not name a node"},
	{"name is escaped", tampered(func(w *world, c *x509.Certificate) {
		c.URIs = uris("spiffe://" + w.root.Cluster.String() + "/node/%61")
	}), "does not name a node"},
	{"query", tampered(func(w *world, c *x509.Certificate) {
		c.URIs = uris("spiffe://" + w.root.Cluster.String() + "/node/a?b")
	}), "does not name a node"},
	{"user", tampered(func(w *world, c *x509.Certificate) {
		c.URIs = uris("spiffe://u@" + w.root.Cluster.String() + "/node/a")
	}), "does not name a node"},
	{"port", tampered(func(w *world, c *x509.Certificate) {
		c.URIs = uris("spiffe://" + w.root.Cluster.String() + ":1/node/a")
	}), "for cluster"},
	{"too large", tampered(func(_ *world, c *x509.Certificate) { c.Subject.CommonName = strings.Repeat("x", MaxCertificate) }), "bytes, at most"},
	{"signed by itself", func(t testing.TB, w *world, k Keys) [][]byte {
		c := leafOf(w, "a")
		return [][]byte{forge(t, c, c, public(k.Sign), k.Sign)}
	}, "not trusted here"},
	{"another cluster's root of the same names", func(t testing.TB, w *world, k Keys) [][]byte {
		other := newWorld(t, 77)
		return [][]byte{forge(t, leafOf(w, "a"), other.rootCert(t), public(k.Sign), other.root.key)}
	}, "not issued by this cluster"},
	{"another cluster's root, shown along", func(t testing.TB, w *world, k Keys) [][]byte {
		other := newWorld(t, 77)
		return [][]byte{forge(t, leafOf(w, "a"), other.rootCert(t), public(k.Sign), other.root.key), other.root.Certificate}
	}, "not issued by this cluster"},
	{"another cluster", func(t testing.TB, _ *world, k Keys) [][]byte {
		m, err := newWorld(t, 77).auth.Issue(epoch, Request{ID: k.ID(), Name: "a"})
		if err != nil {
			t.Fatal(err)
		}
		return m.Chain
	}, "for cluster"},
	{"issued by a mere member", func(t testing.TB, w *world, k Keys) [][]byte {
		evil, m := w.member(t, w.auth, "evil")
		return [][]byte{forge(t, leafOf(w, "a"), mustParse(t, m.Chain[0]), public(k.Sign), evil.Sign), m.Chain[0]}
	}, "not issued by this cluster"},
	{"deputy's deputy", func(t testing.TB, w *world, k Keys) [][]byte {
		deputy, evil := w.promoted(t), w.keys(t)
		ca := caTemplate(w.root.Cluster, "main", "evil", 0, [16]byte{9}, term(epoch, NodeTerm, time.Time{}))
		sub := forge(t, ca, deputy.cert, public(evil.Sign), deputy.key)
		return [][]byte{forge(t, leafOf(w, "a"), mustParse(t, sub), public(k.Sign), evil.Sign), sub, deputy.cert.Raw}
	}, "not issued by this cluster"},
	{"chain too long", func(t testing.TB, w *world, k Keys) [][]byte {
		m, err := w.auth.Issue(epoch, Request{ID: k.ID(), Name: "a"})
		if err != nil {
			t.Fatal(err)
		}
		return [][]byte{m.Chain[0], w.root.Certificate, w.root.Certificate, w.root.Certificate}
	}, "4 certificates"},
	{"the root itself", func(_ testing.TB, w *world, _ Keys) [][]byte { return [][]byte{w.root.Certificate} }, "not one of a node"},
}

func TestQ1_VerifyChainRefuses(t *testing.T) {
	w := newWorld(t, 1)
	k := w.keys(t)
	for _, c := range badChains {
		t.Run(c.name, func(t *testing.T) {
			_, err := w.trust.VerifyChain(c.make(t, w, k), epoch, x509.ExtKeyUsageServerAuth, 0)
			wantError(t, err, micronet.Unauthorized, c.word)
		})
	}
}

func TestVerifyChainAccepts(t *testing.T) {
	w := newWorld(t, 1)
	k, m := w.member(t, w.auth, "a")
	deputyKeys, dm := w.member(t, w.promoted(t), "b")
	for name, c := range map[string]struct {
		raw  [][]byte
		want Leaf
	}{
		"by the root":                {m.Chain, Leaf{k.ID(), "a", w.root.Cluster, m.NotAfter}},
		"by the root, root shown":    {append(m.Chain, w.root.Certificate), Leaf{k.ID(), "a", w.root.Cluster, m.NotAfter}},
		"by a deputy":                {dm.Chain, Leaf{deputyKeys.ID(), "b", w.root.Cluster, dm.NotAfter}},
		"by a deputy, root shown":    {append(dm.Chain, w.root.Certificate), Leaf{deputyKeys.ID(), "b", w.root.Cluster, dm.NotAfter}},
		"with a stranger's in chain": {append(m.Chain, newWorld(t, 2).root.Certificate), Leaf{k.ID(), "a", w.root.Cluster, m.NotAfter}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth} {
				got, err := w.trust.VerifyChain(c.raw, epoch, usage, 0)
				if err != nil || got != c.want {
					t.Fatalf("got %+v, %v, want %+v", got, err, c.want)
				}
			}
		})
	}
	_, err := w.trust.VerifyChain(dm.Chain[:1], epoch, x509.ExtKeyUsageClientAuth, 0)
	wantError(t, err, micronet.Unauthorized, "not trusted here")
	_, err = w.trust.VerifyChain(nil, epoch, x509.ExtKeyUsageClientAuth, 0)
	wantError(t, err, micronet.Unauthorized, "no certificate")
	_, err = w.trust.VerifyChain(m.Chain, time.Time{}, x509.ExtKeyUsageClientAuth, 0)
	wantError(t, err, micronet.Internal, "time is not known")
	_, err = w.trust.VerifyChain([][]byte{[]byte("junk")}, epoch, x509.ExtKeyUsageClientAuth, 0)
	wantError(t, err, micronet.Unauthorized, "cannot be read")
}

func TestVerifyChainOneUsageIsNotTheOther(t *testing.T) {
	w := newWorld(t, 1)
	chain := tampered(func(_ *world, c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	})(t, w, w.keys(t))
	if _, err := w.trust.VerifyChain(chain, epoch, x509.ExtKeyUsageClientAuth, 0); err != nil {
		t.Fatal(err)
	}
	_, err := w.trust.VerifyChain(chain, epoch, x509.ExtKeyUsageServerAuth, 0)
	wantError(t, err, micronet.Unauthorized, "incompatible key usage")
}

// foreignKeys are certificates of the real root for keys that are not Ed25519.
func foreignKeys(t testing.TB) map[string]any {
	t.Helper()
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsa2048, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]any{"P-256": p256, "RSA": rsa2048}
}

func publicOf(key any) any {
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		return k.Public()
	case *rsa.PrivateKey:
		return k.Public()
	}
	return nil
}

func TestQ2_VerifyChainOtherKeyTypes(t *testing.T) {
	w := newWorld(t, 1)
	for name, key := range foreignKeys(t) {
		t.Run(name, func(t *testing.T) {
			leaf := forge(t, leafOf(w, "a"), w.rootCert(t), publicOf(key), w.root.key)
			_, err := w.trust.VerifyChain([][]byte{leaf}, epoch, x509.ExtKeyUsageServerAuth, 0)
			wantError(t, err, micronet.Unauthorized, "only Ed25519")
			ca := caTemplate(w.root.Cluster, "main", "evil", 0, [16]byte{9}, term(epoch, NodeTerm, time.Time{}))
			sub := forge(t, ca, w.rootCert(t), publicOf(key), w.root.key)
			leaf = forge(t, leafOf(w, "a"), mustParse(t, sub), public(w.keys(t).Sign), key)
			_, err = w.trust.VerifyChain([][]byte{leaf, sub}, epoch, x509.ExtKeyUsageServerAuth, 0)
			wantError(t, err, micronet.Unauthorized, "only Ed25519")
			self := forge(t, ca, ca, publicOf(key), key)
			_, err = NewTrust(w.root.Cluster, self)
			wantError(t, err, micronet.Unauthorized, "only Ed25519")
		})
	}
}

func TestTrustRoots(t *testing.T) {
	w, other := newWorld(t, 1), newWorld(t, 2)
	_, m := w.member(t, w.auth, "a")
	_, err := NewTrust(w.root.Cluster)
	wantError(t, err, micronet.Unauthorized, "0 root certificates")
	_, err = NewTrust(w.root.Cluster, other.root.Certificate)
	wantError(t, err, micronet.Unauthorized, "not one of cluster")
	_, err = NewTrust(w.root.Cluster, m.Chain[0])
	wantError(t, err, micronet.Unauthorized, "signed itself")
	_, err = NewTrust(w.root.Cluster, w.promoted(t).cert.Raw)
	wantError(t, err, micronet.Unauthorized, "signed itself")
	if got := w.trust.Roots(); len(got) != 1 || string(got[0]) != string(w.root.Certificate) || w.trust.Cluster() != w.root.Cluster {
		t.Fatal("the roots are not those that were given")
	}
}

// A second root of the same cluster, as when the root is replaced: members of both are accepted
// while both are trusted, and the cluster's id stays.
func TestTrustTwoRoots(t *testing.T) {
	w := newWorld(t, 1)
	successor := newWorld(t, 2).root
	template := caTemplate(w.root.Cluster, "main", "micro-net root", rootPathLen, [16]byte{5}, term(epoch, RootTerm, time.Time{}))
	successor.Cluster = w.root.Cluster
	successor.Certificate = forge(t, template, template, public(successor.key), successor.key)
	auth, err := successor.Authority(w.entropy)
	if err != nil {
		t.Fatal(err)
	}
	oldKeys, oldMember := w.member(t, w.auth, "a")
	newKeys, newMember := w.member(t, auth, "b")
	accepts := func(k Keys, m Membership) bool {
		raw, err := NewCredential(k, m, Self{})
		if err != nil {
			t.Fatal(err)
		}
		_, chainErr := w.trust.VerifyChain(m.Chain, epoch, x509.ExtKeyUsageClientAuth, 0)
		_, credErr := w.trust.VerifyCredential(raw, epoch, 0)
		if (chainErr == nil) != (credErr == nil) {
			t.Fatalf("certificate and credential differ: %v, %v", chainErr, credErr)
		}
		return chainErr == nil
	}
	for _, step := range []struct {
		roots            [][]byte
		oldGood, newGood bool
	}{
		{[][]byte{w.root.Certificate}, true, false},
		{[][]byte{w.root.Certificate, successor.Certificate}, true, true},
		{[][]byte{successor.Certificate}, false, true}, // what the cache held is forgotten
	} {
		if err := w.trust.SetRoots(step.roots...); err != nil {
			t.Fatal(err)
		}
		if o, n := accepts(oldKeys, oldMember), accepts(newKeys, newMember); o != step.oldGood || n != step.newGood {
			t.Fatalf("with %d roots: old %v, new %v, want %v, %v", len(step.roots), o, n, step.oldGood, step.newGood)
		}
	}
	if err := w.trust.SetRoots(); err == nil || !accepts(newKeys, newMember) {
		t.Fatal("a refused change of roots changed them")
	}
}

// TestRootsAreRevisedTogether: who changes the roots sees what another one has made of them meanwhile.
func TestRootsAreRevisedTogether(t *testing.T) {
	w := newWorld(t, 1)
	all := w.line(t, 3)
	trust := trusting(t, all[0])
	more := func(r Root, first func()) error {
		return trust.ReviseRoots(func(roots [][]byte) ([][]byte, bool) {
			first()
			return append(roots, r.Certificate), true
		})
	}
	between := sync.OnceFunc(func() {
		if err := more(all[2], func() {}); err != nil {
			t.Error(err)
		}
	})
	if err := more(all[1], between); err != nil {
		t.Fatal(err)
	}
	if got := len(trust.Roots()); got != 3 {
		t.Errorf("%d roots are trusted, want 3", got)
	}
	if err := trust.ReviseRoots(func([][]byte) ([][]byte, bool) { return nil, true }); err == nil || len(trust.Roots()) != 3 {
		t.Error("a refused change of roots changed them")
	}
}

// A node that has not joined accepts nobody; its Trust follows it into a cluster and to another.
func TestTrustBeforeJoining(t *testing.T) {
	w, other := newWorld(t, 1), newWorld(t, 2)
	k, m := w.member(t, w.auth, "a")
	raw, err := NewCredential(k, m, Self{})
	if err != nil {
		t.Fatal(err)
	}
	var trust Trust
	refuses := func() {
		t.Helper()
		_, err := trust.VerifyChain(m.Chain, epoch, x509.ExtKeyUsageClientAuth, 0)
		wantError(t, err, micronet.Unauthorized, "for cluster")
		_, err = trust.VerifyCredential(raw, epoch, 0)
		wantError(t, err, micronet.Unauthorized, "not trusted here")
	}
	refuses()
	if !trust.Cluster().IsZero() || trust.Roots() != nil {
		t.Fatal("an empty Trust has a cluster")
	}
	unscoped := leafOf(w, "a")
	unscoped.URIs = uris("spiffe://" + ClusterID{}.String() + "/node/a")
	self := forge(t, unscoped, unscoped, public(k.Sign), k.Sign)
	_, err = trust.VerifyChain([][]byte{self}, epoch, x509.ExtKeyUsageClientAuth, 0)
	wantError(t, err, micronet.Unauthorized, "not trusted here")

	if err := trust.Replace(w.root.Cluster, w.root.Certificate); err != nil {
		t.Fatal(err)
	}
	if _, err := trust.VerifyCredential(raw, epoch, 0); err != nil {
		t.Fatal(err)
	}
	if err := trust.Replace(other.root.Cluster, w.root.Certificate); err == nil || trust.Cluster() != w.root.Cluster {
		t.Fatal("another cluster is taken for this one's root")
	}
	if err := trust.Replace(other.root.Cluster, other.root.Certificate); err != nil {
		t.Fatal(err)
	}
	refuses()
}
