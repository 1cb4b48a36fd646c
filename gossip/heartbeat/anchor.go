package heartbeat

import (
	"encoding/binary"
	"time"

	micronet "github.com/micro/micro-net"
)

const (
	anchorFormat = 1
	anchorSize   = 1 + 8 + 4 + 4 + valueSize
)

// Anchor is the public end of a chain. It belongs into its owner's signed document.
type Anchor struct {
	Value      [valueSize]byte // v[0]
	Length     uint32          // the number of beats, 1 to MaxLength
	Interval   time.Duration   // between two beats, whole milliseconds, MinInterval to MaxInterval
	Generation uint64          // a newer chain of the owner has a higher one
}

// AppendBinary appends 33 bytes: format, generation, interval in milliseconds, length (big endian)
// and value. It fails for an anchor that ParseAnchor would refuse.
func (a Anchor) AppendBinary(b []byte) ([]byte, error) {
	if err := a.check(); err != nil {
		return b, err
	}
	b = append(b, anchorFormat)
	b = binary.BigEndian.AppendUint64(b, a.Generation)
	b = binary.BigEndian.AppendUint32(b, uint32(a.Interval/time.Millisecond))
	b = binary.BigEndian.AppendUint32(b, a.Length)
	return append(b, a.Value[:]...), nil
}

// ParseAnchor reads what AppendBinary wrote, and nothing else. Errors: Invalid.
func ParseAnchor(b []byte) (Anchor, error) {
	if len(b) != anchorSize {
		return Anchor{}, micronet.E(opAnchor, micronet.Invalid, "an anchor has %d bytes, not %d", anchorSize, len(b))
	}
	if b[0] != anchorFormat {
		return Anchor{}, micronet.E(opAnchor, micronet.Invalid, "format %d is not known", b[0]).
			WithFix("upgrade this node")
	}
	a := Anchor{
		Generation: binary.BigEndian.Uint64(b[1:]),
		Interval:   time.Duration(binary.BigEndian.Uint32(b[9:])) * time.Millisecond,
		Length:     binary.BigEndian.Uint32(b[13:]),
		Value:      [valueSize]byte(b[17:]),
	}
	if err := a.check(); err != nil {
		return Anchor{}, err
	}
	return a, nil
}

func (a Anchor) check() error {
	switch {
	case a.Length < 1 || a.Length > MaxLength:
		return micronet.E(opAnchor, micronet.Invalid, "a chain of %d beats: want 1 to %d", a.Length, MaxLength)
	case a.Interval < MinInterval || a.Interval > MaxInterval || a.Interval%time.Millisecond != 0:
		return micronet.E(opAnchor, micronet.Invalid, "an interval of %v: want %v to %v in whole milliseconds",
			a.Interval, MinInterval, MaxInterval)
	}
	return nil
}
