package netsim

import (
	"context"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// backlogMax is how many connections wait to be accepted, Linux's default somaxconn a
// generation ago. A full backlog ignores the handshake, which is tried again.
const backlogMax = 128

// listener accepts streams, TCP or unix.
type listener struct {
	st    *stack
	proto Proto
	addr  net.Addr
	free  func() // gives the local address back, under World.mu

	// Guarded by World.mu.
	backlog []*stream
	closed  bool
	ready   gate
}

// Listen opens a TCP listener; see micronet.Network.
func (s *stack) Listen(ctx context.Context, addr netip.AddrPort) (net.Listener, error) {
	l, err := s.bindTCP(ctx, normal(addr))
	if err != nil {
		return nil, opError("listen", "tcp", nil, net.TCPAddrFromAddrPort(addr), err)
	}
	return l, nil
}

func (s *stack) bindTCP(ctx context.Context, addr netip.AddrPort) (*listener, error) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := s.checkBindLocked(addr); err != nil {
		return nil, err
	}
	if addr.Port() == 0 {
		var err error
		if addr, err = s.freePortLocked(addr.Addr(), s.tcp.conflicts); err != nil {
			return nil, err
		}
	}
	if s.tcp.conflicts(addr) {
		return nil, syscall.EADDRINUSE
	}
	l := s.newListener(TCP, net.TCPAddrFromAddrPort(addr), func() { s.tcp.remove(addr) })
	s.tcp.add(addr, l)
	return l, nil
}

func (s *stack) newListener(proto Proto, addr net.Addr, free func()) *listener {
	return &listener{st: s, proto: proto, addr: addr, free: free, ready: newGate(&s.w.mu)}
}

// Accept waits for the next connection.
func (l *listener) Accept() (net.Conn, error) {
	c, err := l.next()
	if err != nil {
		return nil, opError("accept", l.proto.String(), nil, l.addr, err)
	}
	return c, nil
}

func (l *listener) next() (*stream, error) {
	l.st.w.mu.Lock()
	defer l.st.w.mu.Unlock()
	for {
		switch {
		case l.closed:
			return nil, net.ErrClosed
		case l.ready.lateLocked():
			return nil, os.ErrDeadlineExceeded
		case len(l.backlog) > 0:
			c := l.backlog[0]
			l.backlog = l.backlog[1:]
			return c, nil
		}
		l.ready.waitLocked()
	}
}

// enqueueLocked makes an established connection wait to be accepted. It returns false when it
// cannot, and the connection has to be reset.
func (l *listener) enqueueLocked(c *stream) bool {
	if l.closed || len(l.backlog) >= backlogMax {
		return false
	}
	l.backlog = append(l.backlog, c)
	l.ready.wakeLocked()
	return true
}

// Close gives the address back, ends pending calls with net.ErrClosed and resets the
// connections that nobody accepted.
func (l *listener) Close() error {
	l.st.w.mu.Lock()
	defer l.st.w.mu.Unlock()
	if l.closed {
		return opError("close", l.proto.String(), nil, l.addr, net.ErrClosed)
	}
	l.free()
	waiting := l.backlog
	l.shutLocked()
	for _, c := range waiting {
		c.abortLocked()
	}
	return nil
}

func (l *listener) shutLocked() {
	l.closed = true
	l.backlog = nil
	l.ready.stopLocked()
	l.ready.wakeLocked()
}

// Addr returns the local address.
func (l *listener) Addr() net.Addr { return l.addr }

// SetDeadline bounds Accept.
func (l *listener) SetDeadline(t time.Time) error {
	l.st.w.mu.Lock()
	defer l.st.w.mu.Unlock()
	if l.closed {
		return opError("set", l.proto.String(), nil, l.addr, net.ErrClosed)
	}
	l.ready.setLocked(t)
	return nil
}
