package server

import (
	"context"
	"net"
	"net/netip"
	"sync"

	micronet "github.com/micro/micro-net"
)

// maxQuery is the largest question read over UDP. Longer ones are cut and fail to parse.
const maxQuery = 4096

// addrConn is what a kernel socket offers: addresses that need no allocation.
type addrConn interface {
	ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error)
	WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error)
}

// netConn gives any other PacketConn the same methods.
type netConn struct{ net.PacketConn }

func (c netConn) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	n, from, err := c.ReadFrom(b)
	if err != nil {
		return n, netip.AddrPort{}, err
	}
	return n, micronet.AddrPortOf(from), nil
}

func (c netConn) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	return c.WriteTo(b, net.UDPAddrFromAddrPort(to))
}

func addrConnOf(c net.PacketConn) addrConn {
	if a, ok := c.(addrConn); ok {
		return a
	}
	return netConn{c}
}

// readPackets answers what the handler owns at once, and starts a goroutine for what has to be
// forwarded. It returns the error that ended it.
func (s *Server) readPackets(ctx context.Context, group *sync.WaitGroup) error {
	conn := addrConnOf(s.packets)
	in, out := make([]byte, maxQuery), make([]byte, 0, maxReplyUDP)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(in)
		switch {
		case err != nil:
			if !s.survived(ctx, "dns.udp", err) {
				return err
			}
		case !s.allowed(from.Addr()):
			s.drop("source")
		default:
			s.servePacket(ctx, group, conn, from, in[:n], out)
		}
	}
}

func (s *Server) servePacket(ctx context.Context, group *sync.WaitGroup, conn addrConn, from netip.AddrPort, in, out []byte) {
	e := s.read(in, false)
	if e == nil {
		s.drop("malformed")
		return
	}
	if s.answerOwn(ctx, e) {
		s.send(conn, from, e, out)
		return
	}
	select {
	case s.slots <- struct{}{}:
	default:
		s.drop("busy")
		e.fail("too many questions wait for the upstream resolvers")
		s.send(conn, from, e, out)
		return
	}
	group.Go(func() {
		defer func() { <-s.slots }()
		s.answerForeign(ctx, e)
		s.send(conn, from, e, nil)
	})
}

func (s *Server) send(conn addrConn, to netip.AddrPort, e *exchange, out []byte) {
	reply, err := e.pack(out)
	s.resolved(e)
	if err == nil {
		_, err = conn.WriteToUDPAddrPort(reply, to)
	}
	s.report("dns.udp", err)
}
