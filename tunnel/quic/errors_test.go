package quic

import (
	"fmt"
	"testing"

	quicgo "github.com/quic-go/quic-go"
)

func TestEndedConn(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{&quicgo.StreamError{Remote: true, ErrorCode: streamOverload}, false},
		{&quicgo.StreamError{ErrorCode: streamAborted}, false},
		{&quicgo.StatelessResetError{}, true},
		{&quicgo.IdleTimeoutError{}, true},
		{&quicgo.ApplicationError{Remote: true, ErrorCode: linkStopped}, true},
		{fmt.Errorf("write: %w", &quicgo.TransportError{ErrorCode: quicgo.NoViablePathError}), true},
	} {
		if got := endedConn(c.err); got != c.want {
			t.Errorf("endedConn(%v) = %v, want %v", c.err, got, c.want)
		}
	}
}
