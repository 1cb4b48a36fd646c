package lane

import "io"

// pour is a session whose bytes go to a socket. While its user waits for bytes, the reader of the carrier writes them itself, as
// many as the socket takes at once: that saves waking the user, and copying them. What the socket does not take waits for the user.
type pour struct {
	to    *sink // the socket, while the user waits; nil: none
	busy  bool  // a reader writes to it
	bytes int64 // that readers have written
}

// writeTo writes to dst what comes until its end, and returns how many bytes that were.
func (s *session) writeTo(dst io.Writer) (total int64, err error) {
	to := newSink(dst)
	for err == nil {
		var n int64
		n, err = s.pourOne(dst, to)
		total += n
	}
	if err == io.EOF { //nolint:errorlint // of awaitLocked, unwrapped
		err = nil
	}
	return total + s.poured(), err
}

// pourOne waits for bytes and writes them to dst. The error is io.EOF at their end.
func (s *session) pourOne(dst io.Writer, to *sink) (int64, error) {
	p, owes, err := s.takePiece(to)
	if err != nil {
		return 0, err
	}
	n, err := dst.Write(p.buf.b[p.from : p.from+p.n])
	p.release()
	s.tell(owes)
	return int64(n), err
}

func (s *session) takePiece(to *sink) (p piece, owes bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.awaitLocked(to, true); err != nil {
		return piece{}, false, err
	}
	p = s.in.pop()
	return p, s.owesLocked(), nil
}

// deliver writes a piece that has come to the user's socket.
func (s *session) deliver(to *sink, p piece) {
	n := to.write(p.buf.b[p.from : p.from+p.n])
	s.tell(s.delivered(p, n))
}

// delivered takes note that the socket took n bytes of a piece, and reports whether the peer is to be told.
func (s *session) delivered(p piece, n int) (owes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pour.busy = false
	s.pour.bytes += int64(n)
	s.in.passed(p, n)
	if len(s.in.chunks) > 0 || s.in.fin || s.readErr != nil {
		s.readable.Broadcast()
	}
	return s.owesLocked()
}

// poured is how many bytes readers have written since it was asked last.
func (s *session) poured() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.pour.bytes
	s.pour.bytes = 0
	return n
}
