package identity

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	micronet "github.com/micro/micro-net"
)

// Authority issues memberships. It is made from the root, or from a promotion that the root
// gave to a node. It keeps no state and may be used from several goroutines if its entropy may.
type Authority struct {
	cluster     ClusterID
	clusterName string
	key         ed25519.PrivateKey
	cert        *x509.Certificate // of key
	root        *x509.Certificate // what cert chains to; cert itself at the root
	chain       [][]byte          // CA certificates between a leaf and the root, nearest first
	grants      [][]byte          // what entitles key, nearest first; empty at the root
	roots       [][]byte          // all roots that members are to trust
	entropy     io.Reader
}

// Request asks an authority for a membership. Nothing else that an applicant says reaches a
// certificate.
type Request struct {
	ID    micronet.NodeID
	Name  string // a DNS label that the caller has found to be free
	Roles Roles  // besides RoleMember, which every membership has; never RoleAuthority
}

// Authority returns the root as an issuer.
func (r Root) Authority(entropy io.Reader) (*Authority, error) {
	cert, err := parseCertificate("authority", r.Certificate)
	if err != nil {
		return nil, err
	}
	return &Authority{
		cluster: r.Cluster, clusterName: r.ClusterName, key: r.key, cert: cert, root: cert,
		roots: [][]byte{r.Certificate}, entropy: entropy,
	}, nil
}

// Cluster returns the id and the name of the cluster.
func (a *Authority) Cluster() (ClusterID, string) { return a.cluster, a.clusterName }

// RootHash names the root that this authority's signatures lead to.
func (a *Authority) RootHash() RootHash { return hashRoot(publicKey(a.root)) }

// IsRoot reports whether this is the root itself.
func (a *Authority) IsRoot() bool { return a.cert == a.root }

// Expires returns when this authority can no longer issue.
func (a *Authority) Expires() time.Time { return a.cert.NotAfter }

// Issue makes a membership: a certificate and a grant for a node's key. It ends after NodeTerm,
// or with the authority when that is earlier.
func (a *Authority) Issue(now time.Time, r Request) (Membership, error) {
	if err := a.checkRequest(now, r); err != nil {
		return Membership{}, err
	}
	serial, err := newSerial(a.entropy)
	if err != nil {
		return Membership{}, err
	}
	w := term(now, NodeTerm, a.cert.NotAfter)
	leaf, err := a.certify(leafTemplate(a.cluster, a.clusterName, r.Name, serial, w), r.ID)
	if err != nil {
		return Membership{}, err
	}
	grant, err := a.grant(Grant{ID: r.ID, Name: r.Name, Roles: r.Roles | RoleMember, Serial: serial}, w)
	if err != nil {
		return Membership{}, err
	}
	return Membership{
		Cluster: a.cluster, ClusterName: a.clusterName, Name: r.Name,
		Chain: append([][]byte{leaf}, a.chain...), Roots: slices.Clone(a.roots),
		Grant: grant, Issuers: slices.Clone(a.grants), NotBefore: w.from, NotAfter: w.to,
	}, nil
}

func (a *Authority) checkRequest(now time.Time, r Request) error {
	if err := micronet.CheckLabel(r.Name); err != nil {
		return invalid("issue", "node name: %w", err)
	}
	switch {
	case r.ID.IsZero():
		return invalid("issue", "a certificate was asked for nobody")
	case r.Roles.Has(RoleAuthority):
		return refused("issue", "a membership cannot make %s an authority", r.Name).WithFix("promote it")
	case bytes.Equal(r.ID[:], publicKey(a.root)):
		return refused("issue", "the root key cannot be the key of a node")
	}
	return a.check("issue", now)
}

func (a *Authority) check(op string, now time.Time) error {
	return window{a.cert.NotBefore, a.cert.NotAfter}.check(op, "the authority's own certificate", now)
}

func (a *Authority) certify(template *x509.Certificate, id micronet.NodeID) ([]byte, error) {
	der, err := x509.CreateCertificate(a.entropy, template, a.cert, ed25519.PublicKey(id[:]), a.key)
	if err != nil {
		return nil, internal("issue", "sign a certificate: %w", err)
	}
	return der, nil
}

func (a *Authority) grant(g Grant, w window) ([]byte, error) {
	g.NotBefore, g.NotAfter, g.Issuer = w.from, w.to, keyID(publicKey(a.cert))
	return g.sign(a.key, a.cluster)
}

// String names the authority without showing its key.
func (a *Authority) String() string { return "authority of cluster " + a.clusterName + " (redacted)" }

// Format prints String whatever the verb.
func (a *Authority) Format(f fmt.State, _ rune) { redact(f, a.String()) }

// LogValue is String.
func (a *Authority) LogValue() slog.Value { return slog.StringValue(a.String()) }
