package swim

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The types of memberlist's messages, their first byte (memberlist v0.7.0, net.go).
const (
	kindPing         = 0
	kindIndirectPing = 1
	kindAck          = 2
	kindSuspect      = 3
	kindAlive        = 4
	kindDead         = 5
	kindPushPull     = 6
	kindCompound     = 7
	kindUser         = 8
	kindNack         = 11
	kindCRC          = 12
	kindError        = 13
)

// crcHeader is what memberlist puts before a packet after it has filled it: type and CRC-32.
const crcHeader = 5

// maxIncarnation is the highest incarnation an honest member reaches: they start at 1 and grow
// by one with each refuted accusation. Above it somebody pushes towards the end at 2^32-1,
// after which a member cannot contradict any more.
const maxIncarnation = 1 << 31

var (
	errTruncated = errors.New("truncated message")
	errKind      = errors.New("unexpected message type")
)

// walkPacket calls visit for each message of a packet, with its type and body. It refuses what
// this network has no use for: compression, encryption, labels, and compounds within compounds,
// with which few bytes cost memberlist much memory or time.
func walkPacket(packet []byte, visit func(kind byte, body []byte) error) error {
	if len(packet) >= crcHeader && packet[0] == kindCRC {
		packet = packet[crcHeader:]
	}
	if len(packet) == 0 {
		return errTruncated
	}
	if packet[0] != kindCompound {
		return visitMessage(packet, visit)
	}
	return walkCompound(packet[1:], visit)
}

// walkCompound reads: count (1 byte), count lengths (2 bytes each, big endian), the messages.
func walkCompound(b []byte, visit func(kind byte, body []byte) error) error {
	if len(b) < 1 || len(b) < 1+2*int(b[0]) {
		return errTruncated
	}
	count := int(b[0])
	lengths, rest := b[1:1+2*count], b[1+2*count:]
	for i := range count {
		n := int(binary.BigEndian.Uint16(lengths[2*i:]))
		if n > len(rest) {
			return errTruncated
		}
		if err := visitMessage(rest[:n], visit); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

func visitMessage(b []byte, visit func(kind byte, body []byte) error) error {
	if len(b) == 0 {
		return errTruncated
	}
	switch b[0] {
	case kindPing, kindIndirectPing, kindAck, kindSuspect, kindAlive, kindDead, kindUser, kindNack:
		return visit(b[0], b[1:])
	}
	return fmt.Errorf("%w: %d", errKind, b[0])
}

// claim is what alive, suspect and dead messages have in common: somebody says something of a
// member in one incarnation. The byte slices point into the packet.
type claim struct {
	kind        byte
	node, from  []byte // member names; from is empty in alive messages
	incarnation uint32
}

// isClaim reports whether messages of this type are claims.
func isClaim(kind byte) bool { return kind == kindSuspect || kind == kindAlive || kind == kindDead }

// parseClaim reads the fields of a claim from the msgpack map that memberlist encodes. It takes
// only the forms that encoder writes, so that both readers always agree.
func parseClaim(kind byte, body []byte) (claim, error) {
	c := claim{kind: kind}
	r := mapReader{rest: body}
	fields, err := r.header()
	if err != nil {
		return claim{}, err
	}
	for range fields {
		key, v, err := r.field()
		if err != nil {
			return claim{}, err
		}
		switch string(key) {
		case "Incarnation":
			if !v.isNumber || v.number > 1<<32-1 {
				return claim{}, errField
			}
			c.incarnation = uint32(v.number)
		case "Node":
			c.node = v.bytes
		case "From":
			c.from = v.bytes
		}
	}
	if len(c.node) == 0 {
		return claim{}, errField
	}
	return c, nil
}

// isGoodbye reports whether a member says of itself that it is gone.
func (c claim) isGoodbye() bool { return c.kind == kindDead && string(c.node) == string(c.from) }
