package quic

import (
	"errors"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
	quicgo "github.com/quic-go/quic-go"
)

// inbound is a stream that a peer opened.
type inbound struct {
	stream
	opening tunnel.Opening
	reply   tunnel.Reply
}

var _ tunnel.Inbound = (*inbound)(nil)

func newInbound(l *link, q *quicgo.Stream, o tunnel.Opening) *inbound {
	return &inbound{stream: makeStream(l, q), opening: o}
}

// From returns who opened the stream, as the handshake proved it.
func (i *inbound) From() micronet.NodeID { return i.link.peer }

// Opening returns what the stream was opened with.
func (i *inbound) Opening() tunnel.Opening { return i.opening }

// Accept answers the opening frame.
func (i *inbound) Accept() error {
	return i.answer("tunnel.accept", tunnel.Answer{Accepted: true})
}

// Refuse answers with a kind and one sentence and closes the stream.
func (i *inbound) Refuse(kind micronet.Kind, reason string) error {
	err := i.answer("tunnel.refuse", tunnel.Answer{Kind: kind, Reason: reason})
	return errors.Join(err, i.closeWith(streamRefused))
}

func (i *inbound) answer(op string, a tunnel.Answer) error {
	if err := i.reply.Claim(op, i.link.peer); err != nil {
		return err
	}
	_, err := i.stream.Write(tunnel.AppendAnswer(nil, a))
	return err
}

// Write sends payload. The stream must have been accepted.
func (i *inbound) Write(p []byte) (int, error) {
	if err := i.reply.Given(i.link.peer); err != nil {
		return 0, err
	}
	return i.stream.Write(p)
}
