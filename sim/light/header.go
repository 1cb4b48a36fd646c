package light

import (
	"io"

	micronet "github.com/micro/micro-net"
)

// A connection begins with a header in clear:
//
//	0  version: 1 between members, 2 from a guest, whose TLS follows at once
//	1  who calls, 32 bytes
//	33 who is meant, 32 bytes
const (
	versionMember = 1
	versionGuest  = 2
	idSize        = len(micronet.NodeID{})
	headerSize    = 1 + 2*idSize
)

// header says who calls whom.
type header struct {
	guest    bool
	from, to micronet.NodeID // zero for guests
}

func (h header) append(b []byte) []byte {
	if h.guest {
		return append(b, versionGuest)
	}
	b = append(b, versionMember)
	b = append(b, h.from[:]...)
	return append(b, h.to[:]...)
}

// readHeader reads a header and not a byte more. The error is Invalid, or one of r.
func readHeader(r io.Reader) (header, error) {
	var b [headerSize]byte
	if _, err := io.ReadFull(r, b[:1]); err != nil {
		return header{}, err
	}
	switch b[0] {
	case versionGuest:
		return header{guest: true}, nil
	case versionMember:
	default:
		return header{}, micronet.E("tunnel.accept", micronet.Invalid, "version %d of the header is not known", b[0])
	}
	if _, err := io.ReadFull(r, b[1:]); err != nil {
		return header{}, err
	}
	h := header{from: micronet.NodeID(b[1 : 1+idSize]), to: micronet.NodeID(b[1+idSize:])}
	if h.from.IsZero() || h.to.IsZero() {
		return header{}, micronet.E("tunnel.accept", micronet.Invalid, "the header names nobody")
	}
	return h, nil
}
