package light

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
)

// stream is one connection with a peer.
type stream struct {
	tunnel *Tunnel
	conn   net.Conn
	peer   micronet.NodeID
	since  time.Time

	drained atomic.Bool // the peer's end was read
	ended   atomic.Bool // nothing is written any more

	mu     sync.Mutex
	closed error // why it ended here, nil while it is open
}

// abort resets a connection.
func abort(conn net.Conn) {
	if a, ok := conn.(interface{ Abort() }); ok {
		a.Abort()
		return
	}
	if l, ok := conn.(interface{ SetLinger(sec int) error }); ok {
		_ = l.SetLinger(0) // fails when it is closed already
	}
	_ = conn.Close() // nothing is left to do about it
}

func (s *stream) Read(p []byte) (int, error) {
	n, err := s.conn.Read(p)
	if errors.Is(err, io.EOF) {
		s.drained.Store(true)
	}
	return n, s.explain("tunnel.read", err)
}

func (s *stream) Write(p []byte) (int, error) {
	n, err := s.conn.Write(p)
	return n, s.explain("tunnel.write", err)
}

// explain prefers the reason why the stream ended here.
func (s *stream) explain(op string, err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	if why := s.why(); why != nil {
		return why
	}
	if s.ended.Load() && op == "tunnel.write" {
		return s.closedHere()
	}
	return explain(op, s.peer, err)
}

func (s *stream) why() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// explain turns an error of the network into one of ours. io.EOF and os.ErrDeadlineExceeded stay, as
// readers and net.Error ask for exactly them.
func explain(op string, peer micronet.NodeID, err error) error {
	if e, ok := errors.AsType[*micronet.Error](err); ok {
		return e
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return os.ErrDeadlineExceeded
	case errors.Is(err, context.DeadlineExceeded):
		return micronet.E(op, micronet.Timeout, "%w", err).WithPeer(peer)
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return tunnel.ResetError(op, peer, "")
	case errors.Is(err, context.Canceled), errors.Is(err, net.ErrClosed):
		return micronet.E(op, micronet.Closed, "%w", err).WithPeer(peer)
	}
	return micronet.E(op, micronet.Unreachable, "%w", err).WithPeer(peer)
}

func (s *stream) closedHere() error {
	return micronet.E("tunnel.stream", micronet.Closed, "the stream was closed here").WithPeer(s.peer)
}

// CloseWrite ends this direction after what was written.
func (s *stream) CloseWrite() error {
	if s.ended.Swap(true) {
		return nil
	}
	return s.explain("tunnel.close", closeWrite(s.conn))
}

func closeWrite(conn net.Conn) error {
	if c, ok := conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return errors.ErrUnsupported
}

// close notes that the stream ends here; false when it had ended before.
func (s *stream) close(why error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed != nil {
		return false
	}
	s.closed = why
	return true
}

// Close ends both directions: what was written is still delivered. What the peer still writes is thrown
// away for a while, as a connection with unread input would be reset.
func (s *stream) Close() error {
	if !s.close(s.closedHere()) {
		return nil
	}
	s.tunnel.forget(s)
	if !s.ended.Swap(true) && closeWrite(s.conn) != nil || s.drained.Load() || !s.linger() {
		abortUnread(s.conn, s.drained.Load())
	}
	return nil
}

// abortUnread closes a connection politely when nothing is left to read.
func abortUnread(conn net.Conn, drained bool) {
	if drained {
		_ = conn.Close() // what was written is on its way
		return
	}
	abort(conn)
}

// linger reads to the peer's end; false when the tunnel has ended.
func (s *stream) linger() bool {
	t := s.tunnel
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.running {
		return false
	}
	t.group.Go(func() {
		stop := context.AfterFunc(t.life, func() { abort(s.conn) })
		defer stop()
		_ = s.conn.SetDeadline(time.Now().Add(linger)) // cannot fail: it is open
		_, err := io.Copy(io.Discard, s.conn)
		abortUnread(s.conn, err == nil)
	})
	return true
}

// Abort resets both directions at once, also after Close.
func (s *stream) Abort() { s.cut(s.closedHere()) }

func (s *stream) cut(why error) {
	s.close(why)
	s.ended.Store(true)
	s.tunnel.forget(s)
	abort(s.conn)
}

// LocalAddr returns the identity address of this node.
func (s *stream) LocalAddr() net.Addr { return s.tunnel.self.UDPAddr() }

// RemoteAddr returns the identity address of the peer.
func (s *stream) RemoteAddr() net.Addr { return s.peer.UDPAddr() }

func (s *stream) SetDeadline(d time.Time) error      { return s.conn.SetDeadline(d) }
func (s *stream) SetReadDeadline(d time.Time) error  { return s.conn.SetReadDeadline(d) }
func (s *stream) SetWriteDeadline(d time.Time) error { return s.conn.SetWriteDeadline(d) }
