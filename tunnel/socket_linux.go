package tunnel

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// udpSocket is what a kernel's socket offers; *net.UDPConn has it all.
type udpSocket interface {
	net.PacketConn
	SyscallConn() (syscall.RawConn, error)
	SetReadBuffer(int) error
	SetWriteBuffer(int) error
	ReadMsgUDPAddrPort(b, oob []byte) (n, oobn, flags int, addr netip.AddrPort, err error)
	WriteMsgUDPAddrPort(b, oob []byte, addr netip.AddrPort) (n, oobn int, err error)
}

// openSocket uses all that a kernel socket can do, and takes any other connection as it is.
func openSocket(u *Underlay, conn net.PacketConn) (socket, net.PacketConn, error) {
	c, ok := conn.(udpSocket)
	if !ok {
		return openPlain(u, conn)
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, nil, fmt.Errorf("the socket's descriptor: %w", err)
	}
	s := &kernelSocket{conn: c, raw: raw, anywhere: u.local.Addr().IsUnspecified()}
	s.pool.New = func() any { b := make([]byte, 0, maxControl); return &b }
	s.enlarge(unix.SO_RCVBUF, unix.SO_RCVBUFFORCE, c.SetReadBuffer)
	s.enlarge(unix.SO_SNDBUF, unix.SO_SNDBUFFORCE, c.SetWriteBuffer)
	return s, &kernelConn{u: u, conn: c, batch: newBatchReader(raw)}, nil
}

// kernelSocket sends over a UDP socket of the kernel.
type kernelSocket struct {
	conn     udpSocket
	raw      syscall.RawConn
	anywhere bool      // bound to all addresses: say which one is meant
	pool     sync.Pool // of *[]byte for control messages
}

func (s *kernelSocket) write(b, oob, source []byte, addr netip.AddrPort, _ *net.UDPAddr) error {
	if len(oob) == 0 && source == nil {
		_, _, err := s.conn.WriteMsgUDPAddrPort(b, nil, addr)
		return err
	}
	control := s.pool.Get().(*[]byte)
	*control = rewriteControl((*control)[:0], oob, source, addr.Addr().Is4())
	_, _, err := s.conn.WriteMsgUDPAddrPort(b, *control, addr)
	s.pool.Put(control)
	return err
}

func (s *kernelSocket) source(local netip.Addr) []byte {
	if !s.anywhere {
		return nil
	}
	return sourceControl(local)
}

// enlarge brings a buffer up to WantedBuffer, past the system's limit where we may (as root).
func (s *kernelSocket) enlarge(option, force int, set func(int) error) {
	if s.option(option) >= WantedBuffer {
		return
	}
	// What was reached is asked for later, by Buffers: an error here tells less.
	_ = set(WantedBuffer)
	if s.option(option) < WantedBuffer {
		_ = s.raw.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, force, WantedBuffer)
		})
	}
}

func (s *kernelSocket) option(option int) int {
	n := 0
	err := s.raw.Control(func(fd uintptr) {
		if v, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, option); err == nil {
			n = v
		}
	})
	if err != nil {
		return 0
	}
	return n
}

func (s *kernelSocket) segment(oob []byte) int { return segmentSize(oob) }

func (s *kernelSocket) buffers() (receive, send int) {
	return s.option(unix.SO_RCVBUF), s.option(unix.SO_SNDBUF)
}

// kernelConn is what quic-go gets over a kernel socket: its OOBCapablePacketConn with batched
// reads. One goroutine reads.
type kernelConn struct {
	u     *Underlay
	conn  udpSocket
	batch *batchReader
}

var _ net.PacketConn = (*kernelConn)(nil)

// ReadBatch reads at least one QUIC packet, or fails. Other packets are handled here, and the
// rest moves up: bytes are copied, because the caller ties each buffer to its place.
func (c *kernelConn) ReadBatch(ms []ipv4.Message, _ int) (int, error) {
	for {
		if n, identity := c.u.nextInlet(ms[0].Buffers[0]); identity != nil {
			ms[0].N, ms[0].NN, ms[0].Flags, ms[0].Addr = n, 0, 0, identity
			return 1, nil
		}
		n, err := c.batch.read(ms)
		if err != nil && c.u.inlet.wokeUp(err) {
			continue
		}
		if err != nil {
			return 0, &net.OpError{Op: "read", Net: "udp", Source: c.conn.LocalAddr(), Err: err}
		}
		now, kept := time.Now(), 0
		for i := range n {
			if !c.admit(now, &ms[i], c.batch.from(i)) {
				continue
			}
			if kept != i {
				moveMessage(&ms[kept], &ms[i])
			}
			kept++
		}
		if kept > 0 {
			return kept, nil
		}
	}
}

// admit handles a message that is not for quic-go, and readies one that is.
func (c *kernelConn) admit(now time.Time, m *ipv4.Message, from netip.AddrPort) bool {
	var local netip.Addr
	m.NN, local = cutPacketInfo(m.OOB[:m.NN])
	data := m.Buffers[0][:m.N]
	if isTrunkAddr(from.Addr()) {
		return false // nobody on the network has such an address
	}
	if !isQUIC(data) {
		c.u.own(now, data, from, local)
		r, ok := c.u.pieces.take()
		if ok {
			m.N, m.NN, m.Addr = copy(m.Buffers[0], r.data), 0, r.identity
		}
		return ok
	}
	identity, ok := c.u.inQUIC(now, m.N, from, local)
	switch {
	case identity != nil:
		m.Addr = identity
	case ok:
		m.Addr = net.UDPAddrFromAddrPort(from)
	}
	return ok
}

func moveMessage(to, from *ipv4.Message) {
	to.N = copy(to.Buffers[0], from.Buffers[0][:from.N])
	to.NN = copy(to.OOB, from.OOB[:from.NN])
	to.Addr, to.Flags = from.Addr, from.Flags
}

// ReadMsgUDP is ReadBatch for one packet, without batching.
func (c *kernelConn) ReadMsgUDP(b, oob []byte) (n, oobn, flags int, addr *net.UDPAddr, err error) {
	m := ipv4.Message{Buffers: [][]byte{b}, OOB: oob}
	for {
		var from netip.AddrPort
		if n, identity := c.u.nextInlet(b); identity != nil {
			return n, 0, 0, identity, nil
		}
		m.N, m.NN, m.Flags, from, err = c.conn.ReadMsgUDPAddrPort(b, oob)
		if err != nil && c.u.inlet.wokeUp(err) {
			continue
		}
		if err != nil {
			return 0, 0, 0, nil, err
		}
		if c.admit(time.Now(), &m, clean(from)) {
			return m.N, m.NN, m.Flags, m.Addr.(*net.UDPAddr), nil
		}
	}
}

// ReadFrom is ReadMsgUDP without control messages.
func (c *kernelConn) ReadFrom(b []byte) (int, net.Addr, error) {
	var oob [maxControl]byte
	n, _, _, addr, err := c.ReadMsgUDP(b, oob[:])
	if err != nil {
		return 0, nil, err
	}
	return n, addr, nil
}

// WriteMsgUDP sends QUIC, perhaps a batch, to an identity address or to a guest.
func (c *kernelConn) WriteMsgUDP(b, oob []byte, addr *net.UDPAddr) (n, oobn int, err error) {
	if err := c.u.outQUIC(b, oob, addr.AddrPort()); err != nil {
		return 0, 0, err
	}
	return len(b), len(oob), nil
}

// WriteTo is WriteMsgUDP without control messages.
func (c *kernelConn) WriteTo(b []byte, addr net.Addr) (int, error) {
	to, err := addrPortOf(addr)
	if err != nil {
		return 0, err
	}
	if err := c.u.outQUIC(b, nil, to); err != nil {
		return 0, err
	}
	return len(b), nil
}

// SetDeadline sets both.
func (c *kernelConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// LocalAddr is the real one: quic-go asks for packet info when it is unspecified.
func (c *kernelConn) LocalAddr() net.Addr                   { return c.conn.LocalAddr() }
func (c *kernelConn) Close() error                          { return c.conn.Close() }
func (c *kernelConn) SetReadDeadline(t time.Time) error     { return c.u.inlet.setDeadline(t) }
func (c *kernelConn) SetWriteDeadline(t time.Time) error    { return c.conn.SetWriteDeadline(t) }
func (c *kernelConn) SetReadBuffer(n int) error             { return c.conn.SetReadBuffer(n) }
func (c *kernelConn) SetWriteBuffer(n int) error            { return c.conn.SetWriteBuffer(n) }
func (c *kernelConn) SyscallConn() (syscall.RawConn, error) { return c.conn.SyscallConn() }
