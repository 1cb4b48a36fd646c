package swim

import (
	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
)

// Broadcast implements gossip.Membership. This node tells RetransmitMult × ceil(log10(n+1))
// members; those to whom the message is news pass it on by a Broadcast of their own.
func (s *Swim) Broadcast(key string, msg []byte) {
	if len(msg) > gossip.MaxBroadcast {
		s.dropped("broadcast-too-large", micronet.NodeID{})
		return
	}
	if s.enqueue(key, msg) {
		s.dropped("broadcasts-full", micronet.NodeID{})
	}
}

// enqueue reports whether another message had to go.
func (s *Swim) enqueue(key string, msg []byte) (dropped bool) {
	s.outboxMu.Lock()
	defer s.outboxMu.Unlock()
	return s.outbox.put(key, msg)
}

// takeBroadcasts returns messages for one packet.
func (s *Swim) takeBroadcasts(overhead, limit int) [][]byte {
	times := retransmits(s.config.Profile.RetransmitMult, int(s.size.Load()))
	s.outboxMu.Lock()
	defer s.outboxMu.Unlock()
	return s.outbox.take(overhead, limit, times)
}

func (s *Swim) dropped(why string, peer micronet.NodeID) {
	s.env.Events.PacketDropped(micronet.PacketDrop{Where: "gossip", Why: why, Peer: peer})
}
