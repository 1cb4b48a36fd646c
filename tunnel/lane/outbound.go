package lane

import (
	"context"
	"errors"
	"net"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
)

// stream is what outbound and inbound streams have in common.
type stream struct{ s *session }

func (m stream) CloseWrite() error { return m.s.closeWrite() }

// Close ends both directions: what was written is still delivered, what the peer still writes is turned away.
func (m stream) Close() error {
	m.s.close(codeDone)
	return nil
}

// Abort resets both directions at once, also after Close.
func (m stream) Abort() { m.s.abort(codeAborted, m.s.closedHere("tunnel.stream")) }

// LocalAddr returns the identity address of this node.
func (m stream) LocalAddr() net.Addr { return m.s.t.local }

// RemoteAddr returns the identity address of the peer.
func (m stream) RemoteAddr() net.Addr { return m.s.peerAddr }

func (m stream) SetWriteDeadline(at time.Time) error {
	m.s.setDeadline(&m.s.writeBy, at)
	return nil
}

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

func newOutbound(s *session) *outbound {
	o := &outbound{stream: stream{s}}
	o.question.Ask(o)
	return o
}

// Read returns payload once the answer has arrived. A refusal is its error.
func (o *outbound) Read(p []byte) (int, error) {
	if err := o.question.Await(); err != nil {
		return 0, err
	}
	return o.s.read(p)
}

func (o *outbound) Write(p []byte) (int, error) { return o.s.write(p) }

// Answered waits for the answer to the opening frame. It ends with ctx, with the read deadline
// and with the stream.
func (o *outbound) Answered(ctx context.Context) error { return o.question.Answered(ctx) }

// ReadAnswer implements tunnel.Asked.
func (o *outbound) ReadAnswer() error {
	answer, err := o.reader.Next(readerOf{o.s})
	return tunnel.Verdict(answer, err, o.s.peer)
}

type readerOf struct{ s *session }

func (r readerOf) Read(p []byte) (int, error) { return r.s.read(p) }

// ReadUntil implements tunnel.Asked.
func (o *outbound) ReadUntil(at time.Time) error {
	o.s.setDeadline(&o.s.readBy, at)
	return nil
}

// Interrupted implements tunnel.Asked.
func (o *outbound) Interrupted(cause error) error {
	return tunnel.ContextError("tunnel.answer", o.s.peer, cause)
}

func (o *outbound) SetDeadline(at time.Time) error {
	return errors.Join(o.SetReadDeadline(at), o.SetWriteDeadline(at))
}

func (o *outbound) SetReadDeadline(at time.Time) error { return o.question.SetReadDeadline(at) }

// inbound is a stream that a peer opened.
type inbound struct {
	stream
	opening tunnel.Opening
	reply   tunnel.Reply
}

var _ tunnel.Inbound = (*inbound)(nil)

func newInbound(s *session, o tunnel.Opening) *inbound {
	return &inbound{stream: stream{s}, opening: o}
}

// From returns who opened the stream, as the handshake proved it.
func (i *inbound) From() micronet.NodeID { return i.s.peer }

// Opening returns what the stream was opened with.
func (i *inbound) Opening() tunnel.Opening { return i.opening }

func (i *inbound) Read(p []byte) (int, error) { return i.s.read(p) }

// Accept answers the opening frame.
func (i *inbound) Accept() error {
	return i.answer("tunnel.accept", tunnel.Answer{Accepted: true})
}

// Refuse answers with a kind and one sentence and closes the stream.
func (i *inbound) Refuse(kind micronet.Kind, reason string) error {
	err := i.answer("tunnel.refuse", tunnel.Answer{Kind: kind, Reason: reason})
	i.s.close(codeRefused)
	return err
}

func (i *inbound) answer(op string, a tunnel.Answer) error {
	if err := i.reply.Claim(op, i.s.peer); err != nil {
		return err
	}
	_, err := i.s.write(tunnel.AppendAnswer(nil, a))
	return err
}

// Write sends payload. The stream must have been accepted.
func (i *inbound) Write(p []byte) (int, error) {
	if err := i.reply.Given(i.s.peer); err != nil {
		return 0, err
	}
	return i.s.write(p)
}

func (i *inbound) SetDeadline(at time.Time) error {
	return errors.Join(i.SetReadDeadline(at), i.SetWriteDeadline(at))
}

func (i *inbound) SetReadDeadline(at time.Time) error {
	i.s.setDeadline(&i.s.readBy, at)
	return nil
}
