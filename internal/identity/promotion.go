package identity

import (
	"crypto/x509"
	"io"
	"slices"
	"time"

	micronet "github.com/micro/micro-net"
)

// Promotion makes an authority of a node's key. It holds no secret: the node signs with the key
// that is its identity, so that revoking the node revokes the authority.
type Promotion struct {
	Cluster     ClusterID `json:"cluster"`
	ClusterName string    `json:"cluster_name"`
	Certificate []byte    `json:"certificate"` // CA certificate, DER
	Grant       []byte    `json:"grant"`       // RoleAuthority
	Roots       [][]byte  `json:"roots"`       // DER
}

const (
	promotionFormat = "micro-net promotion"
	// maxPromotionFile is enough for all certificates in base64.
	maxPromotionFile = 64 << 10
)

// Promote makes id an authority for AuthorityTerm. Only the root can: a chain has one authority
// at most between the root and a node.
func (a *Authority) Promote(now time.Time, id micronet.NodeID, name string) (Promotion, error) {
	if !a.IsRoot() {
		return Promotion{}, refused("promote", "only the root key can make authorities").WithFix("import the root key, or ask the node that has it")
	}
	if err := a.checkRequest(now, Request{ID: id, Name: name}); err != nil {
		return Promotion{}, err
	}
	serial, err := newSerial(a.entropy)
	if err != nil {
		return Promotion{}, err
	}
	w := term(now, AuthorityTerm, a.cert.NotAfter)
	cert, err := a.certify(caTemplate(a.cluster, a.clusterName, name, 0, serial, w), id)
	if err != nil {
		return Promotion{}, err
	}
	grant, err := a.grant(Grant{ID: id, Roles: RoleAuthority, Serial: serial}, w)
	if err != nil {
		return Promotion{}, err
	}
	return Promotion{Cluster: a.cluster, ClusterName: a.clusterName, Certificate: cert, Grant: grant, Roots: slices.Clone(a.roots)}, nil
}

// Authority returns the promoted node as an issuer, after checking that the promotion is for
// these keys.
func (p Promotion) Authority(keys Keys, entropy io.Reader, now time.Time) (*Authority, error) {
	trust, err := NewTrust(p.Cluster, p.Roots...)
	if err != nil {
		return nil, err
	}
	return trust.Authority(p, keys, entropy, now)
}

// Authority returns a promoted node as an issuer, as far as this Trust knows: its roots count, not those
// that the promotion brings, and its right may have been ended since.
func (t *Trust) Authority(p Promotion, keys Keys, entropy io.Reader, now time.Time) (*Authority, error) {
	cert, err := parseCertificate("authority", p.Certificate)
	if err != nil {
		return nil, err
	}
	set := t.snapshot()
	root, err := set.authority(cert, now)
	if err != nil {
		return nil, err
	}
	g, err := t.VerifyGrant(p.Grant, nil, now)
	if err != nil {
		return nil, err
	}
	if id := keys.ID(); g.ID != id || micronet.NodeID(publicKey(cert)) != id || !g.Roles.Has(RoleAuthority) {
		return nil, unauthorized("authority", "the promotion is not for this node's key")
	}
	if set.ended.over(g.ID, g.window().issued()) {
		return nil, unauthorized("authority", "this node was %w", ErrDemoted)
	}
	return &Authority{
		cluster: set.cluster, clusterName: p.ClusterName, key: keys.Sign, cert: cert, root: root,
		chain: [][]byte{p.Certificate}, grants: [][]byte{p.Grant}, roots: t.Roots(), entropy: entropy,
	}, nil
}

// RootAuthority returns a root as an issuer whose members trust all roots of this Trust.
func (t *Trust) RootAuthority(r Root, entropy io.Reader) (*Authority, error) {
	if t.Ended(r.ID(), time.Time{}) {
		return nil, unauthorized("authority", "the root key was replaced by another one")
	}
	a, err := r.Authority(entropy)
	if err != nil {
		return nil, err
	}
	a.roots = t.Roots()
	return a, nil
}

// authority verifies the CA certificate of a promotion and returns the root it chains to.
func (s *rootSet) authority(c *x509.Certificate, now time.Time) (*x509.Certificate, error) {
	if !c.IsCA {
		return nil, unauthorized("authority", "the promotion's certificate is not one of an authority")
	}
	chains, err := s.chains("authority", c, nil, now, x509.ExtKeyUsageAny)
	if err != nil {
		return nil, err
	}
	chain, err := s.unrevoked(chains)
	if err != nil {
		return nil, err
	}
	return chain[len(chain)-1], nil
}

// Begins returns the first moment of the promotion, zero when its grant cannot be read.
func (p Promotion) Begins() time.Time { return p.window().from }

// Ends returns the last moment of the promotion, zero when its grant cannot be read.
func (p Promotion) Ends() time.Time { return p.window().to }

// Given returns when the promotion was issued.
func (p Promotion) Given() time.Time { return p.window().issued() }

// Term is how long the promotion holds from the moment it was issued on.
func (p Promotion) Term() time.Duration { return p.window().term() }

// RenewAfter returns when the node should ask for a new promotion: half-way through its term.
func (p Promotion) RenewAfter() time.Time { return p.window().renewAfter() }

func (p Promotion) window() window {
	g, err := ParseGrant(p.Grant)
	if err != nil {
		return window{}
	}
	return g.window()
}

// Marshal writes the promotion for disk.
func (p Promotion) Marshal() ([]byte, error) {
	return encodeDocument("promotion", promotionFormat, p)
}

// UnmarshalPromotion reads what Marshal wrote. Authority checks what it says.
func UnmarshalPromotion(b []byte) (Promotion, error) {
	var p Promotion
	if err := decodeDocument("promotion", promotionFormat, b, maxPromotionFile, &p); err != nil {
		return Promotion{}, err
	}
	if err := micronet.CheckName(p.ClusterName); err != nil {
		return Promotion{}, invalid("promotion", "cluster name: %w", err)
	}
	return p, nil
}
