package quic

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	micronet "github.com/micro/micro-net"
	quicgo "github.com/quic-go/quic-go"
)

// stream is what outbound and inbound streams have in common.
type stream struct {
	link *link
	q    *quicgo.Stream

	writing chan struct{} // the one slot of the writer
	closed  atomic.Bool   // Close or Abort was called; the stream counts no more

	mu       sync.Mutex // for deadlines
	finished bool       // no more writes
}

func makeStream(l *link, q *quicgo.Stream) stream {
	return stream{link: l, q: q, writing: make(chan struct{}, 1)}
}

func (s *stream) Read(p []byte) (int, error) {
	n, err := s.q.Read(p)
	return n, s.explain("tunnel.read", err, s.closed.Load())
}

func (s *stream) Write(p []byte) (int, error) {
	s.writing <- struct{}{}
	n, err := s.q.Write(p)
	<-s.writing
	if err == nil {
		return n, nil
	}
	return n, s.explain("tunnel.write", err, s.isFinished())
}

// explain is the package's explain for a stream that may have been closed here: then the
// deadline by which a call was woken means just that.
func (s *stream) explain(op string, err error, closed bool) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, quicgo.ErrStreamClosed) || closed && errors.Is(err, os.ErrDeadlineExceeded) {
		return micronet.E(op, micronet.Closed, "the stream was closed here").WithPeer(s.link.peer)
	}
	return explain(op, s.link.peer, err)
}

// CloseWrite ends this direction after what was written. A Write that waits for the peer to read
// returns with what it has handed over.
func (s *stream) CloseWrite() error {
	if !s.finish() {
		return nil
	}
	s.writing <- struct{}{}
	defer func() { <-s.writing }()
	if err := s.q.Close(); err != nil {
		// The peer wants no more; there is nothing left to close.
		return micronet.E("tunnel.close", micronet.Closed, "the peer reads no more").WithPeer(s.link.peer)
	}
	return nil
}

// finish marks the end of writing and wakes a writer. It returns false when it was marked before.
func (s *stream) finish() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.finished {
		return false
	}
	s.finished = true
	// quic-go documents that setting deadlines cannot fail.
	_ = s.q.SetWriteDeadline(time.Now())
	return true
}

func (s *stream) isFinished() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.finished
}

// Close ends both directions: what was written is still delivered, what the peer still writes is
// turned away.
func (s *stream) Close() error {
	return s.closeWith(streamDone)
}

func (s *stream) closeWith(code quicgo.StreamErrorCode) error {
	if s.closed.Swap(true) {
		return nil
	}
	// A peer that reads no more is no error of Close.
	_ = s.CloseWrite()
	s.q.CancelRead(code)
	s.link.release()
	return nil
}

// Abort resets both directions at once, also after Close.
func (s *stream) Abort() {
	first := !s.closed.Swap(true)
	s.finish()
	s.q.CancelRead(streamAborted)
	s.q.CancelWrite(streamAborted)
	if first {
		s.link.release()
	}
}

// LocalAddr returns the identity address of this node.
func (s *stream) LocalAddr() net.Addr { return s.link.tunnel.local }

// RemoteAddr returns the identity address of the peer.
func (s *stream) RemoteAddr() net.Addr { return s.link.addr }

func (s *stream) SetDeadline(d time.Time) error {
	return errors.Join(s.SetReadDeadline(d), s.SetWriteDeadline(d))
}

func (s *stream) SetReadDeadline(d time.Time) error { return s.q.SetReadDeadline(d) }

func (s *stream) SetWriteDeadline(d time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.finished {
		return nil // finish has set the last one
	}
	return s.q.SetWriteDeadline(d)
}
