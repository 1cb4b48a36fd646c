package lane

import (
	"context"
	"crypto/tls"
	"io"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
)

// LaneServer is what peers that dial a lane are answered with; nil before this node is a member.
func (t *Tunnel) LaneServer() *tls.Config { return harden(t.tls.Server()) }

// ServeLane serves a lane that a peer has dialled, until it ends. wire is below conn.
func (t *Tunnel) ServeLane(ctx context.Context, conn *tls.Conn, wire *tunnel.Gather, conf *tls.Config, peer micronet.NodeID) {
	c, r := t.newLane(conn, wire, conf, peer, false)
	defer context.AfterFunc(ctx, c.end)()
	if !t.adopt(c) {
		c.end()
		return
	}
	if c.holds() {
		c.say(numberFrame(kindHello, 0, t.life, 0))
		c.read(r)
	}
	t.lose(c)
}

// adopt takes a carrier of a peer into the table; false when there are too many.
func (t *Tunnel) adopt(c *carrier) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	all, its := 0, 0
	for k := range t.carriers {
		if k.isLane() == c.isLane() && !k.ours {
			all++
			if k.peer == c.peer {
				its++
			}
		}
	}
	most, each := maxLanes, maxLanesEach+mostSpares
	if !c.isLane() {
		most, each = maxLanes, maxStreams
	}
	if !t.running || all >= most || its >= each {
		return false
	}
	t.keepLocked(c)
	return true
}

// serveStream serves a stream of the tunnel below over which a peer goes on with a session.
func (t *Tunnel) serveStream(in tunnel.Inbound) {
	c := newStream(t, in.From(), in, false)
	if !t.adopt(c) {
		// Nobody is there to take the error; the peer sees the stream end either way.
		_ = in.Refuse(micronet.Overloaded, "too many streams have lost their lane")
		return
	}
	if in.Accept() != nil {
		t.lose(c)
		return
	}
	c.say(numberFrame(kindHello, 0, t.life, 0))
	c.read(&reading{in: in})
	t.lose(c)
}

// opened begins a session of a peer.
func (t *Tunnel) opened(c *carrier, h header, r *reading) error {
	if c.ours {
		return badFrame("a session was opened from the wrong side")
	}
	first := t.store.take(h.length)
	defer first.free()
	b := first.b[:h.length]
	if _, err := io.ReadFull(r.in, b); err != nil {
		return err
	}
	id := sessionID(b)
	b = b[len(id):]
	opening, rest, err := tunnel.DecodeOpening(b)
	if err != nil {
		return badFrame("the opening of a session: %w", err)
	}
	if opening.Purpose != tunnel.PurposeService {
		return badFrame("a session for purpose %d", opening.Purpose)
	}
	s := newSession(t, key{peer: c.peer, id: id})
	s.heard = true
	s.in.received = uint64(len(b) - len(rest))
	s.in.consumed = s.in.received
	if len(rest) > 0 {
		buf := t.store.take(len(rest))
		s.in.put(piece{buf: buf, n: copy(buf.b, rest)})
	}
	if !t.admit(s, c, h.turn) {
		return badFrame("a session was opened twice")
	}
	t.handOver(newInbound(s, opening))
	return nil
}

// admit takes a session of a peer into the table; false when it is there already, or the node stops.
func (t *Tunnel) admit(s *session, c *carrier, turn byte) bool {
	t.mu.Lock()
	may := t.running && t.sessions[s.key] == nil
	var former *session
	if may {
		t.addLocked(s)
		former = t.joinLocked(s, c, turn)
	}
	t.mu.Unlock()
	former.superseded()
	return may
}

// handOver gives a session to Accept. When InboundQueue of them wait already, it is refused.
func (t *Tunnel) handOver(in *inbound) {
	select {
	case t.inbound <- in:
	default:
		t.env.Events.PacketDropped(micronet.PacketDrop{Where: "tunnel", Why: "inbound queue full", Peer: in.s.peer})
		t.spawn(func() {
			// Nobody is there to take the error; the peer sees the stream end either way.
			_ = in.Refuse(micronet.Overloaded, "too many streams wait to be accepted")
		})
	}
}
