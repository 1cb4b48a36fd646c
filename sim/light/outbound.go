package light

import (
	"context"
	"errors"
	"io"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
)

// outbound is a stream that this node opened.
type outbound struct {
	stream
	question tunnel.Question
	reply    reply // of who reads it
}

var (
	_ tunnel.Outbound = (*outbound)(nil)
	_ tunnel.Asked    = (*outbound)(nil)
)

func newOutbound(t *Tunnel, p *peer, c conn) *outbound {
	o := &outbound{stream: makeStream(t, p, c), reply: reply{want: p.id}}
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

// Answered waits for the answer to the opening frame. It ends with ctx, with the read deadline and
// with the stream.
func (o *outbound) Answered(ctx context.Context) error { return o.question.Answered(ctx) }

// ReadAnswer implements tunnel.Asked.
func (o *outbound) ReadAnswer() error {
	answer, err := o.reply.next(&o.stream)
	switch {
	case err == nil:
		return answer.Err(o.peer.id)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return micronet.E("tunnel.answer", micronet.Closed, "the peer closed the stream without an answer").WithPeer(o.peer.id)
	case micronet.KindOf(err) == micronet.Unauthorized:
		o.cut(err) // nothing more goes to somebody else
	}
	return err
}

// ReadUntil implements tunnel.Asked.
func (o *outbound) ReadUntil(at time.Time) error { return o.stream.SetReadDeadline(at) }

// Interrupted implements tunnel.Asked.
func (o *outbound) Interrupted(cause error) error { return explain("tunnel.answer", o.peer.id, cause) }

func (o *outbound) SetDeadline(d time.Time) error {
	return errors.Join(o.SetReadDeadline(d), o.SetWriteDeadline(d))
}

func (o *outbound) SetReadDeadline(d time.Time) error { return o.question.SetReadDeadline(d) }
