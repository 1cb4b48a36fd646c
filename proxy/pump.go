package proxy

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
)

// Carried is what Pump copied.
type Carried struct {
	AToB, BToA int64 // bytes
	Err        error // the first fault, nil when both sides ended politely
}

// Pump copies between a and b until both directions have ended, and closes both. The end of one
// direction is passed on as a half-close, so the other may go on for as long as it likes. A reset
// or failure of one side resets the other. Between two TCP connections the kernel copies (splice).
func (c *Copier) Pump(a, b net.Conn) Carried {
	p := pump{copier: c, a: a, b: b}
	hold(a)
	hold(b)
	var wg sync.WaitGroup
	var out Carried
	wg.Go(func() { out.AToB = p.direction(b, a) })
	out.BToA = p.direction(a, b)
	wg.Wait()
	// Both directions are at their end or reset: nothing is left that Close could lose.
	_ = a.Close()
	_ = b.Close()
	out.Err = p.cause()
	release(a, out.Err)
	release(b, out.Err)
	return out
}

// Pump is Copier.Pump with buffers of its own.
func Pump(a, b net.Conn) Carried { return new(Copier).Pump(a, b) }

type pump struct {
	copier *Copier
	a, b   net.Conn
	fault  atomic.Pointer[error] // the first one, set once
}

func (p *pump) cause() error {
	if err := p.fault.Load(); err != nil {
		return *err
	}
	return nil
}

// direction copies one way. A fault resets both connections at once, which ends the other
// direction too.
func (p *pump) direction(dst, src net.Conn) int64 {
	n, err := p.transfer(dst, src)
	if err == nil {
		err = closeWrite(dst)
	}
	if err == nil || isGone(err) {
		return n
	}
	if p.fault.CompareAndSwap(nil, &err) {
		abort(p.a)
		abort(p.b)
	}
	return n
}

// isGone reports whether a half-close failed only because the peer has closed both ways already:
// it has read all it wanted, and the other direction tells how it ended.
func isGone(err error) bool { return errors.Is(err, syscall.ENOTCONN) }

// transfer copies from src until it ends.
func (p *pump) transfer(dst, src net.Conn) (int64, error) {
	head, err := flushHead(dst, src)
	if err != nil {
		return head, err
	}
	d, dTCP := rawTCP(dst)
	s, sTCP := rawTCP(src)
	if !dTCP || !sTCP {
		n, err := p.copier.copy(dst, src)
		return head + n, err
	}
	n, err := io.Copy(d, s)
	count(dst, n, 0)
	count(src, 0, n)
	return head + n, err
}

// flushHead writes what was read ahead from src while its protocol was found out. There may be
// several layers; the outermost has read the oldest bytes.
func flushHead(dst, src net.Conn) (int64, error) {
	var total int64
	for c := src; c != nil; {
		if p, ok := c.(interface{ takeHead() []byte }); ok {
			n, err := dst.Write(p.takeHead())
			total += int64(n)
			if err != nil {
				return total, err
			}
		}
		r, ok := c.(interface{ Raw() net.Conn })
		if !ok {
			break
		}
		c = r.Raw()
	}
	return total, nil
}

// rawTCP returns the kernel's connection behind c, if nothing but accounting is between.
func rawTCP(c net.Conn) (*net.TCPConn, bool) {
	for {
		switch t := c.(type) {
		case *net.TCPConn:
			return t, true
		case interface{ Raw() net.Conn }:
			c = t.Raw()
		default:
			return nil, false
		}
	}
}

// accounted is a connection that counts its bytes and reports them once it is closed. While a
// pump holds it, the report waits: bytes may go by it, and both directions must be counted.
type accounted interface {
	hold()
	release(err error)
	count(sent, received int64)
}

func hold(c net.Conn) {
	if a, ok := c.(accounted); ok {
		a.hold()
	}
}

func release(c net.Conn, err error) {
	if a, ok := c.(accounted); ok {
		a.release(err)
	}
}

func count(c net.Conn, sent, received int64) {
	if a, ok := c.(accounted); ok {
		a.count(sent, received)
	}
}
