package quic

import (
	"time"

	micronet "github.com/micro/micro-net"
)

// facts is what the rules below know of one connection to a peer. Both sides know nearly the
// same: they differ by the time a packet travels.
type facts struct {
	dialled bool      // by this node
	since   time.Time // when its handshake was done here
	streams int       // open now
	used    time.Time // when the number of streams last changed
	served  bool      // it carried a stream that was not gossip
}

// idle is how long a connection is kept without streams. One that only gossip used is given up soon:
// that goes to random nodes, and hardly ever to the same again.
func (f facts) idle(most time.Duration) time.Duration {
	if f.served {
		return most
	}
	return min(most, gossipIdle)
}

// better reports whether new streams go to a rather than to b. Connections that came up at about
// the same time were dialled by both sides at once, and the one of the smaller id wins. Otherwise
// the newer one wins: nobody dials who holds a connection, so the peer has lost the older one.
func better(self, peer micronet.NodeID, a, b facts) bool {
	gap := a.since.Sub(b.since)
	if a.dialled == b.dialled || gap.Abs() > simultaneous {
		return gap > 0
	}
	return a.dialled == (self.Compare(peer) < 0)
}

// usable reports whether new streams may go to a connection. Both sides close what was idle for
// a while, and a stream opened at that moment would be lost. So nobody uses a connection in the
// last part of that time. What remains is a stream that the two sides closed further apart than
// that: then an Open in the moment when the end is on its way is answered with a reset.
func (f facts) usable(now time.Time, idle time.Duration) bool {
	idle = f.idle(idle)
	return f.streams > 0 || now.Sub(f.used) < idle-idle/sparesPerIdle
}

// spent says why a connection has to be closed, or "". lost is whether new streams go to another
// connection.
func (f facts) spent(now time.Time, idle time.Duration, lost bool) string {
	unused := now.Sub(f.used)
	switch {
	case f.streams > 0:
		return ""
	case unused >= f.idle(idle):
		return "idle"
	case lost && unused >= linger:
		return "another connection took over"
	}
	return ""
}
