package identity

import (
	"crypto/ed25519"
	"crypto/x509"
	"time"

	micronet "github.com/micro/micro-net"
)

// Membership is what a node holds of its cluster: the statements that the authority made about
// its key, and the roots to trust. It holds no secret.
type Membership struct {
	Cluster     ClusterID `json:"cluster"`
	ClusterName string    `json:"cluster_name"`
	Name        string    `json:"name"`
	Chain       [][]byte  `json:"chain"`             // DER, leaf first, without the root
	Roots       [][]byte  `json:"roots"`             // DER
	Grant       []byte    `json:"grant"`             // of this node
	Issuers     [][]byte  `json:"issuers,omitempty"` // grants of the authority that signed Grant, empty when the root did
	NotBefore   time.Time `json:"not_before"`
	NotAfter    time.Time `json:"not_after"`
}

const (
	membershipFormat = "micro-net membership"
	// maxMembershipFile is enough for all certificates in base64.
	maxMembershipFile = 128 << 10
)

// IsZero reports whether the node has not joined yet.
func (m Membership) IsZero() bool { return len(m.Chain) == 0 }

// Begins returns the first moment of the membership.
func (m Membership) Begins() time.Time { return m.NotBefore }

// Term is how long the membership holds from the moment it was issued on.
func (m Membership) Term() time.Duration { return m.window().term() }

// RenewAfter returns when the node should ask for a new membership: half-way through the part
// of its term that was not back-dated.
func (m Membership) RenewAfter() time.Time { return m.window().renewAfter() }

func (m Membership) window() window { return window{m.NotBefore, m.NotAfter} }

// Trust returns a Trust in the membership's roots.
func (m Membership) Trust() (*Trust, error) { return NewTrust(m.Cluster, m.Roots...) }

// Validate reports why the membership is not one of these keys at this time. An error that is
// ErrExpired or ErrNotYetValid says that only the date is wrong.
func (m Membership) Validate(keys Keys, now time.Time) error {
	trust, err := m.Trust()
	if err != nil {
		return err
	}
	_, err = m.validate(trust, keys.ID(), now)
	return err
}

// VerifyMembership reports why others would not accept the membership of a node, as far as is known here.
// Unlike Validate it asks this Trust's roots, and what was revoked and has ended since.
func (t *Trust) VerifyMembership(m Membership, id micronet.NodeID, now time.Time) error {
	_, err := m.validate(t, id, now)
	return err
}

// validate also returns the key of the authority that issued the grant.
func (m Membership) validate(trust *Trust, id micronet.NodeID, now time.Time) (ed25519.PublicKey, error) {
	grant, issuer, err := trust.snapshot().grant(m.Grant, m.Issuers)
	if err != nil {
		return nil, err
	}
	if grant.ID != id || grant.Name != m.Name || !grant.Roles.Has(RoleMember) {
		return nil, unauthorized("membership", "the grant is for another node than %s", id.Short())
	}
	if !grant.NotBefore.Equal(m.NotBefore) || !grant.NotAfter.Equal(m.NotAfter) {
		return nil, unauthorized("membership", "the dates of the membership are not those of its grant")
	}
	if err := grant.window().check("membership", "the membership", now); err != nil {
		return nil, err
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth} {
		leaf, err := trust.VerifyChain(m.Chain, now, usage, 0)
		if err != nil {
			return nil, err
		}
		if leaf.ID != id || leaf.Name != m.Name {
			return nil, unauthorized("membership", "the certificate is for another node than %s", id.Short())
		}
	}
	return issuer, nil
}

// check bounds everything before anything is parsed.
func (m Membership) check() error {
	if m.Cluster.IsZero() {
		return invalid("membership", "the cluster id is missing")
	}
	if err := micronet.CheckName(m.ClusterName); err != nil {
		return invalid("membership", "cluster name: %w", err)
	}
	if err := micronet.CheckLabel(m.Name); err != nil {
		return invalid("membership", "node name: %w", err)
	}
	for _, l := range []struct {
		what        string
		of          [][]byte
		least, most int
		size        int
	}{
		{"certificates", m.Chain, 1, MaxChain - 1, MaxCertificate},
		{"root certificates", m.Roots, 1, MaxRoots, MaxCertificate},
		{"grants", [][]byte{m.Grant}, 1, 1, MaxGrant},
		{"issuers' grants", m.Issuers, 0, maxIssuers, MaxGrant},
	} {
		if len(l.of) < l.least || len(l.of) > l.most {
			return invalid("membership", "it has %d %s, want %d to %d", len(l.of), l.what, l.least, l.most)
		}
		for _, b := range l.of {
			if len(b) == 0 || len(b) > l.size {
				return invalid("membership", "one of its %s has %d bytes, want 1 to %d", l.what, len(b), l.size)
			}
		}
	}
	return nil
}

// Marshal writes the membership for disk.
func (m Membership) Marshal() ([]byte, error) {
	return encodeDocument("membership", membershipFormat, m)
}

// UnmarshalMembership reads what Marshal wrote. Validate checks what it says.
func UnmarshalMembership(b []byte) (Membership, error) {
	var m Membership
	if err := decodeDocument("membership", membershipFormat, b, maxMembershipFile, &m); err != nil {
		return Membership{}, err
	}
	return m, m.check()
}
