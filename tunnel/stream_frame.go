package tunnel

import (
	"errors"
	"io"

	micronet "github.com/micro/micro-net"
)

// The two frames of a stream, opening and answer, share their outer form: a version, some fixed
// bytes, the varint length of the rest, the rest.

// streamFrameSize returns how many bytes a frame is known to have, judging by its first bytes b:
// the whole size once its length is there, one more than len(b) before. fixed counts the bytes
// before the length, version included.
func streamFrameSize(b []byte, fixed, most int) (int, error) {
	if len(b) > 0 && b[0] != openingVersion {
		return 0, badFrame("version %d of a stream's first frame is not known here, want %d", b[0], openingVersion)
	}
	if len(b) <= fixed {
		return fixed + 1, nil
	}
	length, n, err := streamVarint(b[fixed:])
	if err != nil {
		return 0, err
	}
	if n == 0 {
		return len(b) + 1, nil
	}
	if size := fixed + n + length; size <= most {
		return size, nil
	}
	return 0, badFrame("a stream's first frame says %d bytes follow, at most %d fit", length, most)
}

// streamVarint reads a varint of at most two bytes. n is 0 when b ends inside it.
func streamVarint(b []byte) (value, n int, err error) {
	switch {
	case len(b) == 0:
		return 0, 0, nil
	case b[0] < 0x80:
		return int(b[0]), 1, nil
	case len(b) == 1:
		return 0, 0, nil
	case b[1] == 0 || b[1] >= 0x80:
		return 0, 0, badFrame("a length in a stream's first frame is not in its shortest form or too large")
	}
	return int(b[0]&0x7f) | int(b[1])<<7, 2, nil
}

// fillStreamFrame appends to have until it holds one frame, reading no byte beyond it. On an
// error it returns what is there, so that a later call can go on.
func fillStreamFrame(r io.Reader, have []byte, size func([]byte) (int, error)) ([]byte, error) {
	for {
		want, err := size(have)
		if err != nil || len(have) >= want {
			return have, err
		}
		start := len(have)
		have = append(have, make([]byte, want-start)...)
		n, err := io.ReadFull(r, have[start:])
		have = have[:start+n]
		if errors.Is(err, io.EOF) && len(have) > 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return have, err
		}
	}
}

func badFrame(format string, args ...any) error {
	return micronet.E("tunnel.frame", micronet.Invalid, format, args...)
}
