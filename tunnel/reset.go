package tunnel

import (
	"errors"

	micronet "github.com/micro/micro-net"
)

// errReset marks errors of streams that the other side cut short.
var errReset = errors.New("reset by peer")

// IsReset reports whether err says that the peer aborted the stream, or closed the connection
// below it, before the stream had ended: what was on its way is lost.
func IsReset(err error) bool { return errors.Is(err, errReset) }

// ResetError is the error of a stream that the peer aborted: kind Closed, and IsReset. why adds
// what is known about it and may be "".
func ResetError(op string, peer micronet.NodeID, why string) error {
	if why == "" {
		return micronet.E(op, micronet.Closed, "%w", errReset).WithPeer(peer)
	}
	return micronet.E(op, micronet.Closed, "%w: %s", errReset, why).WithPeer(peer)
}
