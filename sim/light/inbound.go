package light

import (
	"errors"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
)

// inbound is a stream that a peer opened.
type inbound struct {
	stream
	opening tunnel.Opening
	reply   tunnel.Reply
}

var _ tunnel.Inbound = (*inbound)(nil)

func newInbound(t *Tunnel, p *peer, c conn, o tunnel.Opening) *inbound {
	return &inbound{stream: makeStream(t, p, c), opening: o}
}

// From returns who opened the stream, as he says.
func (i *inbound) From() micronet.NodeID { return i.peer.id }

// Opening returns what the stream was opened with.
func (i *inbound) Opening() tunnel.Opening { return i.opening }

// Accept answers the opening frame.
func (i *inbound) Accept() error {
	return i.answer("tunnel.accept", tunnel.Answer{Accepted: true})
}

// Refuse answers with a kind and one sentence and closes the stream.
func (i *inbound) Refuse(kind micronet.Kind, reason string) error {
	err := i.answer("tunnel.refuse", tunnel.Answer{Kind: kind, Reason: reason})
	return errors.Join(err, i.Close())
}

func (i *inbound) answer(op string, a tunnel.Answer) error {
	if err := i.reply.Claim(op, i.peer.id); err != nil {
		return err
	}
	frame := appendGreeting(nil, greeting{from: i.tunnel.self, to: i.peer.id})
	_, err := i.stream.Write(tunnel.AppendAnswer(frame, a))
	return err
}

// Write sends payload. The stream must have been accepted.
func (i *inbound) Write(p []byte) (int, error) {
	if err := i.reply.Given(i.peer.id); err != nil {
		return 0, err
	}
	return i.stream.Write(p)
}
