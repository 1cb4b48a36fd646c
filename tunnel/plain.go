package tunnel

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// plainSocket is any PacketConn: a simulated one, or a kernel's where we know no better.
type plainSocket struct{ conn net.PacketConn }

func (s plainSocket) write(b, _, _ []byte, _ netip.AddrPort, udp *net.UDPAddr) error {
	_, err := s.conn.WriteTo(b, udp)
	return err
}

func (plainSocket) source(netip.Addr) []byte { return nil }

func (plainSocket) segment([]byte) int { return 0 }

func (plainSocket) buffers() (receive, send int) { return 0, 0 }

// plainConn is what quic-go gets over a plainSocket.
type plainConn struct {
	u    *Underlay
	conn net.PacketConn
}

var _ net.PacketConn = plainConn{}

// searchingConn is a plainConn over a connection that has a SyscallConn: quic-go searches for the size of
// paths over such ones alone.
type searchingConn struct {
	plainConn
	raw rawer
}

// rawer is what quic-go looks for.
type rawer interface {
	SyscallConn() (syscall.RawConn, error)
}

// SyscallConn returns that of the connection below.
func (c searchingConn) SyscallConn() (syscall.RawConn, error) { return c.raw.SyscallConn() }

// openPlain takes a connection as it is.
func openPlain(u *Underlay, conn net.PacketConn) (socket, net.PacketConn, error) {
	p := plainConn{u, conn}
	if raw, ok := conn.(rawer); ok {
		return plainSocket{conn}, searchingConn{p, raw}, nil
	}
	return plainSocket{conn}, p, nil
}

// ReadFrom returns the next QUIC packet, and handles all others that come before it.
func (c plainConn) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		if n, identity := c.u.nextInlet(b); identity != nil {
			return n, identity, nil
		}
		n, addr, err := c.conn.ReadFrom(b)
		if err != nil && c.u.inlet.wokeUp(err) {
			continue
		}
		if err != nil {
			return n, addr, err
		}
		from, err := addrPortOf(addr)
		if err != nil || isTrunkAddr(from.Addr()) {
			continue
		}
		now := time.Now()
		if !isQUIC(b[:n]) {
			c.u.own(now, b[:n], from, netip.Addr{})
			if r, ok := c.u.pieces.take(); ok {
				return copy(b, r.data), r.identity, nil
			}
			continue
		}
		identity, ok := c.u.inQUIC(now, n, from, netip.Addr{})
		switch {
		case identity != nil:
			return n, identity, nil
		case ok:
			return n, addr, nil
		}
	}
}

// WriteTo sends a QUIC packet to an identity address or to a guest.
func (c plainConn) WriteTo(b []byte, addr net.Addr) (int, error) {
	to, err := addrPortOf(addr)
	if err != nil {
		return 0, err
	}
	if err := c.u.outQUIC(b, nil, to); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (c plainConn) Close() error                       { return c.conn.Close() }
func (c plainConn) LocalAddr() net.Addr                { return c.conn.LocalAddr() }
func (c plainConn) SetReadDeadline(t time.Time) error  { return c.u.inlet.setDeadline(t) }
func (c plainConn) SetWriteDeadline(t time.Time) error { return c.conn.SetWriteDeadline(t) }

// SetDeadline sets both.
func (c plainConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadBuffer asks for a larger receive buffer where there is one. quic-go complains about
// connections without this method.
func (c plainConn) SetReadBuffer(n int) error {
	if s, ok := c.conn.(interface{ SetReadBuffer(int) error }); ok {
		return s.SetReadBuffer(n)
	}
	return nil
}

// SetWriteBuffer is the same for the send buffer.
func (c plainConn) SetWriteBuffer(n int) error {
	if s, ok := c.conn.(interface{ SetWriteBuffer(int) error }); ok {
		return s.SetWriteBuffer(n)
	}
	return nil
}
