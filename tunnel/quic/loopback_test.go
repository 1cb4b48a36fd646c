package quic

import (
	"net"
	"net/netip"
	"sync"
	"testing"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
	"golang.org/x/net/ipv4"
)

// loopback is a set of real sockets that know each other.
type loopback struct {
	mu    sync.RWMutex
	reals map[netip.AddrPort]netip.AddrPort // identity address to real one
	ids   map[netip.AddrPort]*net.UDPAddr   // real address to identity one
	names map[netip.AddrPort]micronet.NodeID
}

func newLoopback() *loopback {
	return &loopback{
		reals: make(map[netip.AddrPort]netip.AddrPort),
		ids:   make(map[netip.AddrPort]*net.UDPAddr),
		names: make(map[netip.AddrPort]micronet.NodeID),
	}
}

func (l *loopback) socket(t testing.TB, id micronet.NodeID) *loopSocket {
	t.Helper()
	c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	real := c.LocalAddr().(*net.UDPAddr).AddrPort()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reals[id.Addr()], l.ids[real], l.names[id.Addr()] = real, id.UDPAddr(), id
	return &loopSocket{UDPConn: c, batch: ipv4.NewPacketConn(c), hub: l}
}

// loopSocket translates addresses and keeps what quic-go uses of a UDP socket: batches, GSO.
type loopSocket struct {
	*net.UDPConn
	batch *ipv4.PacketConn
	hub   *loopback
}

func (s *loopSocket) QUIC() net.PacketConn { return s }

func (s *loopSocket) IdentityOf(addr net.Addr) (micronet.NodeID, bool) {
	s.hub.mu.RLock()
	defer s.hub.mu.RUnlock()
	id, ok := s.hub.names[addr.(*net.UDPAddr).AddrPort()]
	return id, ok
}

func (s *loopSocket) Path(peer micronet.NodeID) (tunnel.PathInfo, bool) {
	s.hub.mu.RLock()
	defer s.hub.mu.RUnlock()
	real, ok := s.hub.reals[peer.Addr()]
	return tunnel.PathInfo{Peer: peer, Remote: real}, ok
}

func (s *loopSocket) ReadBatch(ms []ipv4.Message, flags int) (int, error) {
	n, err := s.batch.ReadBatch(ms, flags)
	s.hub.mu.RLock()
	defer s.hub.mu.RUnlock()
	for i := range ms[:max(n, 0)] {
		if id := s.hub.ids[ms[i].Addr.(*net.UDPAddr).AddrPort()]; id != nil {
			ms[i].Addr = id
		}
	}
	return n, err
}

func (s *loopSocket) WriteMsgUDP(b, oob []byte, addr *net.UDPAddr) (n, oobn int, err error) {
	s.hub.mu.RLock()
	real, ok := s.hub.reals[addr.AddrPort()]
	s.hub.mu.RUnlock()
	if !ok {
		return len(b), len(oob), nil // nobody there: lost, as on a real network
	}
	return s.UDPConn.WriteMsgUDPAddrPort(b, oob, real)
}
