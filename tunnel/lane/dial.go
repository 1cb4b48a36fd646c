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

// dial makes a lane to a peer, and reads it to its end. It is of use once the peer has said hello, see greeted: until then
// the peer may think better of it.
func (t *Tunnel) dial(to micronet.NodeID, l *lanes, addr netip.AddrPort) {
	t.counts.dialled.Add(1)
	c, r := t.connect(to, addr)
	if !t.register(c, l) {
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
	c := newCarrier(t, peer, conn, wire, ours)
	c.hang = func() { _ = wire.Close() } // it says no goodbye in TLS, which could wait for the other side
	c.bye = c.hang
	c.holds = func() bool {
		return conf.VerifyConnection == nil || conf.VerifyConnection(conn.ConnectionState()) == nil
	}
	return c, &reading{in: bufio.NewReaderSize(conn, readBuffer)}
}

// register takes note of how a dial went; false when there is no lane, or it is not wanted any more.
func (t *Tunnel) register(c *carrier, l *lanes) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case c == nil:
		t.counts.failed.Add(1)
		l.failed(time.Now())
	case t.running && t.peers[c.peer] == l:
		c.of = l
		t.keepLocked(c)
		return true
	}
	l.dialling--
	return false
}

func (t *Tunnel) keepLocked(c *carrier) {
	t.last++
	c.number = t.last
	t.carriers[c] = true
}

// greeted takes the number of the peer's life. A lane of ours is of use from then on.
func (c *carrier) greeted(r *reading) error {
	b, err := r.few(8)
	if err != nil {
		return err
	}
	t, life := c.t, number(b)
	t.mu.Lock()
	defer t.mu.Unlock()
	if !c.ours || c.life != 0 || life == 0 {
		return badFrame("a hello that was not to come")
	}
	c.life = life
	if s := c.session; s != nil {
		s.beganWith(life)
	}
	if l := c.of; l != nil {
		l.dialling--
		l.pause, l.proved = 0, true
		l.idle = append([]*carrier{c}, l.idle...)
		t.promoteLocked(l, time.Now())
	}
	return nil
}

// beganWith notes in which life of the peer a session begins.
func (s *session) beganWith(life uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life == 0 {
		s.life = life
	}
}

// lose cleans up after a carrier whose reader has ended.
func (t *Tunnel) lose(c *carrier) {
	c.end()
	t.mu.Lock()
	delete(t.carriers, c)
	s := c.session
	c.session = nil
	if l := c.of; l != nil {
		switch {
		case c.life == 0: // it was no lane yet
			t.counts.failed.Add(1)
			l.dialling--
			l.failed(time.Now())
		case s != nil:
			l.busy--
		default:
			l.forget(c)
		}
	}
	t.mu.Unlock()
	if s != nil && s.detach(c) {
		t.counts.moved.Add(1)
		t.spawn(func() { t.resume(s) })
	}
}

// detach takes a session off a carrier that has ended, and reports whether this side has to find another one.
func (s *session) detach(c *carrier) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.carrier != c || s.over {
		return false
	}
	s.looseLocked()
	return s.ours
}

// looseLocked leaves a session without a carrier. The caller holds mu.
func (s *session) looseLocked() {
	s.carrier, s.asking, s.due.said = nil, false, false
	if s.lost.IsZero() {
		s.lost = time.Now()
	}
}
