package tunnel

import (
	"sync/atomic"

	micronet "github.com/micro/micro-net"
)

// Reply is whether an Inbound was answered: once, and before anything is written. The zero value is not.
type Reply struct{ given atomic.Bool }

// Claim is called by who answers. The error is Internal: somebody has before.
func (r *Reply) Claim(op string, peer micronet.NodeID) error {
	if r.given.Swap(true) {
		return micronet.E(op, micronet.Internal, "the stream was answered before").WithPeer(peer)
	}
	return nil
}

// Given is called by who writes. The error is Internal: nobody has answered.
func (r *Reply) Given(peer micronet.NodeID) error {
	if !r.given.Load() {
		return micronet.E("tunnel.write", micronet.Internal, "the stream was not accepted yet").WithPeer(peer)
	}
	return nil
}
