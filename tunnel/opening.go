package tunnel

import (
	"encoding/binary"
	"io"
	"unicode/utf8"

	micronet "github.com/micro/micro-net"
)

// MaxOpening bounds an opening frame, header included: it travels in one packet with the first
// payload.
const MaxOpening = 1024

// openingVersion is the version of the opening frame and of its answer.
const openingVersion = 1

// The fields of an opening frame. Numbers are wire values and are never reused; a field that is
// not known here is skipped.
const (
	fieldPurpose  = 1 // one byte
	fieldService  = 2
	fieldInstance = 3
	fieldCaller   = 4
	fieldTrace    = 5
)

// AppendOpening appends the frame that opens a stream:
//
//	version 1 | length of the rest, varint | fields: type, varint length, value
//
// Varints are those of encoding/binary, at most two bytes. Empty strings are left out. The error
// is Invalid: no purpose, text that is no UTF-8, or a frame longer than MaxOpening.
func AppendOpening(b []byte, o Opening) ([]byte, error) {
	if o.Purpose == 0 {
		return b, micronet.E("tunnel.open", micronet.Invalid, "the opening names no purpose")
	}
	body := make([]byte, 0, 128)
	body = append(body, fieldPurpose, 1, byte(o.Purpose))
	for _, f := range [...]struct {
		kind  byte
		value string
	}{{fieldService, o.Service}, {fieldInstance, o.Instance}, {fieldCaller, o.Caller}, {fieldTrace, o.Trace}} {
		if f.value == "" {
			continue
		}
		if len(f.value) > MaxOpening || !utf8.ValidString(f.value) {
			return b, micronet.E("tunnel.open", micronet.Invalid,
				"field %d of the opening is no text of at most %d bytes", f.kind, MaxOpening)
		}
		body = append(body, f.kind)
		body = binary.AppendUvarint(body, uint64(len(f.value)))
		body = append(body, f.value...)
	}
	frame := append(make([]byte, 0, len(body)+3), openingVersion)
	frame = binary.AppendUvarint(frame, uint64(len(body)))
	if len(frame)+len(body) > MaxOpening {
		return b, micronet.E("tunnel.open", micronet.Invalid,
			"the opening takes %d bytes, at most %d fit", len(frame)+len(body), MaxOpening)
	}
	return append(append(b, frame...), body...), nil
}

// ReadOpening reads one opening frame and not a byte more. Errors of r pass through, an end of r
// inside the frame is io.ErrUnexpectedEOF; a frame that breaks the format is Invalid.
func ReadOpening(r io.Reader) (Opening, error) {
	frame, err := fillStreamFrame(r, make([]byte, 0, 128), openingSize)
	if err != nil {
		return Opening{}, err
	}
	o, _, err := DecodeOpening(frame)
	return o, err
}

// DecodeOpening reads the opening frame at the start of b and returns what follows it. The
// error is Invalid, or io.ErrUnexpectedEOF when b ends inside the frame.
func DecodeOpening(b []byte) (Opening, []byte, error) {
	size, err := openingSize(b)
	if err != nil {
		return Opening{}, b, err
	}
	if size > len(b) {
		return Opening{}, b, io.ErrUnexpectedEOF
	}
	_, header, err := streamVarint(b[1:])
	if err != nil {
		return Opening{}, b, err
	}
	o, err := decodeFields(b[1+header : size])
	if err != nil {
		return Opening{}, b, err
	}
	return o, b[size:], nil
}

func decodeFields(b []byte) (Opening, error) {
	var o Opening
	var seen [fieldTrace + 1]bool
	for len(b) > 0 {
		kind := b[0]
		length, n, err := streamVarint(b[1:])
		if err != nil {
			return Opening{}, err
		}
		if n == 0 || length > len(b)-1-n {
			return Opening{}, badFrame("field %d of the opening reaches past its end", kind)
		}
		value := b[1+n : 1+n+length]
		b = b[1+n+length:]
		if kind == 0 || int(kind) >= len(seen) {
			continue // of a newer peer
		}
		if seen[kind] {
			return Opening{}, badFrame("field %d of the opening comes twice", kind)
		}
		seen[kind] = true
		if err := o.setField(kind, value); err != nil {
			return Opening{}, err
		}
	}
	if o.Purpose == 0 {
		return Opening{}, badFrame("the opening names no purpose")
	}
	return o, nil
}

func (o *Opening) setField(kind byte, value []byte) error {
	if kind == fieldPurpose {
		if len(value) != 1 {
			return badFrame("the purpose of the opening has %d bytes, want 1", len(value))
		}
		o.Purpose = Purpose(value[0])
		return nil
	}
	if !utf8.Valid(value) {
		return badFrame("field %d of the opening is no UTF-8", kind)
	}
	switch kind {
	case fieldService:
		o.Service = string(value)
	case fieldInstance:
		o.Instance = string(value)
	case fieldCaller:
		o.Caller = string(value)
	case fieldTrace:
		o.Trace = string(value)
	}
	return nil
}

// openingSize returns how many bytes of the frame are known to exist from the ones that are
// there: the whole size once the header is complete.
func openingSize(b []byte) (int, error) {
	return streamFrameSize(b, 1, MaxOpening)
}
