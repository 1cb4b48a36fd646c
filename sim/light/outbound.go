package light

import (
	"context"
	"errors"
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
	if micronet.KindOf(err) == micronet.Unauthorized {
		o.cut(err) // nothing more goes to somebody else
	}
	return tunnel.Verdict(answer, err, o.peer.id)
}

// ReadUntil implements tunnel.Asked.
func (o *outbound) ReadUntil(at time.Time) error { return o.stream.SetReadDeadline(at) }

// Interrupted implements tunnel.Asked.
func (o *outbound) Interrupted(cause error) error { return explain("tunnel.answer", o.peer.id, cause) }

func (o *outbound) SetDeadline(d time.Time) error {
	return errors.Join(o.SetReadDeadline(d), o.SetWriteDeadline(d))
}

func (o *outbound) SetReadDeadline(d time.Time) error { return o.question.SetReadDeadline(d) }
