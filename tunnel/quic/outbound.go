package quic

import (
	"context"
	"errors"
	"time"

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
	return o.explain("tunnel.answer", tunnel.Verdict(answer, err, o.link.peer), o.closed.Load())
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
