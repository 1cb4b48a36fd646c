package identity

import (
	"crypto/ed25519"
	"crypto/x509"
	"slices"
	"sync/atomic"
	"time"
)

// Trust answers whether something was issued in a cluster. It holds the cluster's id and roots, and
// the keys that were revoked; the zero Trust, that of a node which has not joined, trusts nobody. All methods may be called
// from several goroutines and take no lock but that of a small cache.
type Trust struct{ set atomic.Pointer[rootSet] }

// rootSet is one immutable state of a Trust. What was verified under it is forgotten with it.
type rootSet struct {
	cluster ClusterID
	certs   []*x509.Certificate
	pool    *x509.CertPool // never nil: crypto/x509 would take the host's roots
	cache   *credentialCache
	revoked revocations
	ended   endings
}

func newRootSet(cluster ClusterID) *rootSet {
	return &rootSet{cluster: cluster, pool: x509.NewCertPool(), cache: newCredentialCache()}
}

// NewTrust trusts the roots (DER), each of which must be one of this cluster.
func NewTrust(cluster ClusterID, roots ...[]byte) (*Trust, error) {
	t := new(Trust)
	if err := t.Replace(cluster, roots...); err != nil {
		return nil, err
	}
	return t, nil
}

// SetRoots replaces the roots of the cluster. On error nothing has changed.
func (t *Trust) SetRoots(roots ...[]byte) error { return t.Replace(t.Cluster(), roots...) }

// Replace trusts another cluster from now on: the node has joined or moved. What was revoked counts
// on in the same cluster. On error nothing has changed.
func (t *Trust) Replace(cluster ClusterID, roots ...[]byte) error {
	s, err := rootSetOf(cluster, roots)
	if err == nil {
		t.swap(s)
	}
	return err
}

// ReviseRoots replaces the roots by what revise makes of them, if it says that these are others. It is asked again when
// somebody else has changed them meanwhile. On error nothing has changed.
func (t *Trust) ReviseRoots(revise func(roots [][]byte) (revised [][]byte, others bool)) error {
	for {
		old := t.set.Load()
		if old == nil {
			return unauthorized("trust", "this node has not joined a cluster")
		}
		roots, others := revise(old.roots())
		if !others {
			return nil
		}
		s, err := rootSetOf(old.cluster, roots)
		if err != nil {
			return err
		}
		s.revoked, s.ended = old.revoked, old.ended
		if t.set.CompareAndSwap(old, s) {
			return nil
		}
	}
}

// rootSetOf is the state that trusts some roots.
func rootSetOf(cluster ClusterID, roots [][]byte) (*rootSet, error) {
	if len(roots) == 0 || len(roots) > MaxRoots {
		return nil, unauthorized("trust", "the cluster has %d root certificates, want 1 to %d", len(roots), MaxRoots)
	}
	s := newRootSet(cluster)
	for _, der := range roots {
		c, err := parseCertificate("trust", der)
		if err != nil {
			return nil, err
		}
		if err := checkRoot("trust", c, cluster); err != nil {
			return nil, err
		}
		s.certs = append(s.certs, c)
		s.pool.AddCert(c)
	}
	return s, nil
}

// swap makes s the state, with what is revoked in its cluster.
func (t *Trust) swap(s *rootSet) {
	for {
		old := t.set.Load()
		if s.revoked, s.ended = nil, nil; old != nil && old.cluster == s.cluster {
			s.revoked, s.ended = old.revoked, old.ended
		}
		if t.set.CompareAndSwap(old, s) {
			return
		}
	}
}

// change makes a state that differs from the present one. What was verified is forgotten.
func (t *Trust) change(do func(*rootSet)) {
	for {
		old := t.set.Load()
		next := newRootSet(ClusterID{})
		if old != nil {
			next.cluster, next.certs, next.pool, next.revoked, next.ended = old.cluster, old.certs, old.pool, old.revoked, old.ended
		}
		do(next)
		if t.set.CompareAndSwap(old, next) {
			return
		}
	}
}

// Cluster returns the id of the cluster, zero when the node has not joined.
func (t *Trust) Cluster() ClusterID { return t.snapshot().cluster }

// Roots returns the root certificates (DER), the caller's to keep.
func (t *Trust) Roots() [][]byte { return t.snapshot().roots() }

func (s *rootSet) roots() (out [][]byte) {
	for _, c := range s.certs {
		out = append(out, slices.Clone(c.Raw))
	}
	return out
}

func (t *Trust) snapshot() *rootSet {
	if s := t.set.Load(); s != nil {
		return s
	}
	return newRootSet(ClusterID{})
}

// VerifyGrant reads a grant and checks that a root signed it, or an authority whose grant by a
// root is in issuers. Its dates and those of the issuers must include now; the result's dates
// are what all of them have in common.
func (t *Trust) VerifyGrant(raw []byte, issuers [][]byte, now time.Time) (Grant, error) {
	g, _, err := t.snapshot().grant(raw, issuers)
	if err != nil {
		return Grant{}, err
	}
	return g, g.window().check("grant", "the grant", now)
}

// maxIssuers is how many authorities stand between a root and a node. Two do not fit into a
// credential beside a name of 63 characters.
const maxIssuers = 1

// grant verifies a chain of grants, whatever the time, and that neither its holder nor its issuer was
// revoked. It returns the first one with the dates that all have in common, and the key that signed it.
func (s *rootSet) grant(raw []byte, issuers [][]byte) (Grant, ed25519.PublicKey, error) {
	g, key, err := s.signedGrant(raw, issuers)
	if err == nil {
		err = s.revoked.holder("grant", g.ID)
	}
	if err != nil {
		return Grant{}, nil, err
	}
	return g, key, nil
}

// signedGrant is grant for the grant of an authority, of which what it signed before it was revoked
// still counts.
func (s *rootSet) signedGrant(raw []byte, issuers [][]byte) (Grant, ed25519.PublicKey, error) {
	if len(issuers) > maxIssuers {
		return Grant{}, nil, unauthorized("grant", "the grant has %d issuers, at most %d are accepted", len(issuers), maxIssuers)
	}
	g, err := ParseGrant(raw)
	if err != nil {
		return Grant{}, nil, err
	}
	key, given, w := s.root(g.Issuer), time.Time{}, g.window()
	if len(issuers) == 1 {
		issuer, _, err := s.signedGrant(issuers[0], nil)
		if err == nil {
			err = s.revoked.issued("grant", issuer.ID, g.window(), RoleMember.term())
		}
		if err != nil {
			return Grant{}, nil, err
		}
		given = issuer.window().issued()
		if !issuer.Roles.Has(RoleAuthority) || g.Roles.Has(RoleAuthority) {
			return Grant{}, nil, unauthorized("grant", "the grant's issuer may not issue it")
		}
		key, w = issuer.ID[:], w.intersect(issuer.window())
	}
	if key == nil || keyID(key) != g.Issuer {
		return Grant{}, nil, unauthorized("grant", "the grant was issued by a key that is %w", ErrUntrusted)
	}
	if !signedBy(raw, key, s.cluster) {
		return Grant{}, nil, unauthorized("grant", "the grant's signature is wrong")
	}
	if err := s.ended.issued("grant", issuerOf(key), given, g.window(), g.Roles.term()); err != nil {
		return Grant{}, nil, err
	}
	g.NotBefore, g.NotAfter = w.from, w.to
	return g, key, nil
}

// root returns the root key with that name, nil when there is none.
func (s *rootSet) root(id KeyID) ed25519.PublicKey {
	for _, c := range s.certs {
		if key := publicKey(c); keyID(key) == id {
			return key
		}
	}
	return nil
}
