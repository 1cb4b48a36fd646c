package light

import (
	"errors"
	"io"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
)

// greetingVersion is the first byte of a greeting. TLS begins with tlsHandshake instead.
const (
	greetingVersion = 1
	tlsHandshake    = 22 // content type of a TLS record (RFC 8446 section 5.1)
)

// greetingLen is the size of a greeting in bytes.
const greetingLen = 1 + 2*len(micronet.NodeID{})

// greeting says, without proof, who speaks to whom:
//
//	version 1 | speaker's node id, 32 bytes | listener's node id, 32 bytes
type greeting struct {
	from micronet.NodeID // never zero
	to   micronet.NodeID // zero when the speaker has not listened to who is there
}

func appendGreeting(b []byte, g greeting) []byte {
	b = append(b, greetingVersion)
	b = append(b, g.from[:]...)
	return append(b, g.to[:]...)
}

// decodeGreeting reads the greeting at the start of b. The error is Invalid, or
// io.ErrUnexpectedEOF when b ends inside the greeting.
func decodeGreeting(b []byte) (greeting, error) {
	const op = "tunnel.greeting"
	if len(b) > 0 && b[0] != greetingVersion {
		return greeting{}, micronet.E(op, micronet.Invalid, "version %d is not known here, want %d", b[0], greetingVersion)
	}
	if len(b) < greetingLen {
		return greeting{}, io.ErrUnexpectedEOF
	}
	var g greeting
	ids := b[1:greetingLen]
	copy(g.from[:], ids)
	copy(g.to[:], ids[len(g.from):])
	if g.from.IsZero() {
		return greeting{}, micronet.E(op, micronet.Invalid, "the speaker names nobody as itself")
	}
	return g, nil
}

// reply reads what comes back on a stream first: the callee's greeting and its answer, and not a
// byte more. It keeps what it has read when it is interrupted.
type reply struct {
	want   micronet.NodeID // who was called
	have   []byte
	answer tunnel.AnswerReader
}

// next goes on reading. Errors of r pass through; an end of r is io.EOF or io.ErrUnexpectedEOF, and
// somebody else than who was called is Unauthorized.
func (p *reply) next(r io.Reader) (tunnel.Answer, error) {
	if len(p.have) < greetingLen {
		if err := p.greet(r); err != nil {
			return tunnel.Answer{}, err
		}
	}
	return p.answer.Next(r)
}

func (p *reply) greet(r io.Reader) error {
	start := len(p.have)
	b := make([]byte, greetingLen-start)
	n, err := io.ReadFull(r, b)
	p.have = append(p.have, b[:n]...)
	if errors.Is(err, io.EOF) && len(p.have) > 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return err
	}
	g, err := decodeGreeting(p.have)
	if err == nil && g.from != p.want {
		err = micronet.E("tunnel.open", micronet.Unauthorized, "it is %s, not %s", g.from.Short(), p.want.Short()).WithPeer(p.want)
	}
	return err
}
