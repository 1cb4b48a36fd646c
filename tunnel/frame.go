package tunnel

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"

	micronet "github.com/micro/micro-net"
)

// The first byte of a datagram tells the protocols of the one port apart. QUIC always has
// firstQUIC set (RFC 9443 section 3; greasing of that bit is off in micro-net).
const (
	firstQUIC     byte = 0x40
	firstSealed   byte = 0x80
	firstGuest    byte = 0x81
	firstEnvelope byte = 0x82
)

// A sealed frame, version 1 (numbers are offsets in bytes, integers are big endian):
//
//	0   0x80
//	1   version, 1
//	2   flags: bit 0, a credential is attached; unknown bits are ignored
//	3   tag of the receiver: the first 8 bytes of SHA-256 of its id
//	11  tag of the sender
//	19  nonce of 24 bytes: session of 16 random bytes, counter of 8 bytes that starts at 1
//	43  with flag bit 0: length of 2 bytes, credential
//	    XChaCha20-Poly1305 ciphertext of a message; everything before is its additional data
//
// A session is drawn when a node begins to seal for a peer. Drawing it per peer and not per
// process keeps nonces unique although a forgotten peer may come back, and keeps the counters
// that one receiver sees dense.
const (
	frameVersion   = 1
	flagCredential = 0x01

	frameHeaderLen = 43
	nonceOffset    = 19
	nonceLen       = 24
	sealOverhead   = 16 // of Poly1305
)

var (
	errFrameShort   = errors.New("sealed frame: shorter than its header")
	errFrameVersion = errors.New("sealed frame: unknown version")
	errCredential   = errors.New("sealed frame: credential of a wrong length")
)

// tag finds a node's keys without showing its id.
type tag uint64

func tagOf(id micronet.NodeID) tag {
	sum := sha256.Sum256(id[:])
	return tag(binary.BigEndian.Uint64(sum[:]))
}

// session names one run of counters of one sender towards one receiver.
type session [16]byte

// frame is a sealed frame taken apart. Its slices point into the datagram.
type frame struct {
	receiver, sender tag
	session          session
	counter          uint64
	credential       []byte // nil: none attached
	header           []byte // all that comes before the ciphertext
	sealed           []byte // the ciphertext with its tag
}

// parseFrame takes a datagram apart that begins with 0x80.
func parseFrame(b []byte) (frame, error) {
	if len(b) < frameHeaderLen || b[0] != firstSealed {
		return frame{}, errFrameShort
	}
	if b[1] != frameVersion {
		return frame{}, errFrameVersion
	}
	f := frame{
		receiver: tag(binary.BigEndian.Uint64(b[3:])),
		sender:   tag(binary.BigEndian.Uint64(b[11:])),
		session:  session(b[nonceOffset : nonceOffset+len(session{})]),
		counter:  binary.BigEndian.Uint64(b[nonceOffset+len(session{}):]),
	}
	end := frameHeaderLen
	if b[2]&flagCredential != 0 {
		n, err := credentialLen(b[end:])
		if err != nil {
			return frame{}, err
		}
		f.credential = b[end+2 : end+2+n]
		end += 2 + n
	}
	f.header, f.sealed = b[:end], b[end:]
	if len(f.sealed) < sealOverhead {
		return frame{}, errFrameShort
	}
	return f, nil
}

func credentialLen(b []byte) (int, error) {
	if len(b) < 2 {
		return 0, errFrameShort
	}
	n := int(binary.BigEndian.Uint16(b))
	if n == 0 || n > MaxCredential || n > len(b)-2 {
		return 0, errCredential
	}
	return n, nil
}

// nonce returns the 24 bytes that the frame was sealed with.
func (f *frame) nonce() []byte { return f.header[nonceOffset : nonceOffset+nonceLen] }

// appendFrameHeader writes everything before the ciphertext.
func appendFrameHeader(b []byte, f *frame) []byte {
	var flags byte
	if f.credential != nil {
		flags |= flagCredential
	}
	b = append(b, firstSealed, frameVersion, flags)
	b = binary.BigEndian.AppendUint64(b, uint64(f.receiver))
	b = binary.BigEndian.AppendUint64(b, uint64(f.sender))
	b = append(b, f.session[:]...)
	b = binary.BigEndian.AppendUint64(b, f.counter)
	if f.credential != nil {
		b = binary.BigEndian.AppendUint16(b, uint16(len(f.credential)))
		b = append(b, f.credential...)
	}
	return b
}
