package light

import (
	"context"
	"io"
	"net"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
)

// acceptAll takes the connections of others, until ctx ends or the listener fails.
func (t *Tunnel) acceptAll(ctx context.Context, listener net.Listener) error {
	for {
		raw, err := listener.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return &listenerError{err}
		}
		c, err := asConn(raw)
		if err != nil {
			return &listenerError{err}
		}
		select {
		case t.waiting <- struct{}{}:
			t.group.Go(func() { t.receive(c) })
		default:
			t.drop(micronet.NodeID{}, "too many streams wait for their opening")
			// Nothing was read, so that it has to be sent without waiting for the peer.
			_, _ = c.Write(t.refusal(greeting{}, micronet.Overloaded, "too many streams wait at the peer"))
			_ = c.Close()
		}
	}
}

func (t *Tunnel) drop(peer micronet.NodeID, why string) {
	t.env.Events.PacketDropped(micronet.PacketDrop{Where: "tunnel", Why: why, Peer: peer})
}

// receive finds out what an accepted connection is: a guest or a stream.
func (t *Tunnel) receive(c conn) {
	stop := context.AfterFunc(t.life, func() { abort(c) })
	defer stop()
	err := c.SetReadDeadline(time.Now().Add(openingTime))
	first := make([]byte, 1, greetingLen)
	if err == nil {
		_, err = io.ReadFull(c, first)
	}
	if err == nil && first[0] == tlsHandshake {
		<-t.waiting
		t.serveGuest(c, first)
		return
	}
	defer func() { <-t.waiting }()
	if err != nil || !t.receiveStream(c, first) {
		abort(c)
		if t.life.Err() == nil {
			t.drop(micronet.NodeID{}, "no valid opening")
		}
	}
}

// receiveStream takes a stream in, or turns it away. It returns false when it is not understood.
func (t *Tunnel) receiveStream(c conn, first []byte) bool {
	b := first[:greetingLen]
	if _, err := io.ReadFull(c, b[len(first):]); err != nil {
		return false
	}
	g, err := decodeGreeting(b)
	if err != nil || g.from == t.self {
		return false
	}
	if g.to != t.self {
		t.turnAway(c, g, "wrong identity", "this is "+t.self.Short()+", not "+g.to.Short())
		return true
	}
	o, err := tunnel.ReadOpening(c)
	if err != nil {
		return false
	}
	if !t.knows(g.from) {
		t.turnAway(c, g, "unknown peer", "the caller is no member that is known here")
		return true
	}
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		return false
	}
	return t.deliver(c, g.from, o)
}

// deliver hands a stream to Accept. When InboundQueue streams wait already, it is refused.
func (t *Tunnel) deliver(c conn, from micronet.NodeID, o tunnel.Opening) bool {
	p, err := t.enter(from)
	if err != nil {
		return false
	}
	defer t.leave(p)
	in := newInbound(t, p, c, o)
	if err := t.adopt(&in.stream, "accepted"); err != nil {
		return false
	}
	select {
	case t.inbound <- in:
	default:
		t.drop(from, "inbound queue full")
		// Nobody is there to take the error; the peer sees the stream end either way.
		_ = in.Refuse(micronet.Overloaded, "too many streams wait to be accepted")
	}
	return true
}

// knows waits for a peer to become known: his introduction may arrive after his stream.
func (t *Tunnel) knows(id micronet.NodeID) bool {
	addr := id.UDPAddr()
	for began := time.Now(); ; {
		if _, known := t.socket.IdentityOf(addr); known {
			return true
		}
		if time.Since(began) >= openingTime || !micronet.Pause(t.life, acquaintance) {
			return false
		}
	}
}

// turnAway refuses a stream before it is one.
func (t *Tunnel) turnAway(c conn, g greeting, why, words string) {
	t.drop(g.from, why)
	// The caller learns what arrives; there is nobody else to tell.
	_, _ = c.Write(t.refusal(g, micronet.Unauthorized, words))
	_ = c.CloseWrite()
	drain(t.life, c, lingerTime)
	_ = c.Close()
}

// refusal is all that goes back on a stream that is turned away.
func (t *Tunnel) refusal(g greeting, kind micronet.Kind, words string) []byte {
	b := appendGreeting(nil, greeting{from: t.self, to: g.from})
	return tunnel.AppendAnswer(b, tunnel.Answer{Kind: kind, Reason: words})
}
