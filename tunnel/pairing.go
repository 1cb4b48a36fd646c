package tunnel

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"

	micronet "github.com/micro/micro-net"
	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/crypto/curve25519"
)

// pairingInfo separates these keys from any other use of the same box keys.
const pairingInfo = "micro-net sealed frame v1"

// pairing is the keys between one box key of ours and one of a peer.
type pairing struct {
	boxKey     [32]byte // the peer's
	generation uint64   // of our own key
	send, recv cipher.AEAD
}

// newPairing derives both directions' keys: HKDF-SHA256 over the X25519 secret of the static
// keys, bound to both ids in order and to the direction.
func newPairing(private [32]byte, self, peer micronet.NodeID, boxKey [32]byte) (*pairing, error) {
	secret, err := curve25519.X25519(private[:], boxKey[:])
	if err != nil {
		return nil, fmt.Errorf("box key of %s: %w", peer.Short(), err)
	}
	p := &pairing{boxKey: boxKey}
	if p.send, err = directionKey(secret, self, peer, self); err != nil {
		return nil, err
	}
	if p.recv, err = directionKey(secret, self, peer, peer); err != nil {
		return nil, err
	}
	return p, nil
}

// directionKey makes the cipher for frames that sender seals.
func directionKey(secret []byte, a, b, sender micronet.NodeID) (cipher.AEAD, error) {
	low, high := a, b
	if low.Compare(high) > 0 {
		low, high = high, low
	}
	direction := byte(0)
	if sender == high {
		direction = 1
	}
	info := make([]byte, 0, len(pairingInfo)+2*len(low)+1)
	info = append(info, pairingInfo...)
	info = append(info, low[:]...)
	info = append(info, high[:]...)
	info = append(info, direction)
	key, err := hkdf.Key(sha256.New, secret, nil, string(info), chacha20poly1305.KeySize)
	if err != nil {
		return nil, err
	}
	return chacha20poly1305.NewX(key)
}
