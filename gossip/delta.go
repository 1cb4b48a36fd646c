package gossip

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// delta is what changed since a base version. It is a set of final states and not of steps: on
// every version between the base and the new one it gives the new one. The signed hash decides
// whether it did.
type delta struct {
	base    Version
	upserts []Item   // strictly ascending
	removed []string // strictly ascending
}

// diff returns what leads from items old to items new, both in order.
func diff(base Version, old, new []Item) delta {
	d := delta{base: base}
	for len(old) > 0 || len(new) > 0 {
		switch {
		case len(new) == 0 || (len(old) > 0 && old[0].Key < new[0].Key):
			d.removed = append(d.removed, old[0].Key)
			old = old[1:]
		case len(old) == 0 || new[0].Key < old[0].Key:
			d.upserts = append(d.upserts, new[0])
			new = new[1:]
		default:
			if !bytes.Equal(old[0].Value, new[0].Value) {
				d.upserts = append(d.upserts, new[0])
			}
			old, new = old[1:], new[1:]
		}
	}
	return d
}

// apply returns the items that follow from old.
func (d *delta) apply(old []Item) []Item {
	out := make([]Item, 0, len(old)+len(d.upserts))
	up, gone := d.upserts, d.removed
	for _, it := range old {
		for len(up) > 0 && up[0].Key < it.Key {
			out, up = append(out, up[0]), up[1:]
		}
		for len(gone) > 0 && gone[0] < it.Key {
			gone = gone[1:]
		}
		switch {
		case len(up) > 0 && up[0].Key == it.Key:
			out, up = append(out, up[0]), up[1:]
		case len(gone) > 0 && gone[0] == it.Key:
		default:
			out = append(out, it)
		}
	}
	return append(out, up...)
}

// encodeDelta writes: type, signed header, base epoch and sequence, 32-bit count and upserted
// items, 32-bit count and removed keys (16-bit length each).
func encodeDelta(s *signedHeader, d *delta) []byte {
	b := append([]byte{byte(kindDelta)}, s.raw[:]...)
	b = binary.BigEndian.AppendUint64(b, d.base.Epoch)
	b = binary.BigEndian.AppendUint64(b, d.base.Seq)
	b = binary.BigEndian.AppendUint32(b, uint32(len(d.upserts)))
	b = appendItems(b, d.upserts)
	b = binary.BigEndian.AppendUint32(b, uint32(len(d.removed)))
	for _, key := range d.removed {
		b = binary.BigEndian.AppendUint16(b, uint16(len(key)))
		b = append(b, key...)
	}
	return b
}

func readDelta(c *cursor) (delta, error) {
	d := delta{base: Version{Epoch: c.u64(), Seq: c.u64()}}
	var err error
	if d.upserts, err = readItems(c, c.u32()); err != nil {
		return delta{}, err
	}
	d.removed, err = readKeys(c, c.u32())
	return d, err
}

func readKeys(c *cursor, count uint32) ([]string, error) {
	if count > maxItems || int(count) > len(c.rest)/2 {
		return nil, fmt.Errorf("%d keys do not fit", count)
	}
	keys := make([]string, 0, count)
	for range count {
		key, err := readKey(c)
		if err != nil {
			return nil, err
		}
		if n := len(keys); n > 0 && keys[n-1] >= key {
			return nil, fmt.Errorf("removed key %q is not in order", key)
		}
		keys = append(keys, key)
	}
	return keys, nil
}
