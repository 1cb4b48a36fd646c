package lane

import (
	"io"
	"os"
)

// pour is a session whose bytes go to a socket. While its user waits for bytes, the reader of the carrier writes them itself, as
// many as the socket takes at once: that saves waking the user, and copying them. What the socket does not take waits for the user.
type pour struct {
	to    *sink // the socket, while the user waits; nil: none
	busy  bool  // a reader writes to it
	bytes int64 // that readers have written
}

// writeTo writes to dst what comes until its end, and returns how many bytes that were.
func (s *session) writeTo(dst io.Writer) (int64, error) {
	to := newSink(dst)
	var total int64
	for {
		p, owes, err := s.takePiece(to)
		if p.buf != nil {
			n, werr := dst.Write(p.buf.b[p.from : p.from+p.n])
			p.release()
			total, err = total+int64(n), werr
		}
		if owes {
			s.t.spawn(s.push) // who sends may be kept busy by others
		}
		if err == nil && p.buf != nil {
			continue
		}
		return total + s.poured(), err
	}
}

// takePiece waits for bytes, and lets readers write to a socket meanwhile. The end is an empty piece.
func (s *session) takePiece(to *sink) (p piece, owes bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.readErr != nil:
			return piece{}, false, s.readErr
		case s.readBy.Passed():
			return piece{}, false, os.ErrDeadlineExceeded
		case s.pour.busy:
		case len(s.in.chunks) > 0:
			p = s.in.pop()
			return p, s.in.owes(s.out.fin) && !s.over, nil
		case s.in.fin:
			return piece{}, false, nil
		}
		s.pour.to = to
		s.readable.Wait()
		s.pour.to = nil
	}
}

// deliver writes a piece that has come to the user's socket.
func (s *session) deliver(to *sink, p piece) {
	n := to.write(p.buf.b[p.from : p.from+p.n])
	s.mu.Lock()
	s.pour.busy = false
	s.pour.bytes += int64(n)
	s.in.passed(p, n)
	if len(s.in.chunks) > 0 || s.in.fin || s.readErr != nil {
		s.readable.Broadcast()
	}
	owes := s.in.owes(s.out.fin) && !s.over
	s.mu.Unlock()
	if owes {
		s.t.spawn(s.push)
	}
}

// poured is how many bytes readers have written since it was asked last.
func (s *session) poured() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.pour.bytes
	s.pour.bytes = 0
	return n
}
