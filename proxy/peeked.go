package proxy

import (
	"bufio"
	"io"
	"net"
)

// peeked is a connection of which some bytes were read ahead, to find out what it speaks.
type peeked struct {
	net.Conn
	r *bufio.Reader // reads from Conn; nil once it is empty and no longer needed
}

func newPeeked(c net.Conn, r *bufio.Reader) *peeked { return &peeked{Conn: c, r: r} }

// Read hands out what was read ahead, then reads the connection itself.
func (p *peeked) Read(b []byte) (int, error) {
	if p.r == nil {
		return p.Conn.Read(b)
	}
	if p.r.Buffered() > 0 {
		return p.r.Read(b)
	}
	p.r = nil
	return p.Conn.Read(b)
}

// takeHead returns what was read ahead; later reads go to the connection.
func (p *peeked) takeHead() []byte {
	if p.r == nil {
		return nil
	}
	head, err := io.ReadAll(io.LimitReader(p.r, int64(p.r.Buffered())))
	if err != nil {
		return nil // cannot happen: all of it is in memory
	}
	p.r = nil
	return head
}

func (p *peeked) CloseWrite() error { return closeWrite(p.Conn) }
func (p *peeked) Abort()            { abort(p.Conn) }

// Raw is the connection without what was read ahead; takeHead comes first.
func (p *peeked) Raw() net.Conn { return p.Conn }
