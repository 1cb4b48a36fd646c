package light

import (
	"errors"
	"sync/atomic"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
)

// inbound is a stream that a peer opened.
type inbound struct {
	*stream
	opening  tunnel.Opening
	answered atomic.Bool
}

var _ tunnel.Inbound = (*inbound)(nil)

// From returns who says that it opened the stream.
func (i *inbound) From() micronet.NodeID { return i.peer }

// Opening returns what the stream was opened with.
func (i *inbound) Opening() tunnel.Opening { return i.opening }

// Accept answers the opening frame.
func (i *inbound) Accept() error { return i.answer("tunnel.accept", tunnel.Answer{Accepted: true}) }

// Refuse answers with a kind and one sentence and closes the stream.
func (i *inbound) Refuse(kind micronet.Kind, reason string) error {
	err := i.answer("tunnel.refuse", tunnel.Answer{Kind: kind, Reason: reason})
	return errors.Join(err, i.Close())
}

func (i *inbound) answer(op string, a tunnel.Answer) error {
	if i.answered.Swap(true) {
		return micronet.E(op, micronet.Internal, "the stream was answered before").WithPeer(i.peer)
	}
	_, err := i.stream.Write(tunnel.AppendAnswer(nil, a))
	return err
}

// Write sends payload. The stream must have been accepted.
func (i *inbound) Write(p []byte) (int, error) {
	if !i.answered.Load() {
		return 0, micronet.E("tunnel.write", micronet.Internal, "the stream was not accepted yet").WithPeer(i.peer)
	}
	return i.stream.Write(p)
}
