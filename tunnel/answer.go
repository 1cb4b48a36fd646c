package tunnel

import (
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	micronet "github.com/micro/micro-net"
)

// MaxReason bounds the words of a refusal, in bytes. Longer ones are cut.
const MaxReason = 512

// maxAnswer is the largest answer frame: version, status, two bytes of length, the words.
const maxAnswer = 4 + MaxReason

// Answer is the first frame that comes back on a stream.
type Answer struct {
	Accepted bool
	Kind     micronet.Kind // why not, when it was refused
	Reason   string        // in words
}

// Err is nil for an acceptance, else the refusal with the peer's kind and words.
func (a Answer) Err(peer micronet.NodeID) error {
	if a.Accepted {
		return nil
	}
	reason := a.Reason
	if reason == "" {
		reason = "the peer refused the stream"
	}
	return micronet.E("tunnel.open", a.Kind, "%s", reason).WithPeer(peer)
}

// Verdict is what an answer means to the caller, or an error of reading it: nil for an acceptance, the refusal, Closed where the
// stream has ended without an answer. Other errors pass through.
func Verdict(a Answer, err error, peer micronet.NodeID) error {
	switch {
	case err == nil:
		return a.Err(peer)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return micronet.E("tunnel.answer", micronet.Closed, "the peer closed the stream without an answer").WithPeer(peer)
	}
	return err
}

// AppendAnswer appends the frame that answers an opening frame:
//
//	version 1 | status: 0 accepted, else 1 + kind | length of the words, varint | words
//
// Words longer than MaxReason are cut, bytes that are no UTF-8 replaced.
func AppendAnswer(b []byte, a Answer) []byte {
	status := byte(0)
	if !a.Accepted {
		status = 1 + byte(min(a.Kind, micronet.NoDaemon))
	}
	reason := strings.ToValidUTF8(a.Reason, "?")
	if len(reason) > MaxReason {
		reason = strings.ToValidUTF8(reason[:MaxReason], "") // the cut may have split a character
	}
	b = append(b, openingVersion, status)
	b = binary.AppendUvarint(b, uint64(len(reason)))
	return append(b, reason...)
}

// DecodeAnswer reads the answer frame at the start of b and returns what follows it. A kind that
// is not known here is Internal. The error is Invalid, or io.ErrUnexpectedEOF when b ends inside
// the frame.
func DecodeAnswer(b []byte) (Answer, []byte, error) {
	size, err := answerSize(b)
	if err != nil {
		return Answer{}, b, err
	}
	if size > len(b) {
		return Answer{}, b, io.ErrUnexpectedEOF
	}
	_, n, err := streamVarint(b[2:])
	if err != nil {
		return Answer{}, b, err
	}
	reason := b[2+n : size]
	if !utf8.Valid(reason) {
		return Answer{}, b, badFrame("the words of the answer are no UTF-8")
	}
	a := Answer{Accepted: b[1] == 0, Reason: string(reason)}
	if !a.Accepted {
		a.Kind = micronet.Kind(b[1] - 1)
	}
	if a.Kind > micronet.NoDaemon {
		a.Kind = micronet.Internal
	}
	return a, b[size:], nil
}

// AnswerReader reads one answer frame from a stream and not a byte more. It keeps what it has
// read when it is interrupted, by a deadline for one. The zero value is ready.
type AnswerReader struct {
	have []byte
}

// Next goes on reading the frame from r. Errors of r pass through, an end of r inside the frame
// is io.ErrUnexpectedEOF, before it io.EOF.
func (a *AnswerReader) Next(r io.Reader) (Answer, error) {
	var err error
	if a.have, err = fillStreamFrame(r, a.have, answerSize); err != nil {
		return Answer{}, err
	}
	answer, _, err := DecodeAnswer(a.have)
	return answer, err
}

func answerSize(b []byte) (int, error) {
	return streamFrameSize(b, 2, maxAnswer)
}
