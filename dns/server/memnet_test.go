package server

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	micronet "github.com/micro/micro-net"
)

// memNet is a network in memory: datagrams are never lost between sockets that exist, and take
// no time.
type memNet struct {
	micronet.Network // the methods that nobody here needs

	mu        sync.Mutex
	port      uint16
	packets   map[netip.AddrPort]*memPacket
	listeners map[netip.AddrPort]*memListener
	dials     []netip.AddrPort        // every upstream connection, in order
	taken     map[netip.AddrPort]bool // UDP ports of somebody else
}

func newMemNet() *memNet {
	return &memNet{
		port: 40000, packets: make(map[netip.AddrPort]*memPacket), listeners: make(map[netip.AddrPort]*memListener),
		taken: make(map[netip.AddrPort]bool),
	}
}

func (m *memNet) freeLocked(a netip.AddrPort) netip.AddrPort {
	if a.Port() == 0 {
		m.port++
		a = netip.AddrPortFrom(a.Addr(), m.port)
	}
	return a
}

func (m *memNet) ListenPacket(_ context.Context, a netip.AddrPort) (net.PacketConn, error) {
	return m.open(a)
}

func (m *memNet) open(a netip.AddrPort) (*memPacket, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a = m.freeLocked(a)
	if m.packets[a] != nil || m.taken[a] {
		return nil, syscall.EADDRINUSE
	}
	p := &memPacket{net: m, addr: a, in: make(chan datagram, 512), closed: make(chan struct{})}
	m.packets[a] = p
	return p, nil
}

func (m *memNet) DialPacket(_ context.Context, to netip.AddrPort) (net.Conn, error) {
	m.mu.Lock()
	m.dials = append(m.dials, to)
	m.mu.Unlock()
	p, err := m.open(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), 0))
	if err != nil {
		return nil, err
	}
	return &memConnected{p, to}, nil
}

func (m *memNet) Listen(_ context.Context, a netip.AddrPort) (net.Listener, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a = m.freeLocked(a)
	if m.listeners[a] != nil {
		return nil, syscall.EADDRINUSE
	}
	l := &memListener{net: m, addr: a, in: make(chan net.Conn), closed: make(chan struct{})}
	m.listeners[a] = l
	return l, nil
}

func (m *memNet) Dial(ctx context.Context, from netip.Addr, to netip.AddrPort) (net.Conn, error) {
	m.mu.Lock()
	m.dials = append(m.dials, to)
	l := m.listeners[to]
	local := m.freeLocked(netip.AddrPortFrom(from, 0))
	m.mu.Unlock()
	if l == nil {
		return nil, syscall.ECONNREFUSED
	}
	if !from.IsValid() {
		local = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), local.Port())
	}
	near, far := net.Pipe()
	select {
	case l.in <- &memConn{far, to, local}:
		return &memConn{near, local, to}, nil
	case <-l.closed:
		return nil, syscall.ECONNREFUSED
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (m *memNet) asked() []netip.AddrPort {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]netip.AddrPort(nil), m.dials...)
}

type datagram struct {
	from netip.AddrPort
	data []byte
}

type memPacket struct {
	net    *memNet
	addr   netip.AddrPort
	in     chan datagram
	closed chan struct{}
	once   sync.Once

	mu       sync.Mutex
	deadline time.Time
}

func (p *memPacket) send(from, to netip.AddrPort, b []byte) {
	p.net.mu.Lock()
	dst := p.net.packets[to]
	p.net.mu.Unlock()
	if dst == nil {
		return
	}
	select {
	case dst.in <- datagram{from, bytes.Clone(b)}:
	default:
	}
}

func (p *memPacket) ReadFrom(b []byte) (int, net.Addr, error) {
	d, err := p.receive()
	return copy(b, d.data), net.UDPAddrFromAddrPort(d.from), err
}

func (p *memPacket) receive() (datagram, error) {
	p.mu.Lock()
	deadline := p.deadline
	p.mu.Unlock()
	var late <-chan time.Time
	if !deadline.IsZero() {
		late = time.After(time.Until(deadline))
	}
	select {
	case d := <-p.in:
		return d, nil
	case <-p.closed:
		return datagram{}, net.ErrClosed
	case <-late:
		return datagram{}, os.ErrDeadlineExceeded
	}
}

func (p *memPacket) WriteTo(b []byte, to net.Addr) (int, error) {
	p.send(p.addr, micronet.AddrPortOf(to), b)
	return len(b), nil
}

func (p *memPacket) Close() error {
	p.once.Do(func() {
		close(p.closed)
		p.net.mu.Lock()
		delete(p.net.packets, p.addr)
		p.net.mu.Unlock()
	})
	return nil
}

func (p *memPacket) SetReadDeadline(t time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deadline = t
	return nil
}

func (p *memPacket) LocalAddr() net.Addr              { return net.UDPAddrFromAddrPort(p.addr) }
func (p *memPacket) SetDeadline(t time.Time) error    { return p.SetReadDeadline(t) }
func (p *memPacket) SetWriteDeadline(time.Time) error { return nil }

// memConnected takes datagrams from one peer only.
type memConnected struct {
	*memPacket
	peer netip.AddrPort
}

func (c *memConnected) Read(b []byte) (int, error) {
	for {
		d, err := c.receive()
		if err != nil || d.from == c.peer {
			return copy(b, d.data), err
		}
	}
}

func (c *memConnected) Write(b []byte) (int, error) {
	c.send(c.addr, c.peer, b)
	return len(b), nil
}

func (c *memConnected) RemoteAddr() net.Addr { return net.UDPAddrFromAddrPort(c.peer) }

type memListener struct {
	net    *memNet
	addr   netip.AddrPort
	in     chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *memListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.in:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memListener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.net.mu.Lock()
		delete(l.net.listeners, l.addr)
		l.net.mu.Unlock()
	})
	return nil
}

func (l *memListener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.addr) }

type memConn struct {
	net.Conn
	local, remote netip.AddrPort
}

func (c *memConn) LocalAddr() net.Addr  { return net.TCPAddrFromAddrPort(c.local) }
func (c *memConn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }
