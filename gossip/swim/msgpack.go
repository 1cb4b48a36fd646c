package swim

import (
	"encoding/binary"
	"errors"
)

// errField says that a map holds something that memberlist never writes.
var errField = errors.New("malformed field")

// mapReader reads a flat msgpack map of scalars, the form of all of memberlist's messages
// (https://github.com/msgpack/msgpack/blob/master/spec.md). It allocates nothing, and every
// length is checked against what is left.
type mapReader struct {
	rest []byte
}

// scalar is one value: a number, or the bytes of a string or binary. Anything else (nil, bool)
// is neither.
type scalar struct {
	isNumber bool
	number   uint64
	bytes    []byte
}

// header returns the number of fields that follow.
func (r *mapReader) header() (int, error) {
	tag, err := r.take(1)
	switch {
	case err != nil:
		return 0, err
	case tag[0]&0xf0 == 0x80:
		return int(tag[0] & 0x0f), nil
	case tag[0] == 0xde:
		n, err := r.uint(2)
		return int(n), err
	}
	return 0, errField
}

// field returns the next key and value.
func (r *mapReader) field() (key []byte, v scalar, err error) {
	k, err := r.value()
	if err != nil || k.bytes == nil {
		return nil, scalar{}, errors.Join(errField, err)
	}
	v, err = r.value()
	return k.bytes, v, err
}

func (r *mapReader) value() (scalar, error) {
	t, err := r.take(1)
	if err != nil {
		return scalar{}, err
	}
	switch tag := t[0]; {
	case tag <= 0x7f: // positive fixint
		return scalar{isNumber: true, number: uint64(tag)}, nil
	case tag&0xe0 == 0xa0: // fixstr
		return r.text(uint64(tag & 0x1f))
	case tag == 0xc0 || tag == 0xc2 || tag == 0xc3: // nil, false, true
		return scalar{}, nil
	case tag >= 0xc4 && tag <= 0xc6: // bin 8, 16, 32
		return r.sized(1 << (tag - 0xc4))
	case tag >= 0xd9 && tag <= 0xdb: // str 8, 16, 32
		return r.sized(1 << (tag - 0xd9))
	case tag >= 0xcc && tag <= 0xcf: // uint 8 to 64
		n, err := r.uint(1 << (tag - 0xcc))
		return scalar{isNumber: true, number: n}, err
	case tag >= 0xd0 && tag <= 0xd3: // int 8 to 64
		return r.int(1 << (tag - 0xd0))
	}
	return scalar{}, errField
}

// sized reads a length of width bytes, and that many bytes.
func (r *mapReader) sized(width int) (scalar, error) {
	n, err := r.uint(width)
	if err != nil {
		return scalar{}, err
	}
	return r.text(n)
}

func (r *mapReader) text(n uint64) (scalar, error) {
	if n > uint64(len(r.rest)) {
		return scalar{}, errTruncated
	}
	b, err := r.take(int(n))
	return scalar{bytes: b}, err
}

// int reads a signed number; negative ones are never written.
func (r *mapReader) int(width int) (scalar, error) {
	n, err := r.uint(width)
	if err == nil && n>>(8*width-1) != 0 {
		err = errField
	}
	return scalar{isNumber: true, number: n}, err
}

func (r *mapReader) uint(width int) (uint64, error) {
	b, err := r.take(width)
	if err != nil {
		return 0, err
	}
	var whole [8]byte
	copy(whole[8-width:], b)
	return binary.BigEndian.Uint64(whole[:]), nil
}

// take returns the next n bytes, never nil.
func (r *mapReader) take(n int) ([]byte, error) {
	if n > len(r.rest) {
		return nil, errTruncated
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b, nil
}
