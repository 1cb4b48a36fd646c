package api

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	micronet "github.com/micro/micro-net"
)

// streamProtocol is the name in the Upgrade header of a raw stream.
const streamProtocol = "micro-net-stream"

// nodeHeader names the node that a stream leads to.
const nodeHeader = "Micro-Net-Node"

// nodeOf is the name of the node at the other end of a connection, "" when it is not known. It is a
// DNS label, whatever another host says of itself.
func nodeOf(c net.Conn) string {
	r, ok := c.(interface{ Route() micronet.Route })
	if !ok {
		return ""
	}
	name := r.Route().NodeName
	if micronet.CheckLabel(name) != nil {
		return ""
	}
	return name
}

// dial connects to a service, answers 101 and then carries raw bytes both ways.
func (s *Server) dial(w http.ResponseWriter, r *http.Request) error {
	if r.Header.Get("Upgrade") != streamProtocol {
		return micronet.E("api.dial", micronet.Invalid, "the request does not ask for Upgrade: %s", streamProtocol)
	}
	id, err := s.newStreamID()
	if err != nil {
		return err
	}
	service := r.URL.Query().Get("service")
	up, err := s.backend.Dial(r.Context(), service, s.callerOf(accessOf(r.Context())))
	if err != nil {
		return err
	}
	defer up.Close()
	conn, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return micronet.E("api.dial", micronet.Internal, "hijack: %w", err)
	}
	defer conn.Close()
	// The stream has no deadlines but its own.
	if _, err := io.WriteString(conn, upgradeHead(id, nodeOf(up))); err != nil || conn.SetDeadline(time.Time{}) != nil {
		return nil // the client is gone
	}
	stop := context.AfterFunc(r.Context(), func() { _ = conn.Close(); _ = up.Close() })
	defer stop()
	// Only what the server has read already comes from its buffer: reading on through it would
	// cancel the request at the client's end of file, which is half the conversation only.
	early, err := buf.Peek(buf.Reader.Buffered())
	if err != nil {
		return micronet.E("api.dial", micronet.Internal, "read ahead: %w", err)
	}
	var first sync.Once
	splice(early, conn, up, func(err error) { first.Do(func() { s.ends.put(id, whyOf(up, err)) }) })
	return nil
}

func upgradeHead(id, node string) string {
	head := "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + streamProtocol + "\r\n" + streamHeader + ": " + id + "\r\n"
	if node != "" {
		head += nodeHeader + ": " + node + "\r\n"
	}
	return head + "\r\n"
}

// splice copies both ways with half-close until both directions have ended; early is what the
// client sent first. An error ends both: after a broken direction the other one has no reader left. cut
// is told of errors of the service's side, before the client sees the end.
func splice(early []byte, client, up net.Conn, cut func(error)) {
	done := make(chan struct{})
	faults := &faulty{Conn: up, cut: cut}
	go func() {
		defer close(done)
		_, err := io.Copy(faults, bytes.NewReader(early))
		if err == nil {
			_, err = io.Copy(faults, unwrap(client))
		}
		if !closeWrite(up, err) {
			faults.ended.Store(true)
			_ = up.Close()
		}
	}()
	_, err := io.Copy(unwrap(client), faults)
	if !closeWrite(client, err) {
		_ = client.Close()
	}
	<-done
}

// closeWrite ends one direction. It is false where nothing more can be said in it: then closing both is
// the message.
func closeWrite(c net.Conn, failed error) bool {
	hc, ok := unwrap(c).(interface{ CloseWrite() error })
	return ok && failed == nil && hc.CloseWrite() == nil
}

// faulty tells of a connection's faults, until it was ended on purpose.
type faulty struct {
	net.Conn
	cut   func(error)
	ended atomic.Bool
}

func (f *faulty) Read(b []byte) (int, error) {
	n, err := f.Conn.Read(b)
	return n, f.note(err)
}

func (f *faulty) Write(b []byte) (int, error) {
	n, err := f.Conn.Write(b)
	return n, f.note(err)
}

func (f *faulty) note(err error) error {
	if err != nil && err != io.EOF && !f.ended.Load() { //nolint:errorlint // the io.Reader contract
		f.cut(err)
	}
	return err
}
