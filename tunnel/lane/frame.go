package lane

import (
	"encoding/binary"
	"io"

	micronet "github.com/micro/micro-net"
)

// A carrier carries frames:
//
//	kind 1 | turn 1 | length of the payload 2, big endian | acknowledged 4, big endian | payload
//
// Turn numbers the sessions that follow each other on one carrier, modulo 256: what is late of a former one is told by it.
// Acknowledged are the lowest 32 bits of how many bytes of the session the sender of the frame has passed to its user.
const (
	headerSize = 8
	maxPayload = 64<<10 - headerSize - 1
)

// kind says what a frame is for. Numbers are wire values and are never reused.
type kind byte

const (
	kindOpen    kind = 1  // a session begins: its id, and the first of its bytes
	kindData    kind = 2  // bytes of the session
	kindFin     kind = 3  // bytes, and no more follow
	kindAck     kind = 4  // nothing but what is acknowledged
	kindReset   kind = 5  // the session has ended, what is on its way is lost: one byte says why
	kindStop    kind = 6  // nothing more is read: one byte says why
	kindResume  kind = 7  // a session goes on here: its id, how many of its bytes have come (8 bytes), and the how manieth time (4 bytes)
	kindResumed kind = 8  // so be it: how many of its bytes have come (8 bytes)
	kindGone    kind = 9  // there is none: whether there was one (1 byte), and the number of this node's life (8 bytes)
	kindPing    kind = 10 // is anybody there
	kindPong    kind = 11 // yes
	kindHello   kind = 12 // the number of this node's life (8 bytes), first on a carrier
)

// goneSize is the payload of kindGone.
const goneSize = 9

// sessionID names a session between two nodes. Who opens it draws it.
type sessionID [16]byte

const resumeSize = len(sessionID{}) + 12

// header is the beginning of a frame.
type header struct {
	kind   kind
	turn   byte
	length int
	ack    uint32
}

// put writes h to the first headerSize bytes of b.
func (h header) put(b []byte) {
	b[0], b[1] = byte(h.kind), h.turn
	binary.BigEndian.PutUint16(b[2:], uint16(h.length))
	binary.BigEndian.PutUint32(b[4:], h.ack)
}

// parseHeader reads a header and checks that a payload of that length fits its kind. The error is Invalid.
func parseHeader(b []byte) (header, error) {
	h := header{kind(b[0]), b[1], int(binary.BigEndian.Uint16(b[2:])), binary.BigEndian.Uint32(b[4:])}
	least, most := 0, 0
	switch h.kind {
	case kindOpen:
		least, most = len(sessionID{}), maxPayload
	case kindData, kindFin:
		most = maxPayload
	case kindReset, kindStop:
		least, most = 1, 1
	case kindResume:
		least, most = resumeSize, resumeSize
	case kindResumed, kindHello:
		least, most = 8, 8
	case kindGone:
		least, most = goneSize, goneSize
	case kindAck, kindPing, kindPong:
	default:
		return header{}, badFrame("kind %d is not known", h.kind)
	}
	if h.length < least || h.length > most {
		return header{}, badFrame("%d bytes in a frame of kind %d", h.length, h.kind)
	}
	return h, nil
}

// readHeader reads one header and not a byte more; scratch has headerSize bytes.
func readHeader(r io.Reader, scratch []byte) (header, error) {
	if _, err := io.ReadFull(r, scratch); err != nil {
		return header{}, err
	}
	return parseHeader(scratch)
}

// shortFrame is a frame without bytes of a session.
func shortFrame(k kind, turn byte, ack uint64, payload ...byte) []byte {
	b := make([]byte, headerSize, headerSize+len(payload))
	header{k, turn, len(payload), uint32(ack)}.put(b)
	return append(b, payload...)
}

// resumption is the payload of kindResume.
type resumption struct {
	id       sessionID
	received uint64
	move     uint32 // counts from 1: an older one that comes late counts for nothing
}

func (q resumption) frame(turn byte, ack uint64) []byte {
	b := binary.BigEndian.AppendUint64(q.id[:], q.received)
	return shortFrame(kindResume, turn, ack, binary.BigEndian.AppendUint32(b, q.move)...)
}

func parseResumption(b []byte) resumption {
	n := len(sessionID{})
	return resumption{sessionID(b[:n]), number(b[n:]), binary.BigEndian.Uint32(b[n+8:])}
}

// numberFrame is a frame of one number.
func numberFrame(k kind, turn byte, n, ack uint64) []byte {
	return shortFrame(k, turn, ack, binary.BigEndian.AppendUint64(nil, n)...)
}

// goneFrame says that there is no such session.
func goneFrame(turn, was byte, life uint64) []byte {
	return shortFrame(kindGone, turn, 0, binary.BigEndian.AppendUint64([]byte{was}, life)...)
}

func number(b []byte) uint64 { return binary.BigEndian.Uint64(b) }

// widen finds the number near to near that has the lowest 32 bits low.
func widen(near uint64, low uint32) uint64 {
	return near + uint64(int64(int32(low-uint32(near)))) //nolint:gosec // the difference of two offsets, either way
}

func badFrame(format string, args ...any) error {
	return micronet.E("tunnel.lane", micronet.Invalid, "a lane: "+format, args...)
}
