package identity

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"io"
	"slices"
	"time"

	micronet "github.com/micro/micro-net"
)

// A cluster's root is replaced by another one whose certificate says from whom it has taken over, in an
// extension of ours:
//
//	{former root's key 32 │ its signature over the next key 64} once for each, oldest first
//
// So who trusts a former root, and shows nobody to ask, can trust the present one: a guest whose token
// pins the former root, and a node that was away while the root was replaced.

// oidSuccession names the extension.
var oidSuccession = asn1.ObjectIdentifier{2, 25, 1835627379, 1969448819}

const heirloomLen = ed25519.PublicKeySize + ed25519.SignatureSize

// Succeed makes a root that takes this one's place. It counts for those who trust this one, and for all
// others once they have been told.
func (r Root) Succeed(entropy io.Reader, now time.Time) (Root, error) {
	former, err := parseCertificate("root", r.Certificate)
	if err != nil {
		return Root{}, err
	}
	list := heirlooms(former)
	if len(list)/heirloomLen >= MaxRoots-1 {
		return Root{}, refused("root", "the cluster has had %d roots, which is as many as there can be", MaxRoots).WithFix("found a new cluster")
	}
	var seed [ed25519.SeedSize]byte
	if _, err := io.ReadFull(entropy, seed[:]); err != nil {
		return Root{}, internal("root", "draw a key: %w", err)
	}
	next := Root{Cluster: r.Cluster, ClusterName: r.ClusterName, key: ed25519.NewKeyFromSeed(seed[:])}
	list = append(slices.Clone(list), r.heirloom(next.public())...)
	next.Certificate, err = next.certify(entropy, now, pkix.Extension{Id: oidSuccession, Value: list})
	return next, err
}

// heirloom hands this root over to a key.
func (r Root) heirloom(next ed25519.PublicKey) []byte {
	return append(slices.Clone(r.public()), ed25519.Sign(r.key, message(domainSuccession, r.Cluster, next))...)
}

// heirlooms returns what a root certificate says about those before it, nil when it says nothing or not in
// our form.
func heirlooms(c *x509.Certificate) []byte {
	for i := range c.Extensions {
		if v := c.Extensions[i].Value; c.Extensions[i].Id.Equal(oidSuccession) && len(v)%heirloomLen == 0 && len(v)/heirloomLen < MaxRoots {
			return v
		}
	}
	return nil
}

// inherits reports whether all is true that a root certificate says about those before it: each has handed over to the
// next. Who has one of them could claim any others before that.
func inherits(c *x509.Certificate, cluster ClusterID) bool {
	next := publicKey(c)
	for list := heirlooms(c); len(list) > 0; list = list[:len(list)-heirloomLen] {
		last := list[len(list)-heirloomLen:]
		key, sig := ed25519.PublicKey(last[:ed25519.PublicKeySize]), last[ed25519.PublicKeySize:]
		if !verify(key, message(domainSuccession, cluster, next), sig) {
			return false
		}
		next = key
	}
	return true
}

// succeeds reports whether a root certificate says that it has taken over from one that is known, directly or from one
// to the next. That this is true is for checkRoot.
func succeeds(c *x509.Certificate, known func(ed25519.PublicKey) bool) bool {
	for list := heirlooms(c); len(list) > 0; list = list[heirloomLen:] {
		if known(ed25519.PublicKey(list[:ed25519.PublicKeySize])) {
			return true
		}
	}
	return false
}

// isHeir reports whether a certificate is a root of the cluster that has taken over from a known one.
func isHeir(c *x509.Certificate, cluster ClusterID, known func(ed25519.PublicKey) bool) bool {
	return publicKey(c) != nil && succeeds(c, known) && checkRoot("root", c, cluster) == nil
}

// withHeirs trusts, besides, those among certificates that a peer shows which are roots that have taken
// over from one that is trusted and has not been replaced by another one, as far as is known here.
func (s *rootSet) withHeirs(shown []*x509.Certificate) *rootSet {
	present := func(key ed25519.PublicKey) bool {
		return s.root(keyID(key)).Equal(key) && len(s.ended[issuerOf(key)]) == 0
	}
	for _, c := range shown {
		if !c.IsCA || s.root(keyID(publicKey(c))) != nil || !isHeir(c, s.cluster, present) {
			continue
		}
		more := *s
		more.certs, more.pool = append(slices.Clone(s.certs), c), s.pool.Clone()
		more.pool.AddCert(c)
		return &more
	}
	return s
}

// trustAmong returns a Trust in the pinned root and in those of the given ones that have taken over from
// it; false when there are none.
func (t Token) trustAmong(roots []*x509.Certificate) (*Trust, bool) {
	pinned := func(key ed25519.PublicKey) bool { return hashRoot(key) == t.RootHash }
	var ders [][]byte
	for _, c := range roots {
		if key := publicKey(c); key != nil && (pinned(key) || isHeir(c, t.Cluster, pinned)) {
			ders = append(ders, c.Raw)
		}
	}
	trust, err := NewTrust(t.Cluster, ders...)
	return trust, err == nil
}

// pin names the root that a guest is to trust. While a root is replaced, what a node shows and what it signs under
// may lead to different ones: who trusts the older one understands both.
func (a *Authority) pin(shown []byte) RootHash {
	c, err := parseCertificate("root", shown)
	if err == nil && isHeir(a.root, a.cluster, func(key ed25519.PublicKey) bool { return key.Equal(publicKey(c)) }) {
		return hashRoot(publicKey(c))
	}
	return a.RootHash()
}

// RootOf returns the root (DER) that a membership leads to, nil when it is not trusted.
func (t *Trust) RootOf(m Membership) []byte {
	root, err := t.rootOf(m.Chain)
	if err != nil {
		return nil
	}
	return root
}

// KeyIDOf names the key of a certificate as grants do; zero when it cannot be read.
func KeyIDOf(certificate []byte) KeyID {
	c, err := parseCertificate("root", certificate)
	if err != nil {
		return KeyID{}
	}
	return keyID(publicKey(c))
}

// originOf is the root that a grant leads to, which issuers are the authorities between the two.
func originOf(grant []byte, issuers [][]byte) KeyID {
	if len(issuers) > 0 {
		grant = issuers[len(issuers)-1]
	}
	g, err := ParseGrant(grant)
	if err != nil {
		return KeyID{}
	}
	return g.Issuer
}

// RootHashOf is the hash by which tokens and statements name a root; zero when its certificate cannot be read.
func RootHashOf(certificate []byte) RootHash {
	c, err := parseCertificate("root", certificate)
	if err != nil {
		return RootHash{}
	}
	return hashRoot(publicKey(c))
}

// Origin names the root that the membership leads to.
func (m Membership) Origin() KeyID { return originOf(m.Grant, m.Issuers) }

// Origin names the root that signed the promotion.
func (p Promotion) Origin() KeyID { return originOf(p.Grant, nil) }

// Origin names the root that this authority's signatures lead to.
func (a *Authority) Origin() KeyID { return keyID(publicKey(a.root)) }

// RootIDOf names the key of a root certificate as statements name who signed; zero when it cannot be read.
func RootIDOf(certificate []byte) micronet.NodeID {
	c, err := parseCertificate("root", certificate)
	if err != nil {
		return micronet.NodeID{}
	}
	return issuerOf(publicKey(c))
}

// Succeeds reports whether a root certificate says that it has taken over from a key, directly or from one to the
// next. That this is true was checked when the root was trusted.
func Succeeds(certificate []byte, former micronet.NodeID) bool {
	c, err := parseCertificate("root", certificate)
	if err != nil {
		return false
	}
	return succeeds(c, func(key ed25519.PublicKey) bool { return issuerOf(key) == former })
}

// hashOfSubject is the root that a statement about roots speaks of.
func hashOfSubject(subject []byte) (h RootHash) {
	copy(h[:], subject[:min(len(subject), sha256.Size)])
	return h
}
