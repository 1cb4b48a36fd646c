//go:build unix

package lane

import (
	"errors"
	"io"
	"net"
	"syscall"
)

// sink is a socket that takes what it can without anybody waiting.
type sink struct{ raw syscall.RawConn }

// newSink returns the socket that dst is, nil when it is something else.
func newSink(dst io.Writer) *sink {
	c, ok := dst.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	return &sink{raw}
}

// write writes as many bytes as the socket takes now. A fault is met again by whoever writes the rest.
func (s *sink) write(b []byte) (n int) {
	_ = s.raw.Write(func(fd uintptr) bool {
		for n < len(b) {
			m, err := syscall.Write(int(fd), b[n:])
			switch {
			case errors.Is(err, syscall.EINTR):
				continue
			case err != nil || m <= 0:
				return true
			}
			n += m
		}
		return true // never wait
	})
	return n
}
