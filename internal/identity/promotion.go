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
	cert, err := parseCertificate("authority", p.Certificate)
	if err != nil {
		return nil, err
	}
	root, err := trust.snapshot().authority(cert, now)
	if err != nil {
		return nil, err
	}
	g, err := trust.VerifyGrant(p.Grant, nil, now)
	if err != nil {
		return nil, err
	}
	if id := keys.ID(); g.ID != id || micronet.NodeID(publicKey(cert)) != id || !g.Roles.Has(RoleAuthority) {
		return nil, unauthorized("authority", "the promotion is not for this node's key")
	}
	return &Authority{
		cluster: p.Cluster, clusterName: p.ClusterName, key: keys.Sign, cert: cert, root: root,
		chain: [][]byte{p.Certificate}, grants: [][]byte{p.Grant}, roots: slices.Clone(p.Roots), entropy: entropy,
	}, nil
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
	chain := chains[0]
	return chain[len(chain)-1], nil
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
