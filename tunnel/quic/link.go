package quic

import (
	"context"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
	quicgo "github.com/quic-go/quic-go"
)

// link is one QUIC connection to a peer.
type link struct {
	tunnel  *Tunnel
	peer    micronet.NodeID
	addr    *net.UDPAddr // identity address of the peer
	conn    *quicgo.Conn
	dialled bool
	since   time.Time

	waiting atomic.Int32 // inbound streams whose opening frame is not there

	mu      sync.Mutex // below Tunnel.mu
	streams int
	used    time.Time
	served  bool
}

func newLink(t *Tunnel, id micronet.NodeID, conn *quicgo.Conn, dialled bool) *link {
	now := time.Now()
	return &link{
		tunnel: t, peer: id, addr: id.UDPAddr(), conn: conn, dialled: dialled, since: now, used: now,
	}
}

func (l *link) facts() facts {
	l.mu.Lock()
	defer l.mu.Unlock()
	return facts{dialled: l.dialled, since: l.since, streams: l.streams, used: l.used, served: l.served}
}

// serves notes what a stream is for.
func (l *link) serves(p tunnel.Purpose) {
	if p == tunnel.PurposeMembership || p == tunnel.PurposeCatalog || p == tunnel.PurposeLedger {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.served = true
}

// retain counts a stream, release discounts it.
func (l *link) retain() { l.count(1) }

func (l *link) release() { l.count(-1) }

func (l *link) count(n int) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.streams += n
	l.used = now
}

func (l *link) origin() string {
	if l.dialled {
		return "dialled"
	}
	return "accepted"
}

// close tells the peer and waits until nothing of the connection runs any more, which takes no
// round trip.
func (l *link) close(code quicgo.ApplicationErrorCode, why string) {
	// The error is always nil; what is to know is in the connection's context.
	_ = l.conn.CloseWithError(code, words(why))
}

// words cuts a reason to what surely fits a packet with the end of a connection.
func words(why string) string {
	if len(why) > maxWords {
		why = strings.ToValidUTF8(why[:maxWords], "")
	}
	return why
}

func closeAll(links []*link, code quicgo.ApplicationErrorCode, why string) {
	var group sync.WaitGroup
	for _, l := range links {
		group.Go(func() { l.close(code, why) })
	}
	group.Wait()
}

// open starts a stream that reserve has counted.
func (l *link) open(ctx context.Context, frame []byte) (*outbound, error) {
	q, err := l.conn.OpenStreamSync(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := q.Write(frame); err != nil {
		q.CancelRead(streamAborted)
		q.CancelWrite(streamAborted)
		return nil, err
	}
	return newOutbound(l, q), nil
}

// acceptStreams takes the peer's streams until the connection has ended, then forgets it. It does
// not stop with the tunnel's life: stop closes what is in the table.
func (t *Tunnel) acceptStreams(l *link) {
	defer t.remove(l)
	for {
		q, err := l.conn.AcceptStream(l.conn.Context())
		if err != nil {
			return
		}
		if !t.takeSlot(l) {
			t.drop(l, q, streamOverload, "too many streams wait for their opening")
			continue
		}
		l.retain()
		t.group.Go(func() { t.receive(l, q) })
	}
}

func (t *Tunnel) takeSlot(l *link) bool {
	if l.waiting.Add(1) <= maxWaitingPerLink {
		select {
		case t.waiting <- struct{}{}:
			return true
		default:
		}
	}
	l.waiting.Add(-1)
	return false
}

func (t *Tunnel) drop(l *link, q *quicgo.Stream, code quicgo.StreamErrorCode, why string) {
	q.CancelRead(code)
	q.CancelWrite(code)
	t.env.Events.PacketDropped(micronet.PacketDrop{Where: "tunnel", Why: why, Peer: l.peer})
}

// receive reads the opening frame of a stream and hands it to Accept. When InboundQueue streams
// wait already, it is refused.
func (t *Tunnel) receive(l *link, q *quicgo.Stream) {
	o, err := readOpening(q)
	l.waiting.Add(-1)
	<-t.waiting
	if err != nil {
		l.release()
		if l.conn.Context().Err() == nil {
			t.drop(l, q, streamOpening, "no valid opening")
		}
		return
	}
	l.serves(o.Purpose)
	in := newInbound(l, q, o)
	select {
	case t.inbound <- in:
	default:
		t.env.Events.PacketDropped(micronet.PacketDrop{Where: "tunnel", Why: "inbound queue full", Peer: l.peer})
		// Nobody is there to take the error; the peer sees the stream end either way.
		_ = in.Refuse(micronet.Overloaded, "too many streams wait to be accepted")
	}
}

func readOpening(q *quicgo.Stream) (tunnel.Opening, error) {
	if err := q.SetReadDeadline(time.Now().Add(openingTime)); err != nil {
		return tunnel.Opening{}, err
	}
	o, err := tunnel.ReadOpening(q)
	if err != nil {
		return tunnel.Opening{}, err
	}
	return o, q.SetReadDeadline(time.Time{})
}
