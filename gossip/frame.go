package gossip

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	micronet "github.com/micro/micro-net"
)

// frameKind says what a frame of a synchronisation carries. Numbers are wire values and are never
// reused. Frames of unknown kinds are skipped.
type frameKind uint8

const (
	frameDigest   frameKind = 1 // a digest
	frameDocument frameKind = 2 // a full message
	frameWant     frameKind = 3 // owners, 32 bytes each, ascending
	frameEnd      frameKind = 4 // nothing

	// frameHeader is a 32-bit length of what follows it, and the kind.
	frameHeader = 4 + 1
	idSize      = 32
	syncBuffer  = 32 << 10
)

// syncSession is one synchronisation. It holds one frame of the peer at a time.
type syncSession struct {
	op     string
	r      *bufio.Reader
	w      *bufio.Writer
	store  Store
	limits SyncLimits
	stats  SyncStats
	frame  bytes.Buffer
}

func newSyncSession(op string, rw io.ReadWriter, store Store, l SyncLimits) *syncSession {
	return &syncSession{
		op: op, store: store, limits: l.EnsureDefaults(),
		r: bufio.NewReaderSize(rw, syncBuffer), w: bufio.NewWriterSize(rw, syncBuffer),
	}
}

// write queues a frame.
func (s *syncSession) write(kind frameKind, payload []byte) error {
	var head [frameHeader]byte
	binary.BigEndian.PutUint32(head[:], uint32(1+len(payload)))
	head[4] = byte(kind)
	s.stats.Out += int64(len(head) + len(payload))
	if _, err := s.w.Write(head[:]); err != nil {
		return err
	}
	_, err := s.w.Write(payload)
	return err
}

// send writes a frame after which the turn is the peer's.
func (s *syncSession) send(kind frameKind, payload []byte) error {
	if err := s.write(kind, payload); err != nil {
		return err
	}
	return s.w.Flush()
}

// receive returns the next frame of a known kind. The payload is valid until the next call.
func (s *syncSession) receive() (frameKind, []byte, error) {
	for {
		kind, payload, err := s.receiveAny()
		if err != nil {
			return 0, nil, err
		}
		if kind >= frameDigest && kind <= frameEnd {
			return kind, payload, nil
		}
	}
}

// receiveAny reads one frame. Memory grows with what arrived and not with what was announced.
func (s *syncSession) receiveAny() (frameKind, []byte, error) {
	var head [frameHeader]byte
	if _, err := io.ReadFull(s.r, head[:]); err != nil {
		return 0, nil, err
	}
	size := int64(binary.BigEndian.Uint32(head[:])) - 1
	if size < 0 || size > int64(max(s.limits.MaxDocument, MaxDigest)) {
		return 0, nil, violation("a frame of %d bytes", size)
	}
	if s.stats.In += frameHeader + size; s.stats.In > s.limits.MaxBytes {
		return 0, nil, violation("more than %d bytes in one session", s.limits.MaxBytes)
	}
	s.frame.Reset()
	if _, err := io.CopyN(&s.frame, s.r, size); err != nil {
		return 0, nil, unexpected(err)
	}
	return frameKind(head[4]), s.frame.Bytes(), nil
}

// unexpected tells an end inside a frame from one between frames.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// errViolation marks what no honest peer does.
type errViolation struct{ error }

func violation(format string, args ...any) error {
	return errViolation{fmt.Errorf(format, args...)}
}

// wrap classifies what ended a session.
func (s *syncSession) wrap(err error) error {
	if err == nil {
		return nil
	}
	kind := micronet.KindOf(err)
	if _, ok := errors.AsType[errViolation](err); ok {
		kind = micronet.Invalid
	} else if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.ErrClosedPipe) {
		kind = micronet.Closed
	} else if kind == micronet.Internal {
		kind = micronet.Unreachable
	}
	return &micronet.Error{Op: s.op, Kind: kind, Err: err}
}

func appendIDs(b []byte, ids []micronet.NodeID) []byte {
	for _, id := range ids {
		b = append(b, id[:]...)
	}
	return b
}

func parseIDs(b []byte) ([]micronet.NodeID, error) {
	if len(b)%idSize != 0 || len(b)/idSize > DefaultMaxDocuments {
		return nil, violation("a list of owners of %d bytes", len(b))
	}
	ids := make([]micronet.NodeID, 0, len(b)/idSize)
	for ; len(b) > 0; b = b[idSize:] {
		id := micronet.NodeID(b[:idSize])
		if n := len(ids); n > 0 && compareIDs(ids[n-1], id) >= 0 {
			return nil, violation("the list of owners is not in order at %s", id.Short())
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// sortedIDs returns a sorted copy without doubles.
func sortedIDs(ids []micronet.NodeID) []micronet.NodeID {
	out := slices.Clone(ids)
	slices.SortFunc(out, compareIDs)
	return slices.Compact(out)
}
