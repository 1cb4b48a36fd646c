package micronet

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// NodeID is a node's Ed25519 public key. It is the only name by which nodes trust each other;
// every address is a hint. The zero NodeID stands for "nobody".
type NodeID [ed25519.PublicKeySize]byte

const (
	// identityPort is the port of every identity address. It is never seen on a wire; a
	// constant keeps addresses comparable.
	identityPort = 8085

	shortIDLen = 10
)

// idEncoding is lower-case base32 without padding: 52 characters, a valid DNS label, safe in
// URLs, shells and file names.
var idEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// identityPrefix marks the IPv6 addresses that stand for identities inside the process. It is
// a unique local prefix (RFC 4193), fd + "mnet".
var identityPrefix = [6]byte{0xfd, 'm', 'n', 'e', 't', 0}

// String returns the whole id, 52 characters of lower-case base32.
func (id NodeID) String() string { return idEncoding.EncodeToString(id[:]) }

// Short returns the prefix that people see in tables.
func (id NodeID) Short() string { return id.String()[:shortIDLen] }

// IsZero reports whether id stands for nobody.
func (id NodeID) IsZero() bool { return id == NodeID{} }

// Compare orders ids by their bytes: -1, 0 or 1.
func (id NodeID) Compare(other NodeID) int { return bytes.Compare(id[:], other[:]) }

// MarshalText writes the whole id.
func (id NodeID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (id *NodeID) UnmarshalText(text []byte) error {
	parsed, err := ParseNodeID(string(text))
	if err != nil {
		return err
	}
	*id = parsed
	return nil
}

// ParseNodeID reads a whole id. Prefixes are resolved by the node, which knows its peers.
func ParseNodeID(s string) (NodeID, error) {
	var id NodeID
	raw, err := idEncoding.DecodeString(strings.ToLower(s))
	if err != nil || len(raw) != len(id) {
		return NodeID{}, fmt.Errorf("%q is no node id: want %d characters of base32", s, idEncoding.EncodedLen(len(id)))
	}
	copy(id[:], raw)
	return id, nil
}

// Addr returns the identity address: an IPv6 address that stands for id inside the process.
// quic-go and memberlist insist on addresses; the path layer turns this one into a real one
// when a packet leaves. It is the hash of the id, so that nobody can choose a victim's.
func (id NodeID) Addr() netip.AddrPort {
	sum := sha256.Sum256(id[:])
	var a [16]byte
	copy(a[:], identityPrefix[:])
	copy(a[len(identityPrefix):], sum[:])
	return netip.AddrPortFrom(netip.AddrFrom16(a), identityPort)
}

// UDPAddr returns the identity address in the form that quic-go and memberlist compare. Callers
// that send keep one per peer instead of calling this for every packet.
func (id NodeID) UDPAddr() *net.UDPAddr { return net.UDPAddrFromAddrPort(id.Addr()) }

// IsIdentityAddr reports whether a lies in the prefix of identity addresses. Such an address
// is never accepted from the outside.
func IsIdentityAddr(a netip.Addr) bool {
	b := a.As16()
	return [6]byte(b[:6]) == identityPrefix
}
