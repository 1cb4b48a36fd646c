package proxy

import (
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing/synctest"
	"time"

	micronet "github.com/micro/micro-net"
)

// half is one direction of a connection in memory.
type half struct {
	mu      sync.Mutex
	buf     []byte
	eof     bool
	broken  error
	changed chan struct{}
}

// halfMax is what a direction holds before its writer waits.
const halfMax = 96 << 10

func newHalf() *half { return &half{changed: make(chan struct{})} }

func (h *half) update(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
	close(h.changed)
	h.changed = make(chan struct{})
}

func (h *half) read(p []byte, rung, closed <-chan struct{}) (int, error) {
	for {
		h.mu.Lock()
		changed := h.changed
		if len(h.buf) > 0 && h.broken == nil {
			n := copy(p, h.buf)
			h.buf = h.buf[n:]
			close(h.changed)
			h.changed = make(chan struct{})
			h.mu.Unlock()
			return n, nil
		}
		eof, broken := h.eof, h.broken
		h.mu.Unlock()
		if broken != nil {
			return 0, broken
		}
		if eof {
			return 0, io.EOF
		}
		if err := waitFor(changed, rung, closed); err != nil {
			return 0, err
		}
	}
}

func (h *half) write(p []byte, rung, closed <-chan struct{}) (int, error) {
	total := 0
	for {
		h.mu.Lock()
		changed := h.changed
		broken, eof := h.broken, h.eof
		n := 0
		if broken == nil && !eof {
			n = min(len(p), halfMax-len(h.buf))
			h.buf = append(h.buf, p[:n]...)
			close(h.changed)
			h.changed = make(chan struct{})
			changed = h.changed
		}
		h.mu.Unlock()
		total += n
		p = p[n:]
		switch {
		case broken != nil:
			return total, broken
		case eof:
			return total, syscall.EPIPE
		case len(p) == 0:
			return total, nil
		}
		if err := waitFor(changed, rung, closed); err != nil {
			return total, err
		}
	}
}

func waitFor(changed, rung, closed <-chan struct{}) error {
	select {
	case <-changed:
		return nil
	case <-rung:
		return os.ErrDeadlineExceeded
	case <-closed:
		return net.ErrClosed
	}
}

// memConn is one end of a connection in memory.
type memConn struct {
	in, out       *half
	local, remote netip.AddrPort
	rd, wd        *alarm
	once          sync.Once
	closed        chan struct{}
}

func memPair(a, b netip.AddrPort) (*memConn, *memConn) {
	x, y := newHalf(), newHalf()
	mk := func(in, out *half, local, remote netip.AddrPort) *memConn {
		return &memConn{in: in, out: out, local: local, remote: remote, rd: newAlarm(), wd: newAlarm(), closed: make(chan struct{})}
	}
	return mk(x, y, a, b), mk(y, x, b, a)
}

func (c *memConn) Read(p []byte) (int, error)         { return c.in.read(p, c.rd.C(), c.closed) }
func (c *memConn) Write(p []byte) (int, error)        { return c.out.write(p, c.wd.C(), c.closed) }
func (c *memConn) LocalAddr() net.Addr                { return net.TCPAddrFromAddrPort(c.local) }
func (c *memConn) RemoteAddr() net.Addr               { return net.TCPAddrFromAddrPort(c.remote) }
func (c *memConn) SetReadDeadline(t time.Time) error  { c.rd.set(t); return nil }
func (c *memConn) SetWriteDeadline(t time.Time) error { c.wd.set(t); return nil }
func (c *memConn) SetDeadline(t time.Time) error      { c.rd.set(t); c.wd.set(t); return nil }

func (c *memConn) CloseWrite() error {
	c.out.update(func() { c.out.eof = true })
	return nil
}

func (c *memConn) Close() error {
	c.once.Do(func() {
		close(c.closed)
		c.out.update(func() { c.out.eof = true })
		c.in.update(func() { c.in.broken = syscall.EPIPE })
	})
	return nil
}

func (c *memConn) Abort() {
	c.once.Do(func() { close(c.closed) })
	c.out.update(func() { c.out.broken = syscall.ECONNRESET })
	c.in.update(func() { c.in.broken = syscall.ECONNRESET })
}

// memNet is a loopback of its own with Linux's rule for wildcard listeners.
type memNet struct {
	micronet.Network // the rest is not used
	mu               sync.Mutex
	listeners        map[netip.AddrPort]*memListener
	privileged       uint16 // ports below may not be bound
	next             uint16
	froms            []netip.Addr // of dials, in order
}

type memListener struct {
	net    *memNet
	at     netip.AddrPort
	queue  chan *memConn
	once   sync.Once
	closed chan struct{}
}

func newMemNet() *memNet {
	return &memNet{listeners: make(map[netip.AddrPort]*memListener), next: 40000}
}

func (n *memNet) Listen(_ context.Context, at netip.AddrPort) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if at.Port() == 0 {
		n.next++
		at = netip.AddrPortFrom(at.Addr(), n.next)
	}
	if at.Port() < n.privileged {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Err: os.NewSyscallError("bind", syscall.EACCES)}
	}
	for other := range n.listeners {
		if other.Port() == at.Port() && (other.Addr() == at.Addr() || other.Addr().IsUnspecified() || at.Addr().IsUnspecified()) {
			return nil, &net.OpError{Op: "listen", Net: "tcp", Err: os.NewSyscallError("bind", syscall.EADDRINUSE)}
		}
	}
	l := &memListener{net: n, at: at, queue: make(chan *memConn, 16), closed: make(chan struct{})}
	n.listeners[at] = l
	return l, nil
}

func (n *memNet) Dial(_ context.Context, from netip.Addr, to netip.AddrPort) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.froms = append(n.froms, from)
	l := n.listeners[to]
	if l == nil {
		l = n.listeners[netip.AddrPortFrom(netip.IPv4Unspecified(), to.Port())]
	}
	if l == nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
	if !from.IsValid() {
		from = netip.MustParseAddr("127.0.0.1")
	}
	n.next++
	a, b := memPair(netip.AddrPortFrom(from, n.next), to)
	l.queue <- b
	return a, nil
}

// count returns how many listeners there are, once everybody has done what the time asks for.
func (n *memNet) count() int {
	synctest.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.listeners)
}

func (n *memNet) PortHolder(_ string, at netip.AddrPort) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listeners[netip.AddrPortFrom(netip.IPv4Unspecified(), at.Port())] != nil {
		return "redis-server (pid 812)"
	}
	return ""
}

func (l *memListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memListener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.net.mu.Lock()
		delete(l.net.listeners, l.at)
		l.net.mu.Unlock()
	})
	return nil
}

func (l *memListener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.at) }

// memStream is a stream to another node: a memConn that must be answered.
type memStream struct {
	*memConn
	answered chan struct{}
	err      error // set before answered is closed
}

// memStreams returns the caller's and the node's end.
func memStreams() (*memStream, *memStream) {
	a, b := memPair(netip.AddrPort{}, netip.AddrPort{})
	ch := make(chan struct{})
	x := &memStream{memConn: a, answered: ch}
	return x, &memStream{memConn: b, answered: ch}
}

func (s *memStream) Answered(ctx context.Context) error {
	select {
	case <-s.answered:
		return s.err
	case <-s.closed:
		return micronet.E("mem.answer", micronet.Closed, "closed here")
	case <-ctx.Done():
		return micronet.E("mem.answer", micronet.Timeout, "%w", ctx.Err())
	}
}

func (s *memStream) Read(p []byte) (int, error) {
	select {
	case <-s.answered:
	case <-s.closed:
		return 0, net.ErrClosed
	case <-s.rd.C():
		return 0, os.ErrDeadlineExceeded
	}
	if s.err != nil {
		return 0, s.err
	}
	return s.memConn.Read(p)
}

// answer is called at the node's end with the caller's.
func (s *memStream) answer(caller *memStream, err error) {
	caller.err = err
	close(s.answered)
	if err != nil {
		s.memConn.Abort()
	}
}
