package sim

import (
	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/tunnel"
)

// eclipse passes nothing of others on to the victims: in packets to them is only what keeps the insider itself
// alive, and whoever of them asks for the catalog gets an empty one.
func eclipse(i *insider) *grip {
	victims := map[micronet.NodeID]bool{}
	for x := range i.about {
		victims[x.id] = true
	}
	return &grip{
		packet: func(to micronet.NodeID, payload []byte) [][]byte {
			if !victims[to] {
				return [][]byte{payload}
			}
			return selfish(payload)
		},
		state: func([]byte) []byte { return nil },
		catalog: func(in tunnel.Inbound) bool {
			if !victims[in.From()] {
				return false
			}
			i.mesh.ending.Go(func() { serveNothing(in) })
			return true
		},
	}
}

// selfish leaves of a packet the probes and their answers.
func selfish(packet []byte) (out [][]byte) {
	for _, m := range messagesOf(packet) {
		switch m[0] {
		case kindSuspect, kindAlive, kindDead, kindUser:
		default:
			out = append(out, m)
		}
	}
	return out
}

// serveNothing answers a synchronisation: there is nothing, and nothing is wanted.
func serveNothing(in tunnel.Inbound) {
	ctx, cancel := timeout(streamTime)
	defer cancel()
	defer closeAtEnd(ctx, in)()
	if in.Accept() == nil {
		_, _ = gossip.SyncServer(in, &fakeStore{digest: []byte{1}}, gossip.SyncLimits{})
	}
}

// appease tells each victim that the insider holds the very catalog that the victim holds, so that it finds no
// reason to compare.
func (i *insider) appease() {
	i.victims(func(p parts, o gossip.Member) {
		s, ok := i.mesh.machineOf(o.ID).snapshot()
		if ok && p.under != nil {
			_ = p.under.Send(o.ID, tunnel.ChannelHeartbeat, append(s.Catalog[:8:8], 1))
		}
	})
}
