package tunnel

import (
	"crypto/subtle"
	"encoding/binary"
	"errors"

	"golang.org/x/crypto/chacha20poly1305"
)

// leg says on which side of a relay an envelope is. Numbers are wire values.
type leg uint8

const (
	legTo   leg = 1 // to the relay; the tag is that of the node it is for
	legFrom leg = 2 // from the relay; the tag is that of the node it came from
)

// An envelope carries a datagram, which stays as it is, to a relay or from one (numbers are offsets
// in bytes, integers are big endian):
//
//	0   0x82
//	1   leg
//	2   tag of the far end
//	10  counter, of the session that the sender's sealed frames to this receiver belong to
//	18  proof of 8 bytes
//	26  the datagram: a sealed frame, or QUIC's
//
// The proof is the first half of XChaCha20-Poly1305's tag over no plaintext, with the nonce of that
// session and counter, and everything before and the datagram's length as additional data. It says
// which member sent the envelope; what is inside is proved end to end. Frames and envelopes draw from
// one counter, so that no nonce is used twice and one window refuses both kinds of replay.
const (
	envelopeHeaderLen = 26
	envelopeProof     = 18
	proofLen          = 8
)

// maxCarried is the largest datagram that is put into an envelope: with it an Ethernet frame is full,
// over IPv6 as well.
const maxCarried = 1452 - envelopeHeaderLen

var errEnvelope = errors.New("an envelope: malformed")

// envelope is an envelope taken apart. Its slices point into the datagram.
type envelope struct {
	leg     leg
	far     tag
	counter uint64
	header  []byte
	inner   []byte
}

// parseEnvelope takes a datagram apart that begins with 0x82. An envelope in an envelope is refused: a
// path has one relay.
func parseEnvelope(b []byte) (envelope, error) {
	if len(b) <= envelopeHeaderLen || b[0] != firstEnvelope {
		return envelope{}, errEnvelope
	}
	e := envelope{
		leg: leg(b[1]), far: tag(binary.BigEndian.Uint64(b[2:])), counter: binary.BigEndian.Uint64(b[10:]),
		header: b[:envelopeHeaderLen], inner: b[envelopeHeaderLen:],
	}
	if (e.leg != legTo && e.leg != legFrom) || (!isQUIC(e.inner) && e.inner[0] != firstSealed) {
		return envelope{}, errEnvelope
	}
	return e, nil
}

// appendEnvelope writes an envelope with its proof.
func appendEnvelope(b []byte, k *pairing, s session, l leg, far tag, counter uint64, inner []byte) []byte {
	start := len(b)
	b = append(b, firstEnvelope, byte(l))
	b = binary.BigEndian.AppendUint64(b, uint64(far))
	b = binary.BigEndian.AppendUint64(b, counter)
	proof := k.prove(true, s, counter, b[start:], len(inner))
	return append(append(b, proof[:]...), inner...)
}

// proves reports whether the sender of a session made the envelope.
func (e *envelope) proves(k *pairing, s session) bool {
	want := k.prove(false, s, e.counter, e.header[:envelopeProof], len(e.inner))
	return subtle.ConstantTimeCompare(want[:], e.header[envelopeProof:]) == 1
}

// prove makes the proof of an envelope, of our own or of one that came in.
func (k *pairing) prove(own bool, s session, counter uint64, head []byte, n int) (proof [proofLen]byte) {
	var nonce [nonceLen]byte
	copy(nonce[:], s[:])
	binary.BigEndian.PutUint64(nonce[len(s):], counter)
	var said [envelopeProof + 2]byte
	copy(said[:], head)
	binary.BigEndian.PutUint16(said[envelopeProof:], uint16(n))
	cipher := k.recv
	if own {
		cipher = k.send
	}
	var sum [chacha20poly1305.Overhead]byte
	copy(proof[:], cipher.Seal(sum[:0], nonce[:], nil, said[:]))
	return proof
}
