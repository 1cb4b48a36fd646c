package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"
)

// Bounds of one item. Things of which there can be more get items of their own.
const (
	maxDepth   = 8
	maxElement = 256 // elements of one array, pairs of one map
)

var (
	errShort   = errors.New("the bytes end too early")
	errMinimal = errors.New("a number or length is not in its shortest form")
)

// scan checks that b is exactly one MessagePack map in the canonical form that we write: shortest
// forms, UTF-8 strings, map keys that are strings in strictly ascending order, no extension types,
// at most maxDepth levels and maxElement elements each. What passes is safe to hand to a decoder:
// every length is covered by bytes.
func scan(b []byte) error {
	if len(b) == 0 || !isMap(b[0]) {
		return errors.New("an item is a map")
	}
	rest, err := scanValue(b, 1)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%d bytes behind the end", len(rest))
	}
	return err
}

func isMap(b byte) bool { return b&0xf0 == 0x80 || b == 0xde || b == 0xdf }

// scanValue checks one value and returns what follows it. The first byte tells the type
// (MessagePack specification, "Formats").
func scanValue(b []byte, depth int) ([]byte, error) {
	if len(b) == 0 {
		return nil, errShort
	}
	if depth > maxDepth {
		return nil, fmt.Errorf("more than %d levels", maxDepth)
	}
	t, rest := b[0], b[1:]
	switch {
	case t <= 0x7f || t >= 0xe0 || t == 0xc0 || t == 0xc2 || t == 0xc3: // small integers, nil, booleans
		return rest, nil
	case t == 0xca || t == 0xcb: // floats
		return skip(rest, 4<<(t-0xca))
	case t >= 0xcc && t <= 0xcf:
		return scanUint(rest, t-0xcc)
	case t >= 0xd0 && t <= 0xd3:
		return scanInt(rest, t-0xd0)
	case t&0xf0 == 0x80 || t == 0xde || t == 0xdf:
		return scanMap(b, depth)
	case t&0xf0 == 0x90 || t == 0xdc || t == 0xdd:
		return scanArray(b, depth)
	case t >= 0xc4 && t <= 0xc6:
		_, rest, err := scanBytes(rest, t-0xc4, 0)
		return rest, err
	case t&0xe0 == 0xa0 || (t >= 0xd9 && t <= 0xdb):
		_, rest, err := scanString(b)
		return rest, err
	}
	return nil, fmt.Errorf("type %#x is not allowed", t)
}

func skip(b []byte, n int) ([]byte, error) {
	if n > len(b) {
		return nil, errShort
	}
	return b[n:], nil
}

// number reads a big endian number of 1<<power bytes.
func number(b []byte, power byte) (uint64, []byte, error) {
	n := 1 << power
	if n > len(b) {
		return 0, nil, errShort
	}
	var wide [8]byte
	copy(wide[8-n:], b[:n])
	return binary.BigEndian.Uint64(wide[:]), b[n:], nil
}

func scanUint(b []byte, power byte) ([]byte, error) {
	v, rest, err := number(b, power)
	if err == nil && ((power == 0 && v <= 0x7f) || (power > 0 && v>>(4<<power) == 0)) {
		err = errMinimal
	}
	return rest, err
}

// scanInt takes negative numbers only: others are written unsigned.
func scanInt(b []byte, power byte) ([]byte, error) {
	u, rest, err := number(b, power)
	if err != nil {
		return nil, err
	}
	bits := 8 << power
	v := int64(u<<(64-bits)) >> (64 - bits)
	if v >= -32 || (power > 0 && v >= -1<<(bits/2-1)) {
		return nil, errMinimal
	}
	return rest, nil
}

// scanBytes reads a length of 1<<power bytes that must be above least, and that many bytes.
func scanBytes(b []byte, power byte, least uint64) (value, rest []byte, err error) {
	n, rest, err := number(b, power)
	if err != nil {
		return nil, nil, err
	}
	if n < least || (power > 0 && n>>(4<<power) == 0) {
		return nil, nil, errMinimal
	}
	if n > uint64(len(rest)) {
		return nil, nil, errShort
	}
	return rest[:n], rest[n:], nil
}

func scanString(b []byte) (s, rest []byte, err error) {
	if len(b) == 0 {
		return nil, nil, errShort
	}
	switch t := b[0]; {
	case t&0xe0 == 0xa0:
		n := int(t & 0x1f)
		if rest, err = skip(b[1:], n); err != nil {
			return nil, nil, err
		}
		s = b[1 : 1+n]
	case t >= 0xd9 && t <= 0xdb:
		if s, rest, err = scanBytes(b[1:], t-0xd9, 32); err != nil {
			return nil, nil, err
		}
	default:
		return nil, nil, fmt.Errorf("type %#x in the place of a string", t)
	}
	if !utf8.Valid(s) {
		return nil, nil, errors.New("a string that is not UTF-8")
	}
	return s, rest, nil
}

// scanCount reads the number of elements of an array or map whose 16-bit form is wide.
func scanCount(b []byte, wide byte) (int, []byte, error) {
	if b[0] < 0xc0 {
		return int(b[0] & 0x0f), b[1:], nil
	}
	n, rest, err := number(b[1:], 1+b[0]-wide)
	if err != nil {
		return 0, nil, err
	}
	if n < 16 || b[0] != wide {
		return 0, nil, errMinimal // 2^16 elements are beyond maxElement, so the 32-bit form is never needed
	}
	if n > maxElement {
		return 0, nil, fmt.Errorf("%d elements, at most %d are allowed", n, maxElement)
	}
	return int(n), rest, nil
}

func scanArray(b []byte, depth int) ([]byte, error) {
	n, rest, err := scanCount(b, 0xdc)
	for ; err == nil && n > 0; n-- {
		rest, err = scanValue(rest, depth+1)
	}
	return rest, err
}

func scanMap(b []byte, depth int) ([]byte, error) {
	n, rest, err := scanCount(b, 0xde)
	var last []byte
	for i := 0; err == nil && i < n; i++ {
		var key []byte
		if key, rest, err = scanString(rest); err != nil {
			return nil, err
		}
		if i > 0 && string(last) >= string(key) {
			return nil, fmt.Errorf("map key %q is there twice or out of order", key)
		}
		last = key
		rest, err = scanValue(rest, depth+1)
	}
	return rest, err
}
