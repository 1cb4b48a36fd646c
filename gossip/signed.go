package gossip

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	micronet "github.com/micro/micro-net"
)

// The signed header of a document, all big endian:
//
//	offset size
//	     0    1  format, 1
//	     1    1  flags: 1 the owner left; others are ignored
//	     2   16  cluster
//	    18   32  owner, its Ed25519 public key
//	    50    8  epoch
//	    58    8  sequence
//	    66    4  number of items
//	    70   32  SHA-256 of the canonical list of items
//	   102   64  Ed25519 signature over signDomain and the 102 bytes before
const (
	headerFormat = 1
	headerSize   = 102
	signedSize   = headerSize + ed25519.SignatureSize
	flagLeft     = 1
)

// signDomain keeps a signature from being taken for one of another kind of record.
const signDomain = "micro-net/record/1\x00"

// Bounds of a version. They keep an owner from counting itself into a corner: above every
// accepted epoch there is room for more restarts than any node will see.
const (
	MaxEpoch = 1 << 62
	// LastSeq is the sequence of a goodbye and of nothing else. As it is above every other
	// sequence, "left" outranks all documents of its epoch by the ordinary order of versions.
	LastSeq = 1 << 62
)

// header is what a document's owner signs.
type header struct {
	cluster [16]byte
	owner   micronet.NodeID
	version Version
	left    bool
	count   uint32
	hash    [sha256.Size]byte
}

// signedHeader is a header with the bytes that were signed and the signature, as received.
type signedHeader struct {
	header
	raw [signedSize]byte
}

func (h *header) encode(b []byte) {
	b[0] = headerFormat
	b[1] = 0
	if h.left {
		b[1] = flagLeft
	}
	copy(b[2:], h.cluster[:])
	copy(b[18:], h.owner[:])
	binary.BigEndian.PutUint64(b[50:], h.version.Epoch)
	binary.BigEndian.PutUint64(b[58:], h.version.Seq)
	binary.BigEndian.PutUint32(b[66:], h.count)
	copy(b[70:], h.hash[:])
}

// sign makes the signed header of h.
func sign(key ed25519.PrivateKey, h header) signedHeader {
	s := signedHeader{header: h}
	h.encode(s.raw[:headerSize])
	copy(s.raw[headerSize:], ed25519.Sign(key, signedBytes(s.raw[:headerSize])))
	return s
}

// errFormat is why a document of a newer version cannot be read: nobody did anything wrong.
var errFormat = errors.New("the header has another format")

// signedBytes is what a signature covers.
func signedBytes(head []byte) []byte { return append([]byte(signDomain), head...) }

// verify checks the signature over the received bytes. crypto/ed25519 refuses non-canonical
// signatures (RFC 8032 section 5.1.7), so a signed header cannot be altered into another valid one.
func (s *signedHeader) verify() bool {
	return ed25519.Verify(s.owner[:], signedBytes(s.raw[:headerSize]), s.raw[headerSize:])
}

// sameHeader reports whether both headers say the same, whatever their signatures.
func (s *signedHeader) sameHeader(o *signedHeader) bool {
	return [headerSize]byte(s.raw[:headerSize]) == [headerSize]byte(o.raw[:headerSize])
}

// readSigned reads a signed header without checking the signature.
func readSigned(c *cursor) (signedHeader, error) {
	var s signedHeader
	copy(s.raw[:], c.take(signedSize))
	if c.bad {
		return signedHeader{}, errTruncated
	}
	if s.raw[0] != headerFormat {
		return signedHeader{}, fmt.Errorf("%w: %d, only %d is known", errFormat, s.raw[0], headerFormat)
	}
	h := cursor{rest: s.raw[1:headerSize]}
	s.left = h.u8()&flagLeft != 0
	copy(s.cluster[:], h.take(len(s.cluster)))
	copy(s.owner[:], h.take(len(s.owner)))
	s.version = Version{Epoch: h.u64(), Seq: h.u64()}
	s.count = h.u32()
	copy(s.hash[:], h.take(len(s.hash)))
	return s, nil
}

// check reports why no honest owner would sign such a header.
func (h *header) check() error {
	switch v := h.version; {
	case h.owner.IsZero():
		return fmt.Errorf("it has no owner")
	case v.Epoch == 0 || v.Epoch > MaxEpoch || v.Seq == 0 || v.Seq > LastSeq:
		return fmt.Errorf("version %d.%d is out of range", v.Epoch, v.Seq)
	case h.left != (v.Seq == LastSeq):
		return fmt.Errorf("version %d.%d and the left flag contradict each other", v.Epoch, v.Seq)
	case h.count > maxItems:
		return fmt.Errorf("%d items, at most %d are allowed", h.count, maxItems)
	}
	return nil
}
