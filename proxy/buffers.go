package proxy

import (
	"io"
	"net"
	"sync"
)

const (
	// idleBuffer is what a direction holds while nothing happens on it: ten thousand idle
	// connections then cost 40 MB here, and some 14 KiB each with their goroutines.
	idleBuffer = 2 << 10
	// busyBuffer is what it borrows as soon as one read filled the idle one.
	busyBuffer = 64 << 10
)

// Copier lends large buffers to copies and pumps. The zero value is ready; it must not be copied.
type Copier struct {
	pool sync.Pool // of *[busyBuffer]byte
}

func (c *Copier) get() *[busyBuffer]byte {
	if v, ok := c.pool.Get().(*[busyBuffer]byte); ok {
		return v
	}
	return new([busyBuffer]byte)
}

// copy moves bytes from src to dst until src ends.
func (c *Copier) copy(dst io.Writer, src io.Reader) (int64, error) {
	one := c.one()
	defer one.shrink()
	return one.all(dst, src)
}

// pour is copy where the kernel's connection d is below dst: a stream that can write to it by itself does, once its first
// bytes have come the usual way, which is when it is known which stream it is.
func (c *Copier) pour(d *net.TCPConn, dst, src net.Conn) (int64, error) {
	one := c.one()
	defer one.shrink()
	first, err := one.move(dst, src)
	if err != nil {
		return first, ending(err)
	}
	from := pourer(src)
	if from == nil {
		n, err := one.all(dst, src)
		return first + n, err
	}
	one.small = nil
	n, err := from.WriteTo(d)
	count(dst, n, 0)
	count(src, 0, n)
	return first + n, err
}

// pourer returns the stream below c that writes to a socket by itself, nil when there is none.
func pourer(c net.Conn) io.WriterTo {
	for {
		if w, ok := c.(io.WriterTo); ok {
			return w
		}
		r, ok := c.(interface{ Raw() net.Conn })
		if !ok {
			return nil
		}
		c = r.Raw()
	}
}

func (c *Copier) one() oneCopy { return oneCopy{lender: c, small: make([]byte, idleBuffer)} }

// oneCopy is the buffer of one direction.
type oneCopy struct {
	lender *Copier
	small  []byte
	large  *[busyBuffer]byte // nil while the direction is idle
}

// all moves bytes until src ends.
func (o *oneCopy) all(dst io.Writer, src io.Reader) (total int64, err error) {
	for err == nil {
		var n int64
		n, err = o.move(dst, src)
		total += n
	}
	return total, ending(err)
}

// move moves what one read brings.
func (o *oneCopy) move(dst io.Writer, src io.Reader) (int64, error) {
	n, err := src.Read(o.buffer())
	if n == 0 {
		return 0, err
	}
	w, werr := dst.Write(o.buffer()[:n])
	if werr != nil {
		return int64(w), werr
	}
	o.fit(n)
	return int64(w), err
}

// ending is what a copy ends with: the end of its source is none.
func ending(err error) error {
	if err == io.EOF { //nolint:errorlint // the io.Reader contract: EOF itself, unwrapped
		return nil
	}
	return err
}

func (o *oneCopy) buffer() []byte {
	if o.large != nil {
		return o.large[:]
	}
	return o.small
}

// fit chooses the buffer of the next read from what the last one brought.
func (o *oneCopy) fit(n int) {
	switch {
	case o.large == nil && n == len(o.small):
		o.large = o.lender.get()
	case o.large != nil && n < len(o.small):
		o.shrink()
	}
}

func (o *oneCopy) shrink() {
	if o.large != nil {
		o.lender.pool.Put(o.large)
		o.large = nil
	}
}
