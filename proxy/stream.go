package proxy

import (
	"context"
	"net"

	micronet "github.com/micro/micro-net"
)

// Stream is a reliable byte stream with half-close. Close ends both directions politely; Abort
// resets both at once.
type Stream interface {
	net.Conn
	CloseWrite() error
	Abort()
}

// Opened is a stream to an instance that was asked for and perhaps not granted yet.
type Opened interface {
	Stream
	// Answered waits for the answer to the opening frame: nil when it was accepted. Read returns
	// no byte before the answer arrived. It may be called many times.
	Answered(ctx context.Context) error
}

// Conn is a connection to an instance of a destination.
type Conn interface {
	Opened
	// Route is the way that is taken. It can change until Answered has returned.
	Route() micronet.Route
}

// abort resets a connection: the other side's reads and writes fail.
func abort(c net.Conn) {
	switch c := c.(type) {
	case interface{ Abort() }:
		c.Abort()
		return
	case interface{ SetLinger(int) error }:
		// An error means that the connection is gone already; so does the one of Close below.
		_ = c.SetLinger(0)
	}
	_ = c.Close()
}

// closeWrite passes on that no more bytes come. A connection that cannot half-close is left
// open: closing it would cut off the answer.
func closeWrite(c net.Conn) error {
	if h, ok := c.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return nil
}

// local is a connection to an instance of this host in the shape of a stream to another one: it
// is accepted as soon as it is open.
type local struct{ net.Conn }

var _ Opened = local{}

func (l local) CloseWrite() error              { return closeWrite(l.Conn) }
func (l local) Abort()                         { abort(l.Conn) }
func (l local) Answered(context.Context) error { return nil }

// Raw gives the connection itself, so that the kernel can copy (splice).
func (l local) Raw() net.Conn { return l.Conn }
