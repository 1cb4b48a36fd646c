package api

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
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
	head := "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + streamProtocol + "\r\n"
	if node := nodeOf(up); node != "" {
		head += nodeHeader + ": " + node + "\r\n"
	}
	// The stream has no deadlines but its own.
	if _, err := io.WriteString(conn, head+"\r\n"); err != nil || conn.SetDeadline(time.Time{}) != nil {
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
	splice(early, conn, up)
	return nil
}

// splice copies both ways with half-close until both directions have ended; early is what the
// client sent first. An error ends both: after a broken direction the other one has no reader left.
func splice(early []byte, client, up net.Conn) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, err := io.Copy(up, bytes.NewReader(early))
		if err == nil {
			_, err = io.Copy(up, unwrap(client))
		}
		closeWrite(up, err)
	}()
	_, err := io.Copy(unwrap(client), up)
	closeWrite(client, err)
	<-done
}

func closeWrite(c net.Conn, failed error) {
	if hc, ok := unwrap(c).(interface{ CloseWrite() error }); ok && failed == nil && hc.CloseWrite() == nil {
		return
	}
	// Nothing more can be said in this direction: the close is the message.
	_ = c.Close()
}
