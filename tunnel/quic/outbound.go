package quic

import (
	"context"
	"errors"
	"io"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
	quicgo "github.com/quic-go/quic-go"
)

// outbound is a stream that this node opened.
type outbound struct {
	stream
	question tunnel.Question
	reader   tunnel.AnswerReader // of who reads the answer
}

var (
	_ tunnel.Outbound = (*outbound)(nil)
	_ tunnel.Asked    = (*outbound)(nil)
)

func newOutbound(l *link, q *quicgo.Stream) *outbound {
	o := &outbound{stream: makeStream(l, q)}
	o.question.Ask(o)
	return o
}

// Read returns payload once the answer has arrived. A refusal is its error.
func (o *outbound) Read(p []byte) (int, error) {
	if err := o.question.Await(); err != nil {
		return 0, err
	}
	return o.stream.Read(p)
}

// Answered waits for the answer to the opening frame. It ends with ctx, with the read deadline
// and with the stream.
func (o *outbound) Answered(ctx context.Context) error { return o.question.Answered(ctx) }

// ReadAnswer implements tunnel.Asked.
func (o *outbound) ReadAnswer() error {
	answer, err := o.reader.Next(o.q)
	switch {
	case err == nil:
		return answer.Err(o.link.peer)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return micronet.E("tunnel.answer", micronet.Closed, "the peer closed the stream without an answer").WithPeer(o.link.peer)
	}
	return o.explain("tunnel.answer", err, o.closed.Load())
}

// ReadUntil implements tunnel.Asked.
func (o *outbound) ReadUntil(at time.Time) error { return o.q.SetReadDeadline(at) }

// Interrupted implements tunnel.Asked.
func (o *outbound) Interrupted(cause error) error {
	return explain("tunnel.answer", o.link.peer, cause)
}

func (o *outbound) SetDeadline(d time.Time) error {
	return errors.Join(o.SetReadDeadline(d), o.SetWriteDeadline(d))
}

func (o *outbound) SetReadDeadline(d time.Time) error { return o.question.SetReadDeadline(d) }
