package identity

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"fmt"
	"io"
	"log/slog"

	micronet "github.com/micro/micro-net"
)

// Keys are the secrets of a node. Sign is its identity. Box seals packets between two nodes
// and may be replaced without changing who the node is.
type Keys struct {
	Sign ed25519.PrivateKey
	Box  [32]byte // X25519 private key (RFC 7748)
}

const keysMagic = "micro-net keys 1\n"

// NewKeys draws keys from entropy.
func NewKeys(entropy io.Reader) (Keys, error) {
	var seed [ed25519.SeedSize + 32]byte
	if _, err := io.ReadFull(entropy, seed[:]); err != nil {
		return Keys{}, internal("keys", "draw keys: %w", err)
	}
	return keysFrom(seed[:]), nil
}

func keysFrom(b []byte) Keys {
	return Keys{
		Sign: ed25519.NewKeyFromSeed(b[:ed25519.SeedSize]),
		Box:  [32]byte(b[ed25519.SeedSize:]),
	}
}

// ID returns the public half of Sign; the zero NodeID when there are no keys.
func (k Keys) ID() micronet.NodeID {
	if len(k.Sign) != ed25519.PrivateKeySize {
		return micronet.NodeID{}
	}
	return micronet.NodeID(k.Sign[ed25519.SeedSize:])
}

// BoxPublic returns the public half of Box.
func (k Keys) BoxPublic() [32]byte {
	private, err := ecdh.X25519().NewPrivateKey(k.Box[:])
	if err != nil {
		panic("identity: 32 bytes are no X25519 key: " + err.Error())
	}
	return [32]byte(private.PublicKey().Bytes())
}

// MarshalBinary writes both secrets, with a version and a checksum.
func (k Keys) MarshalBinary() ([]byte, error) {
	if len(k.Sign) != ed25519.PrivateKeySize {
		return nil, invalid("keys", "there are no keys to write")
	}
	return sealSecret(keysMagic, k.Sign.Seed(), k.Box[:]), nil
}

// UnmarshalBinary reads what MarshalBinary wrote.
func (k *Keys) UnmarshalBinary(b []byte) error {
	payload, err := openSecret("keys", "keys", keysMagic, ed25519.SeedSize+32, b)
	if err != nil {
		return err
	}
	*k = keysFrom(payload)
	return nil
}

// String names the keys without showing them.
func (k Keys) String() string { return "keys of " + k.ID().Short() + " (redacted)" }

// Format prints String whatever the verb.
func (k Keys) Format(f fmt.State, _ rune) { redact(f, k.String()) }

// LogValue is String.
func (k Keys) LogValue() slog.Value { return slog.StringValue(k.String()) }

func redact(w io.Writer, s string) { _, _ = io.WriteString(w, s) }
