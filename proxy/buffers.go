package proxy

import (
	"io"
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
	one := oneCopy{lender: c, small: make([]byte, idleBuffer)}
	defer one.shrink()
	var total int64
	for {
		n, err := src.Read(one.buffer())
		if n > 0 {
			w, werr := dst.Write(one.buffer()[:n])
			total += int64(w)
			if werr != nil {
				return total, werr
			}
			one.fit(n)
		}
		if err == io.EOF { //nolint:errorlint // the io.Reader contract: EOF itself, unwrapped
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// oneCopy is the buffer of one direction.
type oneCopy struct {
	lender *Copier
	small  []byte
	large  *[busyBuffer]byte // nil while the direction is idle
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
