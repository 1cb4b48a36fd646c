package server

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	micronet "github.com/micro/micro-net"
)

// tcpIdle is how long a connection may take for one question, waiting included, and for taking
// an answer (RFC 7766 section 6.2.3).
const tcpIdle = 5 * time.Second

// acceptConns serves TCP connections. It returns the error that ended it.
func (s *Server) acceptConns(ctx context.Context, group *sync.WaitGroup) error {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			if !s.survived(ctx, "dns.tcp", err) {
				return err
			}
			continue
		}
		if !s.admit(conn) {
			s.report("dns.tcp", conn.Close())
			continue
		}
		group.Go(func() {
			defer func() { <-s.conns }()
			s.serveConn(ctx, conn)
		})
	}
}

// admit takes a slot for a connection that may ask.
func (s *Server) admit(conn net.Conn) bool {
	if !s.allowed(micronet.AddrPortOf(conn.RemoteAddr()).Addr()) {
		s.drop("source")
		return false
	}
	select {
	case s.conns <- struct{}{}:
		return true
	default:
		s.drop("connections")
		return false
	}
}

// serveConn answers questions in the order in which they come, until the other side is done,
// idle or wrong.
func (s *Server) serveConn(ctx context.Context, conn net.Conn) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // the reader below notices
	defer stop()
	defer func() { _ = conn.Close() }() // nothing is lost: answers were written, or failed
	var in, out []byte
	for ctx.Err() == nil {
		if conn.SetDeadline(time.Now().Add(tcpIdle)) != nil {
			return
		}
		var err error
		if in, err = readFrame(conn, in); err != nil {
			return
		}
		e := s.read(in, true)
		if e == nil {
			s.drop("malformed")
			return
		}
		if !s.answerOwn(ctx, e) {
			s.answerForeign(ctx, e)
		}
		if out, err = s.reply(conn, e, out); err != nil {
			return
		}
	}
}

func (s *Server) reply(conn net.Conn, e *exchange, buf []byte) ([]byte, error) {
	buf, err := e.pack(buf)
	s.resolved(e)
	if err == nil {
		err = conn.SetDeadline(time.Now().Add(tcpIdle))
	}
	if err == nil {
		err = writeFrame(conn, buf)
	}
	return buf, err
}

// frameStep is how much of a message is made room for at once.
const frameStep = 4096

var errEmptyFrame = errors.New("a message of no bytes")

// readFrame reads one message with its two bytes of length (RFC 1035 section 4.2.2), into buf if
// it has room.
func readFrame(r io.Reader, buf []byte) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return buf, err
	}
	n := int(binary.BigEndian.Uint16(length[:]))
	if n == 0 {
		return buf, errEmptyFrame
	}
	buf = buf[:0]
	for len(buf) < n {
		// Memory for what has come, not for what was announced.
		buf = slices.Grow(buf, min(n-len(buf), frameStep))
		m, err := io.ReadFull(r, buf[len(buf):min(cap(buf), n)])
		buf = buf[:len(buf)+m]
		if err != nil {
			return buf, err
		}
	}
	return buf, nil
}

// writeFrame writes a message of at most 65535 bytes in one piece.
func writeFrame(w io.Writer, message []byte) error {
	frame := make([]byte, 0, 2+len(message))
	frame = binary.BigEndian.AppendUint16(frame, uint16(len(message)))
	_, err := w.Write(append(frame, message...))
	return err
}
