package proxy

import (
	"context"
	"net/netip"
	"time"

	micronet "github.com/micro/micro-net"
)

// Routes chooses an instance. The node puts the router behind it.
type Routes interface {
	// Pick returns a route to an instance of dest that is not among tried. The error is NotFound
	// or Unreachable and says why there is none.
	Pick(now time.Time, dest micronet.Destination, tried []micronet.InstanceKey) (Ticket, error)
}

// Ticket is one chosen route. The instance counts as in use until Done is called, exactly once.
type Ticket struct {
	Route micronet.Route
	Done  func(now time.Time, o Outcome)
}

// Outcome is how the use of a route went.
type Outcome struct {
	// Latency is the time from the first byte sent to the first byte received or, where there is
	// no such pair, from asking to being accepted; 0 when neither is known.
	Latency time.Duration
	// Err is why the attempt failed; nil also when the connection broke later. With Failed unset it
	// says nothing of the instance, neither that it serves nor that it does not.
	Err    error
	Failed bool // the instance could not take the connection: eject it
}

// Opener opens streams to instances of other nodes.
type Opener interface {
	// OpenService returns once the opening frame is on its way. ctx bounds the call alone.
	OpenService(ctx context.Context, route micronet.Route, caller micronet.Caller) (Opened, error)
	// Fresh reports whether something authentic was heard from the node within the last 2 s.
	Fresh(node micronet.NodeID) bool
}

// LocalFrom returns the 127.x address that stands for a caller, invalid for none.
type LocalFrom func(caller micronet.Caller) netip.Addr
