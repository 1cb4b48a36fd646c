package identity

import (
	"crypto/ed25519"
	"crypto/sha256"
	"math"
	"time"

	micronet "github.com/micro/micro-net"
	"golang.org/x/crypto/cryptobyte"
)

// Roles are what a grant allows its holder. Bits are wire values; unknown ones are kept.
type Roles uint16

// The roles of a node.
const (
	RoleMember    Roles = 1 << 0 // takes part in the cluster
	RoleAuthority Roles = 1 << 1 // issues certificates and grants
	RoleRoot      Roles = 1 << 2 // has the cluster's root key, which signs; alone it lets nobody issue anything
)

// Has reports whether all of want are in r.
func (r Roles) Has(want Roles) bool { return r&want == want }

// term is how long who has them may have them at once.
func (r Roles) term() time.Duration {
	if r.Has(RoleAuthority) {
		return AuthorityTerm
	}
	return NodeTerm
}

// KeyID is the short name of an issuer's key inside grants. It selects a key and proves nothing.
type KeyID [8]byte

func keyID(key ed25519.PublicKey) KeyID {
	sum := sha256.Sum256(append([]byte("micro-net key v1\x00"), key...))
	return KeyID(sum[:len(KeyID{})])
}

// Grant is an issuer's statement about a node, small enough for a packet:
//
//	version 1 │ node id 32 │ roles 2 │ not before 4 │ not after 4 │ serial 16 │ issuer 8 │
//	name 1+n │ fields of newer versions │ signature 64
//
// Numbers are big-endian, dates seconds since 1970. The signature is the issuer's over the
// domain, the cluster id (which is not repeated inside) and all bytes before it.
type Grant struct {
	ID        micronet.NodeID
	Name      string // a DNS label; "" in the grant of an authority, which speaks of its key alone
	Roles     Roles
	NotBefore time.Time
	NotAfter  time.Time
	Serial    [16]byte
	Issuer    KeyID
}

// MaxGrant bounds a grant, with room for fields of newer versions.
const MaxGrant = 256

const grantVersion = 1

func (g Grant) window() window { return window{g.NotBefore, g.NotAfter} }

// sign writes the grant.
func (g Grant) sign(key ed25519.PrivateKey, cluster ClusterID) ([]byte, error) {
	if err := g.check(); err != nil {
		return nil, err
	}
	from, to := g.NotBefore.Unix(), g.NotAfter.Unix()
	if from < 0 || to > math.MaxUint32 || to < from {
		return nil, invalid("grant", "the dates %s to %s cannot be granted", stamp(g.NotBefore), stamp(g.NotAfter)).WithFix(clockFix)
	}
	b := cryptobyte.NewBuilder(make([]byte, 0, MaxGrant))
	b.AddUint8(grantVersion)
	b.AddBytes(g.ID[:])
	b.AddUint16(uint16(g.Roles))
	b.AddUint32(uint32(from))
	b.AddUint32(uint32(to))
	b.AddBytes(g.Serial[:])
	b.AddBytes(g.Issuer[:])
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(g.Name)) })
	body, err := b.Bytes()
	if err != nil {
		return nil, internal("grant", "write the grant: %w", err)
	}
	return append(body, ed25519.Sign(key, message(domainGrant, cluster, body))...), nil
}

// check reports why the grant says nothing that an issuer would.
func (g Grant) check() error {
	if g.ID.IsZero() {
		return unauthorized("grant", "the grant is for nobody")
	}
	if !g.Roles.Has(RoleMember) {
		if g.Name != "" {
			return unauthorized("grant", "the grant names a node that is no member")
		}
		return nil
	}
	if err := micronet.CheckLabel(g.Name); err != nil {
		return unauthorized("grant", "the grant's node name: %w", err)
	}
	return nil
}

// ParseGrant reads a grant without checking its signature: only VerifyGrant says whether it
// is true.
func ParseGrant(raw []byte) (Grant, error) {
	if len(raw) > MaxGrant {
		return Grant{}, unauthorized("grant", "the grant has %d bytes, at most %d are accepted", len(raw), MaxGrant)
	}
	if len(raw) <= ed25519.SignatureSize || raw[0] != grantVersion {
		return Grant{}, unauthorized("grant", "the grant is cut short or of an unknown version")
	}
	var g Grant
	var roles uint16
	var from, to uint32
	var name cryptobyte.String
	s := cryptobyte.String(raw[1 : len(raw)-ed25519.SignatureSize])
	if !s.CopyBytes(g.ID[:]) || !s.ReadUint16(&roles) || !s.ReadUint32(&from) || !s.ReadUint32(&to) ||
		!s.CopyBytes(g.Serial[:]) || !s.CopyBytes(g.Issuer[:]) || !s.ReadUint8LengthPrefixed(&name) {
		return Grant{}, unauthorized("grant", "the grant is cut short")
	}
	g.Roles, g.Name = Roles(roles), string(name)
	g.NotBefore, g.NotAfter = time.Unix(int64(from), 0).UTC(), time.Unix(int64(to), 0).UTC()
	return g, g.check()
}

// signedBy reports whether key made the signature of a parsed grant.
func signedBy(raw []byte, key ed25519.PublicKey, cluster ClusterID) bool {
	body := raw[:len(raw)-ed25519.SignatureSize]
	return verify(key, message(domainGrant, cluster, body), raw[len(body):])
}
