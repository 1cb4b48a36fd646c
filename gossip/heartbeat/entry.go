package heartbeat

import (
	"encoding/binary"
	"time"

	micronet "github.com/micro/micro-net"
)

// A packet is a format byte and up to MaxEntries entries of 30 bytes (big endian):
//
//	 8  the beginning of the owner's id
//	 1  the chain's mark: the first byte of its anchor's value
//	 3  the beat's number
//	16  its value
//	 2  its age in units of 100 ms; the highest means "at least"
const (
	packetFormat = 1
	headerSize   = 1
	entrySize    = 8 + 1 + 3 + valueSize + 2

	ageUnit = 100 * time.Millisecond
	ageMax  = 1<<16 - 1
)

// entry is one beat on the wire.
type entry struct {
	prefix uint64
	mark   byte
	beat   uint32
	value  value
	age    uint16
}

func prefixOf(id micronet.NodeID) uint64 { return binary.BigEndian.Uint64(id[:]) }

// ageOf rounds to the nearest unit, so that errors do not add up from teller to teller.
func ageOf(d time.Duration) uint16 {
	return uint16(min(max(d+ageUnit/2, 0)/ageUnit, ageMax))
}

func (e *entry) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, e.prefix)
	b = binary.BigEndian.AppendUint32(b, uint32(e.mark)<<24|e.beat)
	b = append(b, e.value[:]...)
	return binary.BigEndian.AppendUint16(b, e.age)
}

// parseEntry reads the first entry of b, which has entrySize bytes or more.
func parseEntry(b []byte) entry {
	marked := binary.BigEndian.Uint32(b[8:])
	return entry{
		prefix: binary.BigEndian.Uint64(b),
		mark:   byte(marked >> 24),
		beat:   marked & (1<<24 - 1),
		value:  value(b[12:]),
		age:    binary.BigEndian.Uint16(b[28:]),
	}
}

// entriesOf returns the entries of a packet, in their wire form.
func entriesOf(payload []byte) ([]byte, error) {
	switch {
	case len(payload) < headerSize || len(payload) > MaxPacket:
		return nil, micronet.E(opReceive, micronet.Invalid, "a packet of %d bytes: want %d to %d", len(payload), headerSize, MaxPacket)
	case payload[0] != packetFormat:
		return nil, micronet.E(opReceive, micronet.Invalid, "format %d is not known", payload[0]).WithFix("upgrade this node")
	case (len(payload)-headerSize)%entrySize != 0:
		return nil, micronet.E(opReceive, micronet.Invalid, "the last entry is cut off: %d bytes", len(payload))
	}
	return payload[headerSize:], nil
}
