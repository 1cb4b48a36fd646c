package heartbeat

import (
	"crypto/sha256"
	"encoding/binary"

	micronet "github.com/micro/micro-net"
)

const (
	valueSize = 16
	tweakSize = 24
)

// value is one link's content.
type value = [valueSize]byte

// tweak makes the hashes of one chain differ from those of all others. It, a position and a value
// are 44 bytes, which fit into one block of SHA-256.
type tweak [tweakSize]byte

func newTweak(owner micronet.NodeID, generation uint64) tweak {
	b := append([]byte("micro-net heartbeat 1 link\x00"), owner[:]...)
	b = binary.BigEndian.AppendUint64(b, generation)
	sum := sha256.Sum256(b)
	return tweak(sum[:tweakSize])
}

// down returns v[k-1] for v[k].
func (t *tweak) down(k uint32, v value) value {
	var b [tweakSize + 4 + valueSize]byte
	copy(b[:], t[:])
	binary.BigEndian.PutUint32(b[tweakSize:], k)
	copy(b[tweakSize+4:], v[:])
	sum := sha256.Sum256(b[:])
	return value(sum[:valueSize])
}

// walk returns v[to] for v[from], from not below to, with from-to hashes.
func (t *tweak) walk(from, to uint32, v value) value {
	for k := from; k > to; k-- {
		v = t.down(k, v)
	}
	return v
}

// top returns the secret v[n] of a chain. The seed comes last: what is before it has a fixed size.
func top(owner micronet.NodeID, generation uint64, seed []byte) value {
	b := append([]byte("micro-net heartbeat 1 seed\x00"), owner[:]...)
	b = binary.BigEndian.AppendUint64(b, generation)
	sum := sha256.Sum256(append(b, seed...))
	return value(sum[:valueSize])
}
