package identity

import (
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	micronet "github.com/micro/micro-net"
)

// Leaf is what a verified certificate says of a peer.
type Leaf struct {
	ID       micronet.NodeID
	Name     string
	Cluster  ClusterID
	NotAfter time.Time
}

// VerifyChain checks certificates as a peer showed them, leaf first: sizes and count, Ed25519
// throughout, a chain to one of the roots (RFC 5280 section 6), dates that include now, a SPIFFE id of
// this cluster, and that neither the key nor its issuer was revoked. usage is x509.ExtKeyUsageClientAuth
// for a peer that dialled, ExtKeyUsageServerAuth for one that was dialled. A leaf that ended at most
// grace ago is as good as it was at its end.
func (t *Trust) VerifyChain(raw [][]byte, now time.Time, usage x509.ExtKeyUsage, grace time.Duration) (Leaf, error) {
	if err := checkCount(len(raw)); err != nil {
		return Leaf{}, err
	}
	certs := make([]*x509.Certificate, len(raw))
	for i, der := range raw {
		c, err := parseCertificate("certificate", der)
		if err != nil {
			return Leaf{}, err
		}
		certs[i] = c
	}
	return t.snapshot().verify(certs, now, usage, grace)
}

// verifyParsed is VerifyChain for certificates that crypto/tls has read already.
func (t *Trust) verifyParsed(certs []*x509.Certificate, now time.Time, usage x509.ExtKeyUsage, grace time.Duration) (Leaf, error) {
	if err := checkCount(len(certs)); err != nil {
		return Leaf{}, err
	}
	for _, c := range certs {
		if len(c.Raw) > MaxCertificate {
			return Leaf{}, unauthorized("certificate", "the certificate has %d bytes, at most %d are accepted", len(c.Raw), MaxCertificate)
		}
		if err := checkAlgorithm("certificate", c); err != nil {
			return Leaf{}, err
		}
	}
	return t.snapshot().verify(certs, now, usage, grace)
}

func checkCount(n int) error {
	switch {
	case n == 0:
		return unauthorized("certificate", "the peer showed no certificate")
	case n > MaxChain:
		return unauthorized("certificate", "the peer showed %d certificates, at most %d are accepted", n, MaxChain)
	}
	return nil
}

// verify checks what is in the leaf before any signature.
func (s *rootSet) verify(certs []*x509.Certificate, now time.Time, usage x509.ExtKeyUsage, grace time.Duration) (Leaf, error) {
	leaf := certs[0]
	if leaf.IsCA || leaf.KeyUsage != x509.KeyUsageDigitalSignature {
		return Leaf{}, unauthorized("certificate", "the certificate is not one of a node")
	}
	name, err := leafName("certificate", leaf, s.cluster)
	if err != nil {
		return Leaf{}, err
	}
	if err := s.revoked.holder("certificate", micronet.NodeID(publicKey(leaf))); err != nil {
		return Leaf{}, err
	}
	w := window{leaf.NotBefore, leaf.NotAfter}
	s = s.withHeirs(certs[1:])
	chains, err := s.chains("certificate", leaf, certs[1:], w.at(now, grace), usage)
	if err != nil {
		return Leaf{}, err
	}
	chain, err := s.unrevoked(chains)
	if err != nil {
		return Leaf{}, err
	}
	for _, c := range chain {
		w = w.intersect(window{c.NotBefore, c.NotAfter})
	}
	return Leaf{ID: micronet.NodeID(publicKey(leaf)), Name: name, Cluster: s.cluster, NotAfter: w.to}, nil
}

// chains finds the ways from c to a root. Path validation is crypto/x509's; dates of what the
// peer showed are looked at first, for the sake of a better sentence.
func (s *rootSet) chains(op string, c *x509.Certificate, others []*x509.Certificate, now time.Time, usage x509.ExtKeyUsage) ([][]*x509.Certificate, error) {
	if now.IsZero() {
		return nil, internal(op, "the time is not known") // crypto/x509 would ask the clock
	}
	if err := (window{c.NotBefore, c.NotAfter}).check(op, "the certificate", now); err != nil {
		return nil, err
	}
	between := x509.NewCertPool()
	for _, o := range others {
		if err := (window{o.NotBefore, o.NotAfter}).check(op, "the issuer's certificate", now); err != nil {
			return nil, err
		}
		between.AddCert(o)
	}
	chains, err := c.Verify(x509.VerifyOptions{
		Roots: s.pool, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage},
	})
	if err != nil {
		return nil, unauthorized(op, "the certificate was not issued by this cluster: %w", describe(err))
	}
	return chains, nil
}

// unrevoked returns the first chain, leaf first, all of whose issuers could issue.
func (s *rootSet) unrevoked(chains [][]*x509.Certificate) (chain []*x509.Certificate, err error) {
	for _, chain := range chains {
		if err = s.checkIssuers(chain); err == nil {
			return chain, nil
		}
	}
	return nil, err
}

func (s *rootSet) checkIssuers(chain []*x509.Certificate) error {
	for i, issuer := range chain[1:] {
		made, id := chain[i], micronet.NodeID(publicKey(issuer))
		roles, given := RoleMember, time.Time{}
		if made.IsCA {
			roles = RoleAuthority
		}
		if err := s.revoked.issued("certificate", id, window{made.NotBefore, made.NotAfter}, roles.term()); err != nil {
			return err
		}
		if i+2 < len(chain) {
			given = window{issuer.NotBefore, issuer.NotAfter}.issued()
		}
		if err := s.ended.issued("certificate", id, given, window{made.NotBefore, made.NotAfter}, roles.term()); err != nil {
			return err
		}
	}
	return nil
}

// describe shortens crypto/x509's advice that does not apply here.
func describe(err error) error {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return fmt.Errorf("it is signed by an authority that is %w", ErrUntrusted)
	}
	return err
}
