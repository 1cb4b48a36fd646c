package lane

import (
	"bufio"
	"context"
	"crypto/tls"
	"net/netip"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
)

// readBuffer is what is read ahead of a lane: a header, and what is short.
const readBuffer = 4 << 10

// dial makes a lane to a peer, and reads it to its end.
func (t *Tunnel) dial(to micronet.NodeID, l *lanes, addr netip.AddrPort) {
	t.counts.dialled.Add(1)
	c, r := t.connect(to, addr)
	if !t.dialled(c, l) {
		if c != nil {
			c.end()
		}
		return
	}
	// Who is revoked from here on is disconnected.
	if c.holds() {
		c.read(r)
	}
	t.lose(c)
}

// connect dials and proves who is there; nil when that failed.
func (t *Tunnel) connect(to micronet.NodeID, addr netip.AddrPort) (*carrier, *reading) {
	ctx, cancel := context.WithTimeout(t.ctx, dialTime)
	defer cancel()
	conf := harden(t.tls.Client(to))
	if conf == nil {
		return nil, nil
	}
	conn, err := t.env.Net.Dial(ctx, netip.Addr{}, addr)
	if err != nil {
		return nil, nil
	}
	wire := &tunnel.Gather{Conn: conn}
	secured := tls.Client(wire, conf)
	if secured.HandshakeContext(ctx) == nil {
		if id, err := t.tls.PeerID(secured.ConnectionState()); err == nil && id == to {
			return t.newLane(secured, wire, conf, to, true)
		}
	}
	_ = conn.Close()
	return nil, nil
}

// newLane makes a carrier of a connection whose other end is proven.
func (t *Tunnel) newLane(conn *tls.Conn, wire *tunnel.Gather, conf *tls.Config, peer micronet.NodeID, ours bool) (*carrier, *reading) {
	wire.Hold()
	// It says no goodbye in TLS, which could wait for the other side.
	c := newCarrier(t, peer, conn, wire, ours, func() { _ = wire.Close() })
	c.holds = func() bool {
		return conf.VerifyConnection == nil || conf.VerifyConnection(conn.ConnectionState()) == nil
	}
	return c, &reading{in: bufio.NewReaderSize(conn, readBuffer)}
}

// dialled takes note of how a dial went; false when the lane is not wanted.
func (t *Tunnel) dialled(c *carrier, l *lanes) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	l.dialling--
	if c == nil {
		t.counts.failed.Add(1)
		l.proved = false
		l.failed(time.Now())
		return false
	}
	l.pause, l.proved = 0, true
	if !t.running || t.peers[c.peer] != l {
		return false
	}
	t.keepLocked(c)
	l.idle = append([]*carrier{c}, l.idle...)
	t.promoteLocked(l, time.Now())
	return true
}

func (t *Tunnel) keepLocked(c *carrier) {
	t.last++
	c.number = t.last
	t.carriers[c] = true
}

// lose cleans up after a carrier whose reader has ended.
func (t *Tunnel) lose(c *carrier) {
	c.end()
	t.mu.Lock()
	delete(t.carriers, c)
	s := c.session
	c.session = nil
	if l := t.peers[c.peer]; l != nil && c.ours && c.isLane() {
		l.drop(c, s != nil)
	}
	t.mu.Unlock()
	if s != nil && s.detach(c) {
		t.counts.moved.Add(1)
		t.spawn(func() { t.resume(s) })
	}
}

// drop forgets a lane.
func (l *lanes) drop(c *carrier, busy bool) {
	if busy {
		l.busy--
		return
	}
	for i, x := range l.idle {
		if x == c {
			l.idle = append(l.idle[:i], l.idle[i+1:]...)
			return
		}
	}
}

// detach takes a session off a carrier that has ended, and reports whether this side has to find another one.
func (s *session) detach(c *carrier) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.carrier != c || s.over {
		return false
	}
	s.carrier, s.lost, s.asking = nil, time.Now(), false
	return s.ours
}
