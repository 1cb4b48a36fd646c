package light

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// stream is what outbound and inbound streams have in common.
type stream struct {
	tunnel *Tunnel
	peer   *peer
	conn   conn
	number uint64 // among the peer's

	reading chan struct{} // the one slot of the reader
	writing chan struct{} // the one slot of the writer

	mu       sync.Mutex
	closed   bool  // Close or Abort was called; the stream counts no more
	finished bool  // no more writes
	over     bool  // the peer's end was read
	cause    error // why it was cut, nil when its owner did it
}

func makeStream(t *Tunnel, p *peer, c conn) stream {
	return stream{tunnel: t, peer: p, conn: c, reading: make(chan struct{}, 1), writing: make(chan struct{}, 1)}
}

func (s *stream) Read(p []byte) (int, error) {
	s.reading <- struct{}{}
	defer func() { <-s.reading }()
	if err := s.refusal("tunnel.read", &s.closed); err != nil {
		return 0, err
	}
	n, err := s.conn.Read(p)
	s.peer.received.Add(uint64(n))
	if err == nil {
		return n, nil
	}
	if errors.Is(err, io.EOF) {
		s.setOver()
	}
	if why := s.refusal("tunnel.read", &s.closed); why != nil {
		return n, why
	}
	return n, explain("tunnel.read", s.peer.id, err)
}

func (s *stream) Write(p []byte) (int, error) {
	s.writing <- struct{}{}
	defer func() { <-s.writing }()
	if err := s.refusal("tunnel.write", &s.finished); err != nil {
		return 0, err
	}
	n, err := s.conn.Write(p)
	s.peer.sent.Add(uint64(n))
	if err == nil {
		return n, nil
	}
	if why := s.refusal("tunnel.write", &s.finished); why != nil {
		return n, why
	}
	// Who has ended his direction properly and resets then does not read what comes.
	if s.isOver() && errors.Is(err, syscall.ECONNRESET) {
		return n, readsNoMore("tunnel.write", s.peer.id)
	}
	return n, explain("tunnel.write", s.peer.id, err)
}

// refusal says why a direction is not used any more, nil while its flag is not set.
func (s *stream) refusal(op string, flag *bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !*flag:
		return nil
	case s.cause != nil:
		return s.cause
	}
	return closedHere(op, s.peer.id)
}

func (s *stream) setOver() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
}

func (s *stream) isOver() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over
}

// CloseWrite ends this direction after what was written. A Write that waits for the peer to read
// returns with what it has handed over.
func (s *stream) CloseWrite() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closeWriteLocked()
}

func (s *stream) closeWriteLocked() error {
	if s.finished {
		return nil
	}
	s.finished = true
	if err := s.conn.CloseWrite(); err != nil {
		return readsNoMore("tunnel.close", s.peer.id) // there is nothing left to close
	}
	return nil
}

// Close ends both directions: what was written is still delivered, what the peer still writes is
// thrown away.
func (s *stream) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	// A peer that reads no more is no error of Close.
	_ = s.closeWriteLocked()
	s.closed = true
	// Wakes a reader. The only error is that of a connection that has ended.
	_ = s.conn.SetReadDeadline(time.Unix(1, 0))
	s.mu.Unlock()
	s.tunnel.release(s)
	s.tunnel.linger(s)
	return nil
}

// Abort resets both directions at once, also after Close.
func (s *stream) Abort() { s.cut(nil) }

// cut is Abort by somebody else than the owner, with the reason.
func (s *stream) cut(why error) {
	s.mu.Lock()
	first := !s.closed
	if first {
		s.cause = why
	}
	s.closed, s.finished = true, true
	s.mu.Unlock()
	abort(s.conn)
	if first {
		s.tunnel.release(s)
	}
	s.tunnel.discard(s)
}

// LocalAddr returns the identity address of this node.
func (s *stream) LocalAddr() net.Addr { return s.tunnel.local }

// RemoteAddr returns the identity address of the peer.
func (s *stream) RemoteAddr() net.Addr { return s.peer.addr }

func (s *stream) SetDeadline(d time.Time) error {
	return errors.Join(s.SetReadDeadline(d), s.SetWriteDeadline(d))
}

// SetReadDeadline implements net.Conn. Close has set the last one.
func (s *stream) SetReadDeadline(d time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	return s.conn.SetReadDeadline(d)
}

func (s *stream) SetWriteDeadline(d time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.finished {
		return nil
	}
	return s.conn.SetWriteDeadline(d)
}
