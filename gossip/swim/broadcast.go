package swim

import (
	"bytes"

	"github.com/hashicorp/memberlist"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
)

// maxBroadcasts bounds the messages that wait to be spread. When it is exceeded, those that
// were sent most often are dropped.
const maxBroadcasts = 1024

// Broadcast implements gossip.Membership. This node tells RetransmitMult × ceil(log10(n+1))
// members; those to whom the message is news pass it on by a Broadcast of their own.
func (s *Swim) Broadcast(key string, msg []byte) {
	if len(msg) > gossip.MaxBroadcast {
		s.dropped("broadcast-too-large", micronet.NodeID{})
		return
	}
	s.queue.QueueBroadcast(&broadcast{key: key, msg: bytes.Clone(msg)})
	over := s.queue.NumQueued() - maxBroadcasts
	if over <= 0 {
		return
	}
	s.queue.Prune(maxBroadcasts)
	for range over {
		s.dropped("broadcasts-full", micronet.NodeID{})
	}
}

// broadcast is a message that waits in the queue; the key names it there.
type broadcast struct {
	key string
	msg []byte
}

var _ memberlist.NamedBroadcast = (*broadcast)(nil)

// Invalidates implements memberlist.Broadcast.
func (b *broadcast) Invalidates(other memberlist.Broadcast) bool {
	o, ok := other.(*broadcast)
	return ok && o.key == b.key
}

// Message implements memberlist.Broadcast.
func (b *broadcast) Message() []byte { return b.msg }

// Finished implements memberlist.Broadcast.
func (b *broadcast) Finished() {}

// Name implements memberlist.NamedBroadcast. A queue entry without a name is never replaced.
func (b *broadcast) Name() string { return b.key }

func (s *Swim) dropped(why string, peer micronet.NodeID) {
	s.env.Events.PacketDropped(micronet.PacketDrop{Where: "gossip", Why: why, Peer: peer})
}
