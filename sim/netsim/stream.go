package netsim

import (
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"time"

	micronet "github.com/micro/micro-net"
)

// stream is one end of a TCP connection or of a unix stream socket, as its owner sees it. How
// bytes travel is in flow.go.
//
// After Close, what was written is still delivered, as the kernel does it; with unread input, or
// after SetLinger(0), the peer is reset instead.
type stream struct {
	// Constant once the stream is handed out.
	st       *stack
	id       uint64
	proto    Proto
	src, dst netip.AddrPort // what the packets carry; zero for unix
	local    net.Addr
	remote   net.Addr
	cred     micronet.Credentials // of the peer, for unix
	maker    micronet.Credentials // who dialled, for TCP; zero for the other end

	// Guarded by World.mu.
	peer    *stream
	waiting *listener // accepts this stream once the first segment arrived
	in      inflow
	out     outflow
	err     error // why nothing comes and goes any more: reset, timed out
	closed  bool  // the owner has closed it
	aborted bool  // whatever arrives is answered by a reset
	linger0 bool
}

func (s *stack) newStream(proto Proto, local, remote net.Addr) *stream {
	c := &stream{st: s, proto: proto, local: local, remote: remote}
	c.in.gate, c.out.gate = newGate(&s.w.mu), newGate(&s.w.mu)
	return c
}

// newTCPStream makes the end that dials dst; meant is the address that its owner asked for.
func (s *stack) newTCPStream(src, dst, meant netip.AddrPort) *stream {
	c := s.newStream(TCP, net.TCPAddrFromAddrPort(src), net.TCPAddrFromAddrPort(meant))
	c.src, c.dst = src, dst
	return c
}

func (s *stack) newUnixStream(path string) *stream {
	c := s.newStream(Unix, unixAddr(""), unixAddr(path))
	c.cred = s.host.Credentials()
	return c
}

// acceptedLocked makes the other end of c, for a listener, with the addresses that the handshake
// arrived with. The credentials change sides: each end keeps those of the other.
func (c *stream) acceptedLocked(l *listener, p *packet) *stream {
	if c.proto == Unix {
		o := l.st.newStream(Unix, c.remote, c.local)
		o.waiting = l
		o.cred, c.cred = c.cred, l.st.host.Credentials()
		return o
	}
	o := l.st.newTCPStream(p.dst, p.src, p.src)
	o.waiting = l
	if p.dst == c.dst {
		o.local = c.remote // where a redirected connection was going
	}
	return o
}

// joinLocked makes two ends one connection, which a crash of either host cuts.
func (c *stream) joinLocked(o *stream) {
	c.peer, o.peer = o, c
	for _, e := range []*stream{c, o} {
		e.st.streamSeq++
		e.id = e.st.streamSeq
		e.st.streams[e.id] = e
	}
}

// Read returns what has arrived, io.EOF after the peer's last byte, ECONNRESET after a reset.
func (c *stream) Read(b []byte) (int, error) {
	n, err := c.read(b)
	if err != nil && err != io.EOF {
		err = opError("read", c.proto.String(), c.local, c.remote, err)
	}
	return n, err
}

func (c *stream) read(b []byte) (int, error) {
	c.st.w.mu.Lock()
	defer c.st.w.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, net.ErrClosed
		case c.in.gate.lateLocked():
			return 0, os.ErrDeadlineExceeded
		case len(b) == 0:
			return 0, nil
		case c.in.size > 0:
			return c.takeLocked(b), nil
		case c.err != nil:
			return 0, c.err
		case c.in.ended:
			return 0, io.EOF
		}
		c.in.gate.waitLocked()
	}
}

// Write waits while the window is full: the peer does not read, or nothing gets through.
func (c *stream) Write(b []byte) (int, error) {
	n, err := c.write(b)
	if err != nil {
		err = opError("write", c.proto.String(), c.local, c.remote, err)
	}
	return n, err
}

func (c *stream) write(b []byte) (int, error) {
	c.st.w.mu.Lock()
	defer c.st.w.mu.Unlock()
	for sent := 0; ; {
		switch {
		case sent > 0 && sent == len(b):
			return sent, nil
		case c.closed:
			return sent, net.ErrClosed
		case c.out.gate.lateLocked():
			return sent, os.ErrDeadlineExceeded
		case c.err != nil:
			return sent, c.err
		case c.out.ended:
			return sent, syscall.EPIPE
		case len(b) == 0:
			return 0, nil
		case c.out.unread < windowMax:
			n := min(len(b)-sent, windowMax-c.out.unread, segmentMax)
			c.out.unread += n
			c.sendLocked(segment{data: slices.Clone(b[sent : sent+n])})
			sent += n
		default:
			c.out.gate.waitLocked()
		}
	}
}

// CloseWrite ends this direction: the peer reads what was written and then io.EOF.
func (c *stream) CloseWrite() error {
	c.st.w.mu.Lock()
	defer c.st.w.mu.Unlock()
	if err := c.usableLocked(); err != nil {
		return opError("close", c.proto.String(), c.local, c.remote, err)
	}
	c.endLocked()
	return nil
}

func (c *stream) usableLocked() error {
	if c.closed {
		return net.ErrClosed
	}
	return c.err
}

// Close ends both directions.
func (c *stream) Close() error {
	c.st.w.mu.Lock()
	defer c.st.w.mu.Unlock()
	if c.closed {
		return opError("close", c.proto.String(), c.local, c.remote, net.ErrClosed)
	}
	if c.linger0 || c.in.size > 0 {
		c.abortLocked()
		return nil
	}
	c.endLocked()
	c.closeLocked()
	return nil
}

// Abort resets both directions at once.
func (c *stream) Abort() {
	c.st.w.mu.Lock()
	defer c.st.w.mu.Unlock()
	if !c.closed {
		c.abortLocked()
	}
}

// SetLinger with 0 makes Close reset the connection; other values change nothing.
func (c *stream) SetLinger(sec int) error {
	c.st.w.mu.Lock()
	defer c.st.w.mu.Unlock()
	c.linger0 = sec == 0
	return nil
}

// SetNoDelay does nothing: nothing is delayed.
func (c *stream) SetNoDelay(bool) error { return nil }

func (c *stream) LocalAddr() net.Addr { return c.local }

func (c *stream) RemoteAddr() net.Addr { return c.remote }

func (c *stream) SetDeadline(t time.Time) error {
	return c.setDeadlines(t, &c.in.gate, &c.out.gate)
}

func (c *stream) SetReadDeadline(t time.Time) error { return c.setDeadlines(t, &c.in.gate) }

func (c *stream) SetWriteDeadline(t time.Time) error { return c.setDeadlines(t, &c.out.gate) }

func (c *stream) setDeadlines(t time.Time, gates ...*gate) error {
	c.st.w.mu.Lock()
	defer c.st.w.mu.Unlock()
	if c.closed {
		return opError("set", c.proto.String(), c.local, c.remote, net.ErrClosed)
	}
	for _, g := range gates {
		g.setLocked(t)
	}
	return nil
}
