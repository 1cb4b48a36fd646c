package tunnel

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	micronet "github.com/micro/micro-net"
)

// pipeCall is one stream in memory with its two ends.
type pipeCall struct {
	wire   *Wire
	link   *pipeLink
	number uint64
	caller *pipeOutStream
	callee *pipeInbStream
	open   atomic.Int32 // ends that were not closed yet

	settled  sync.Once
	answered chan struct{} // closed with verdict set
	verdict  error         // nil: accepted
}

func newPipeCall(w *Wire, l *pipeLink, number uint64, from, to *Pipe, o Opening) *pipeCall {
	c := &pipeCall{wire: w, link: l, number: number, answered: make(chan struct{})}
	c.open.Store(2)
	there, back := newPipeHalf(), newPipeHalf()
	c.caller = &pipeOutStream{pipeStream{call: c, self: from.id, peer: to.id, in: back, out: there}}
	c.callee = &pipeInbStream{
		pipeStream: pipeStream{call: c, self: to.id, peer: from.id, in: there, out: back},
		opening:    o,
	}
	return c
}

// settle decides what the caller learns; the first decision counts.
func (c *pipeCall) settle(verdict error) {
	c.settled.Do(func() {
		c.verdict = verdict
		if verdict != nil {
			c.caller.in.deny(verdict)
		}
		close(c.answered)
	})
}

// cut ends the stream together with its connection.
func (c *pipeCall) cut(by *Pipe, reason string) {
	for _, end := range []*pipeStream{&c.caller.pipeStream, &c.callee.pipeStream} {
		err := ResetError("tunnel.stream", end.peer, "the peer closed the connection: "+reason)
		if end.self == by.id {
			err = micronet.E("tunnel.stream", micronet.Closed, "the connection was closed here: %s", reason).WithPeer(end.peer)
		}
		end.in.deny(err)
		end.out.end(err)
		if end == &c.caller.pipeStream {
			c.settle(err)
		}
	}
}

// pipeStream is one end of a stream.
type pipeStream struct {
	call       *pipeCall
	self, peer micronet.NodeID
	in, out    *pipeHalf
	closed     atomic.Bool
}

func (s *pipeStream) Read(p []byte) (int, error)  { return s.in.read(p) }
func (s *pipeStream) Write(p []byte) (int, error) { return s.out.write(p) }

func (s *pipeStream) closedHere() error {
	return micronet.E("tunnel.stream", micronet.Closed, "the stream was closed here").WithPeer(s.peer)
}

// CloseWrite ends this direction after what was written.
func (s *pipeStream) CloseWrite() error {
	s.out.end(s.closedHere())
	return nil
}

// Close ends both directions: what was written is still delivered.
func (s *pipeStream) Close() error {
	s.out.end(s.closedHere())
	s.in.stop(s.closedHere(),
		micronet.E("tunnel.write", micronet.Closed, "the peer reads no more").WithPeer(s.self))
	s.leave()
	return nil
}

// Abort resets both directions at once, also after Close.
func (s *pipeStream) Abort() {
	reset := ResetError("tunnel.stream", s.self, "")
	s.out.stop(reset, s.closedHere())
	s.in.stop(s.closedHere(), reset)
	s.call.settle(reset)
	s.leave()
}

func (s *pipeStream) leave() {
	if !s.closed.Swap(true) && s.call.open.Add(-1) == 0 {
		s.call.wire.release(s.call)
	}
}

// LocalAddr returns the identity address of this node.
func (s *pipeStream) LocalAddr() net.Addr { return s.self.UDPAddr() }

// RemoteAddr returns the identity address of the peer.
func (s *pipeStream) RemoteAddr() net.Addr { return s.peer.UDPAddr() }

func (s *pipeStream) SetDeadline(at time.Time) error {
	return errors.Join(s.SetReadDeadline(at), s.SetWriteDeadline(at))
}

func (s *pipeStream) SetReadDeadline(at time.Time) error {
	s.in.setDeadline(&s.in.readBy, at)
	return nil
}

func (s *pipeStream) SetWriteDeadline(at time.Time) error {
	s.out.setDeadline(&s.out.sendBy, at)
	return nil
}

// pipeOutStream is the end that opened the stream.
type pipeOutStream struct{ pipeStream }

// Answered waits for the answer; see Outbound.
func (o *pipeOutStream) Answered(ctx context.Context) error {
	select {
	case <-o.call.answered:
		return o.call.verdict
	case <-ctx.Done():
		return ContextError("tunnel.answer", o.peer, context.Cause(ctx))
	}
}

// Close also ends the wait for an answer.
func (o *pipeOutStream) Close() error {
	err := o.pipeStream.Close()
	o.call.settle(o.closedHere())
	return err
}

// Abort also ends the wait for an answer, as closed here.
func (o *pipeOutStream) Abort() {
	o.call.settle(o.closedHere())
	o.pipeStream.Abort()
}

// pipeInbStream is the end that was called.
type pipeInbStream struct {
	pipeStream
	opening Opening
	reply   Reply
}

// From returns who opened the stream.
func (i *pipeInbStream) From() micronet.NodeID { return i.peer }

// Opening returns what the stream was opened with.
func (i *pipeInbStream) Opening() Opening { return i.opening }

// Accept answers the opening frame.
func (i *pipeInbStream) Accept() error { return i.decide("tunnel.accept", nil) }

// Refuse answers with a kind and one sentence and closes the stream.
func (i *pipeInbStream) Refuse(kind micronet.Kind, reason string) error {
	frame := AppendAnswer(nil, Answer{Kind: kind, Reason: reason})
	answer, _, err := DecodeAnswer(frame)
	if err != nil {
		return err
	}
	err = i.decide("tunnel.refuse", answer.Err(i.self))
	return errors.Join(err, i.Close())
}

func (i *pipeInbStream) decide(op string, verdict error) error {
	if err := i.reply.Claim(op, i.peer); err != nil {
		return err
	}
	i.call.settle(verdict)
	return nil
}

// Write sends payload. The stream must have been accepted.
func (i *pipeInbStream) Write(p []byte) (int, error) {
	if err := i.reply.Given(i.peer); err != nil {
		return 0, err
	}
	return i.pipeStream.Write(p)
}

// Close without an answer tells the caller so.
func (i *pipeInbStream) Close() error {
	i.call.settle(micronet.E("tunnel.answer", micronet.Closed, "the peer closed the stream without an answer").WithPeer(i.self))
	return i.pipeStream.Close()
}
