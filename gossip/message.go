package gossip

import (
	"encoding/binary"
	"fmt"
	"time"
)

// kind is the first byte of a catalog message. Numbers are wire values and are never reused.
type kind uint8

const (
	kindFull     kind = 1 // age, signed header, items
	kindDelta    kind = 2 // signed header, base version, upserted items, removed keys
	kindAnnounce kind = 3 // signed header

	// Not of the catalog:
	kindStatement  kind = 4 // a statement, see Ledger
	kindRevocation kind = 5 // a statement that revokes
)

const (
	fullOverhead = 1 + 4 + signedSize
	// ageSlack is added to every age but an owner's own. It covers rounding and the way, so that
	// copies passed around do not make each other younger than they are.
	ageSlack = time.Second
	maxAge   = 1<<32 - 1 // seconds
)

// message is a parsed catalog message. The slices alias the bytes it was parsed from.
type message struct {
	kind kind
	signedHeader
	age  time.Duration // kindFull: time since the owner was last heard to confirm this version
	body []byte        // kindFull: the canonical list of items, not yet parsed
	delta
}

func parseMessage(raw []byte) (message, error) {
	c := cursor{rest: raw}
	m := message{kind: kind(c.u8())}
	switch m.kind {
	case kindFull:
		m.age = time.Duration(c.u32()) * time.Second
	case kindDelta, kindAnnounce:
	default:
		return message{}, fmt.Errorf("type %d of the message is not known", m.kind)
	}
	var err error
	if m.signedHeader, err = readSigned(&c); err != nil {
		return message{}, err
	}
	switch m.kind {
	case kindFull:
		m.body = c.take(len(c.rest))
	case kindDelta:
		m.delta, err = readDelta(&c)
	}
	if err == nil && !c.done() {
		err = errTruncated
	}
	return m, err
}

func encodeFull(age uint32, s *signedHeader, body []byte) []byte {
	b := make([]byte, 0, fullOverhead+len(body))
	b = append(b, byte(kindFull))
	b = binary.BigEndian.AppendUint32(b, age)
	b = append(b, s.raw[:]...)
	return append(b, body...)
}

func encodeAnnounce(s *signedHeader) []byte {
	return append([]byte{byte(kindAnnounce)}, s.raw[:]...)
}

// wireAge is d in whole seconds, rounded up.
func wireAge(d time.Duration) uint32 {
	s := (max(d, 0) + ageSlack + time.Second - 1) / time.Second
	return uint32(min(s, maxAge))
}
