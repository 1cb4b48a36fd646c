package light

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
)

// outbound is a stream that this node opened. Whoever comes first, Read or Answered, reads the answer.
type outbound struct {
	*stream
	asking  chan struct{} // the one slot of who reads the answer
	settled chan struct{} // closed with verdict set
	verdict error         // nil: accepted
	reader  tunnel.AnswerReader

	mu       sync.Mutex
	deadline time.Time // for reads, as set by the user
	borrowed bool      // Answered uses the read deadline to end its wait
}

var _ tunnel.Outbound = (*outbound)(nil)

// Open starts a stream; see tunnel.Tunnel.
func (t *Tunnel) Open(ctx context.Context, to micronet.NodeID, o tunnel.Opening) (tunnel.Outbound, error) {
	frame, err := tunnel.AppendOpening(header{from: t.self, to: to}.append(nil), o)
	if err != nil {
		return nil, err
	}
	if to.IsZero() || to == t.self {
		return nil, micronet.E("tunnel.open", micronet.Invalid, "a stream goes to another node, not to %s", to.Short())
	}
	if _, ok := t.alive(); !ok {
		return nil, notRunning("tunnel.open")
	}
	conn, err := t.dial(ctx, to)
	if err != nil {
		return nil, err
	}
	s, ok := t.adopt(conn, to)
	if !ok {
		abort(conn)
		return nil, notRunning("tunnel.open")
	}
	if _, err := s.Write(frame); err != nil {
		s.Abort()
		return nil, err
	}
	return &outbound{stream: s, asking: make(chan struct{}, 1), settled: make(chan struct{})}, nil
}

// dial tries the addresses of a peer, one after the other.
func (t *Tunnel) dial(ctx context.Context, to micronet.NodeID) (net.Conn, error) {
	life, _ := t.alive()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(life, cancel)
	defer stop()
	err := micronet.E("tunnel.dial", micronet.Unreachable, "no address of it is known").WithPeer(to)
	for _, addr := range t.addresses(to) {
		conn, failed := t.env.Net.Dial(ctx, netip.Addr{}, addr)
		if failed == nil {
			return conn, nil
		}
		if ctx.Err() != nil {
			return nil, explain("tunnel.dial", to, context.Cause(ctx))
		}
		err = micronet.E("tunnel.dial", micronet.Unreachable, "%w", failed).WithPeer(to)
	}
	return nil, err
}

func (t *Tunnel) addresses(to micronet.NodeID) []netip.AddrPort {
	if p, ok := t.socket.Path(to); ok && p.Remote.IsValid() {
		return []netip.AddrPort{p.Remote}
	}
	p, _ := t.socket.Peer(to)
	return p.Endpoints
}

// Read returns payload once the answer has arrived. A refusal is its error.
func (o *outbound) Read(p []byte) (int, error) {
	select {
	case <-o.settled:
	default:
		o.asking <- struct{}{}
		err := o.readAnswer()
		<-o.asking
		if err != nil {
			return 0, err
		}
	}
	if o.verdict != nil {
		return 0, o.verdict
	}
	return o.stream.Read(p)
}

// Answered waits for the answer to the opening frame.
func (o *outbound) Answered(ctx context.Context) error {
	select {
	case <-o.settled:
		return o.verdict
	case <-ctx.Done():
		return explain("tunnel.answer", o.peer, context.Cause(ctx))
	case o.asking <- struct{}{}:
	}
	defer func() { <-o.asking }()
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { o.lend(true); close(woken) })
	err := o.readAnswer()
	if !stop() {
		<-woken
		o.lend(false)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return explain("tunnel.answer", o.peer, context.Cause(ctx))
		}
	}
	return err
}

// readAnswer is called by the holder of the slot.
func (o *outbound) readAnswer() error {
	select {
	case <-o.settled:
		return o.verdict
	default:
	}
	answer, err := o.reader.Next(o.stream.conn)
	switch {
	case err == nil:
		err = answer.Err(o.peer)
	case errors.Is(err, os.ErrDeadlineExceeded) && o.why() == nil:
		return os.ErrDeadlineExceeded // a later call goes on reading
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		err = micronet.E("tunnel.answer", micronet.Closed, "the peer closed the stream without an answer").WithPeer(o.peer)
	default:
		err = o.explain("tunnel.answer", err)
	}
	o.verdict = err
	close(o.settled)
	return err
}

// lend gives the read deadline to a wait that has ended, and back to the user.
func (o *outbound) lend(yes bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.borrowed = yes
	at := o.deadline
	if yes {
		at = time.Unix(1, 0)
	}
	_ = o.stream.SetReadDeadline(at) // fails when it is closed, which ends the wait as well
}

// SetReadDeadline implements net.Conn.
func (o *outbound) SetReadDeadline(d time.Time) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.deadline = d
	if o.borrowed {
		return nil
	}
	return o.stream.SetReadDeadline(d)
}

// SetDeadline implements net.Conn.
func (o *outbound) SetDeadline(d time.Time) error {
	return errors.Join(o.SetReadDeadline(d), o.SetWriteDeadline(d))
}
