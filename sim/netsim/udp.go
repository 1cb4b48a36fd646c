package netsim

import (
	"context"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

const (
	// inboxMax is how many datagrams wait in a socket. A full inbox drops the newest, counted
	// as WhyOverflow.
	inboxMax = 256

	// datagramMax is the largest payload of a UDP datagram over IPv4 (RFC 768).
	datagramMax = 65507
)

// udpConn is a UDP socket. It offers no SyscallConn, so that libraries take their plain path;
// see rawUDP.
type udpConn struct {
	st     *stack
	local  netip.AddrPort
	remote netip.AddrPort // of a connected socket

	// Guarded by World.mu.
	inbox   []datagram
	refused bool // a connected peer has no socket there: the next call says so
	closed  bool
	read    gate
}

type datagram struct {
	src  netip.AddrPort
	data []byte
}

// ListenPacket opens a UDP socket; see micronet.Network. The result takes *net.UDPAddr only.
func (s *stack) ListenPacket(ctx context.Context, addr netip.AddrPort) (net.PacketConn, error) {
	c, err := s.bindUDP(ctx, normal(addr))
	if err != nil {
		return nil, opError("listen", "udp", nil, net.UDPAddrFromAddrPort(addr), err)
	}
	if s.w.opts.MTUSearch {
		return rawUDP{c}, nil
	}
	return c, nil
}

// DialPacket opens a connected UDP socket; see micronet.Network.
func (s *stack) DialPacket(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	to = normal(to)
	c, err := s.connectUDP(ctx, to)
	if err != nil {
		return nil, opError("dial", "udp", nil, net.UDPAddrFromAddrPort(to), err)
	}
	return connectedUDP{c}, nil
}

func (s *stack) bindUDP(ctx context.Context, addr netip.AddrPort) (*udpConn, error) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return s.bindUDPLocked(addr, netip.AddrPort{})
}

func (s *stack) connectUDP(ctx context.Context, to netip.AddrPort) (*udpConn, error) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	src, err := s.sourceLocked(to.Addr())
	if err != nil {
		return nil, err
	}
	return s.bindUDPLocked(netip.AddrPortFrom(src, 0), to)
}

func (s *stack) bindUDPLocked(addr, remote netip.AddrPort) (*udpConn, error) {
	if err := s.checkBindLocked(addr); err != nil {
		return nil, err
	}
	if addr.Port() == 0 {
		var err error
		if addr, err = s.freePortLocked(addr.Addr(), s.udp.conflicts); err != nil {
			return nil, err
		}
	}
	if s.udp.conflicts(addr) {
		return nil, syscall.EADDRINUSE
	}
	c := &udpConn{st: s, local: addr, remote: remote, read: newGate(&s.w.mu)}
	s.udp.add(addr, c)
	return c, nil
}

// ReadFrom returns the next datagram; what does not fit into b is cut off.
func (c *udpConn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, src, err := c.next(b)
	if err != nil {
		return 0, nil, opError("read", "udp", c.LocalAddr(), nil, err)
	}
	return n, net.UDPAddrFromAddrPort(src), nil
}

func (c *udpConn) next(b []byte) (int, netip.AddrPort, error) {
	c.st.w.mu.Lock()
	defer c.st.w.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, netip.AddrPort{}, net.ErrClosed
		case c.read.lateLocked():
			return 0, netip.AddrPort{}, os.ErrDeadlineExceeded
		case c.refused:
			c.refused = false
			return 0, netip.AddrPort{}, syscall.ECONNREFUSED
		case len(c.inbox) > 0:
			d := c.inbox[0]
			c.inbox[0] = datagram{}
			c.inbox = c.inbox[1:]
			return copy(b, d.data), d.src, nil
		}
		c.read.waitLocked()
	}
}

// WriteTo sends a datagram. It never waits.
func (c *udpConn) WriteTo(b []byte, addr net.Addr) (int, error) {
	to, ok := addr.(*net.UDPAddr)
	if !ok || c.remote.IsValid() {
		return 0, opError("write", "udp", c.LocalAddr(), addr, syscall.EINVAL)
	}
	if err := c.send(b, normal(to.AddrPort())); err != nil {
		return 0, opError("write", "udp", c.LocalAddr(), addr, err)
	}
	return len(b), nil
}

func (c *udpConn) send(b []byte, dst netip.AddrPort) error {
	w := c.st.w
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case c.closed:
		return net.ErrClosed
	case len(b) > datagramMax:
		return syscall.EMSGSIZE
	case c.refused:
		c.refused = false
		return syscall.ECONNREFUSED
	}
	src, err := c.sourceLocked(dst.Addr())
	if err != nil {
		return err
	}
	p := c.packetLocked(src, dst, b)
	if !c.st.fitsLocked(dst.Addr(), p.wireSize()) {
		return syscall.EMSGSIZE
	}
	if c.st.host.hand == nil {
		w.launchLocked(p)
		return nil
	}
	for _, o := range c.st.host.hand.Take(dst, p.data) {
		c.leaveLaterLocked(c.packetLocked(src, dst, o.Data), o.After)
	}
	return nil
}

func (c *udpConn) sourceLocked(dst netip.Addr) (netip.AddrPort, error) {
	if c.local.Addr().Is4() && !dst.Is4() {
		return netip.AddrPort{}, syscall.EAFNOSUPPORT
	}
	if c.local.Addr().IsUnspecified() {
		src, err := c.st.sourceLocked(dst)
		return netip.AddrPortFrom(src, c.local.Port()), err
	}
	return c.local, c.st.checkSourceLocked(c.local.Addr(), dst)
}

// deliverLocked puts a datagram into the inbox of the socket it is for.
func (s *stack) deliverLocked(sender *udpConn, p *packet) Why {
	if s.down {
		return WhyDown
	}
	c, ok := s.udp.lookup(p.dst)
	if !ok || (c.remote.IsValid() && c.remote != p.src) {
		sender.unreachableLocked(s, p)
		return WhyNoSocket
	}
	if len(c.inbox) >= inboxMax {
		return WhyOverflow
	}
	c.inbox = append(c.inbox, datagram{p.src, p.data})
	c.read.wakeLocked()
	return ""
}

// unreachableLocked sends the ICMP message that makes a connected socket fail (RFC 1122 section
// 4.1.3.3); others never learn.
func (c *udpConn) unreachableLocked(at *stack, p *packet) {
	if !c.remote.IsValid() {
		return
	}
	c.st.w.launchLocked(&packet{
		proto: UDP, from: at, src: p.dst, dst: p.src,
		arrive: func(p *packet) Why {
			if p.to.stack != c.st {
				return WhyNoSocket
			}
			c.refused = true
			c.read.wakeLocked()
			return ""
		},
	})
}

// Close ends pending calls with net.ErrClosed.
func (c *udpConn) Close() error {
	c.st.w.mu.Lock()
	defer c.st.w.mu.Unlock()
	if c.closed {
		return opError("close", "udp", c.LocalAddr(), nil, net.ErrClosed)
	}
	c.st.udp.remove(c.local)
	c.shutLocked()
	return nil
}

func (c *udpConn) shutLocked() {
	c.closed = true
	c.inbox = nil
	c.read.stopLocked()
	c.read.wakeLocked()
}

func (c *udpConn) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(c.local) }

func (c *udpConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

func (c *udpConn) SetReadDeadline(t time.Time) error {
	c.st.w.mu.Lock()
	defer c.st.w.mu.Unlock()
	if c.closed {
		return opError("set", "udp", c.LocalAddr(), nil, net.ErrClosed)
	}
	c.read.setLocked(t)
	return nil
}

// SetWriteDeadline does nothing: writes never wait.
func (c *udpConn) SetWriteDeadline(time.Time) error { return nil }

// SetReadBuffer does nothing: the inbox holds inboxMax datagrams.
func (c *udpConn) SetReadBuffer(int) error { return nil }

// SetWriteBuffer does nothing: nothing waits to be sent.
func (c *udpConn) SetWriteBuffer(int) error { return nil }

// connectedUDP is a UDP socket with one peer.
type connectedUDP struct{ *udpConn }

func (c connectedUDP) Read(b []byte) (int, error) {
	n, _, err := c.ReadFrom(b)
	return n, err
}

func (c connectedUDP) Write(b []byte) (int, error) {
	if err := c.send(b, c.remote); err != nil {
		return 0, opError("write", "udp", c.LocalAddr(), c.RemoteAddr(), err)
	}
	return len(b), nil
}

func (c connectedUDP) RemoteAddr() net.Addr { return net.UDPAddrFromAddrPort(c.remote) }
