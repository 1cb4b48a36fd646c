package light

import (
	"context"
	"errors"
	"io"
	"os"
	"sync/atomic"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
)

// outbound is a stream that this node opened. Whoever comes first, Read or Answered, reads the
// reply; the others wait for the slot. Thus no stream needs a goroutine.
type outbound struct {
	stream
	verdict atomic.Pointer[verdict] // nil until the answer is there
	asking  chan struct{}           // the one slot of who reads the reply
	reply   reply                   // of the holder of asking

	// Guarded by stream.mu: Answered borrows the read deadline to end its wait.
	deadline time.Time // as set by the user
	borrowed bool
}

// verdict is the peer's answer: nil when it accepted.
type verdict struct{ err error }

var _ tunnel.Outbound = (*outbound)(nil)

func newOutbound(t *Tunnel, p *peer, c conn) *outbound {
	return &outbound{stream: makeStream(t, p, c), asking: make(chan struct{}, 1), reply: reply{want: p.id}}
}

// Read returns payload once the answer has arrived. A refusal is its error.
func (o *outbound) Read(p []byte) (int, error) {
	if v := o.verdict.Load(); v == nil || v.err != nil {
		if err := o.awaitAnswer(); err != nil {
			return 0, err
		}
	}
	return o.stream.Read(p)
}

// awaitAnswer waits within the read deadline. Another holder of the slot meets the same deadline,
// so that waiting for the slot needs no timer.
func (o *outbound) awaitAnswer() error {
	o.asking <- struct{}{}
	defer func() { <-o.asking }()
	return o.readAnswer()
}

// Answered waits for the answer to the opening frame. It ends with ctx, with the read deadline and
// with the stream.
func (o *outbound) Answered(ctx context.Context) error {
	if v := o.verdict.Load(); v != nil {
		return v.err
	}
	select {
	case o.asking <- struct{}{}:
	case <-ctx.Done():
		return explain("tunnel.answer", o.peer.id, context.Cause(ctx))
	}
	defer func() { <-o.asking }()
	if ctx.Done() == nil {
		return o.readAnswer()
	}
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		o.borrowDeadline()
		close(woken)
	})
	err := o.readAnswer()
	if !stop() {
		<-woken
		o.returnDeadline()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return explain("tunnel.answer", o.peer.id, context.Cause(ctx))
		}
	}
	return err
}

// readAnswer is called by the holder of the slot.
func (o *outbound) readAnswer() error {
	if v := o.verdict.Load(); v != nil {
		return v.err
	}
	answer, err := o.reply.next(&o.stream)
	switch {
	case err == nil:
		err = answer.Err(o.peer.id)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return err // a later call goes on reading
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		err = micronet.E("tunnel.answer", micronet.Closed, "the peer closed the stream without an answer").WithPeer(o.peer.id)
	case micronet.KindOf(err) == micronet.Unauthorized:
		o.cut(err) // nothing more goes to somebody else
	}
	o.verdict.Store(&verdict{err})
	return err
}

func (o *outbound) borrowDeadline() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.borrowed = true
	_ = o.readUntilLocked(time.Unix(1, 0)) // the reader finds the error, if there is one
}

func (o *outbound) returnDeadline() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.borrowed = false
	_ = o.readUntilLocked(o.deadline) // as above
}

func (o *outbound) SetDeadline(d time.Time) error {
	return errors.Join(o.SetReadDeadline(d), o.SetWriteDeadline(d))
}

func (o *outbound) SetReadDeadline(d time.Time) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.deadline = d
	if o.borrowed {
		return nil
	}
	return o.readUntilLocked(d)
}
