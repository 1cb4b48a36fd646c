package identity

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
)

// ClusterID names a cluster for life: the hash of its first root key and its name. It does not
// change when the root does.
type ClusterID [16]byte

// RootHash names a root: the SHA-256 of its public key.
type RootHash [sha256.Size]byte

var clusterEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

func newClusterID(root ed25519.PublicKey, name string) ClusterID {
	h := sha256.New()
	h.Write([]byte("micro-net cluster v1\x00"))
	h.Write(root)
	h.Write([]byte(name))
	return ClusterID(h.Sum(nil)[:len(ClusterID{})])
}

// hashRoot returns the name of a root.
func hashRoot(root ed25519.PublicKey) RootHash { return sha256.Sum256(root) }

// String returns 26 characters of lower-case base32: a DNS label, the cluster's SPIFFE trust
// domain.
func (c ClusterID) String() string { return clusterEncoding.EncodeToString(c[:]) }

// IsZero reports whether c names no cluster.
func (c ClusterID) IsZero() bool { return c == ClusterID{} }

// ParseClusterID reads what String wrote, and no other spelling of it.
func ParseClusterID(s string) (ClusterID, error) {
	var c ClusterID
	raw, err := clusterEncoding.DecodeString(s)
	if err != nil || len(raw) != len(c) {
		return ClusterID{}, fmt.Errorf("%.64q is no cluster id: want %d characters of base32", s, clusterEncoding.EncodedLen(len(c)))
	}
	copy(c[:], raw)
	if c.String() != s {
		return ClusterID{}, fmt.Errorf("%q is no cluster id: its last character holds too many bits", s)
	}
	return c, nil
}

// MarshalText writes the id as String does.
func (c ClusterID) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (c *ClusterID) UnmarshalText(text []byte) error {
	parsed, err := ParseClusterID(string(text))
	if err != nil {
		return err
	}
	*c = parsed
	return nil
}
