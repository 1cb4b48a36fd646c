package sim

import (
	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/tunnel"
)

// eclipse passes nothing of others on to the victims: in packets to them is only what keeps the insider itself
// alive, and whoever of them asks for the catalog gets an empty one.
func eclipse(i *insider) *grip {
	victims := i.targets()
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

// targets are the identities of the victims now: goroutines of the daemon may not ask the simulation.
func (i *insider) targets() map[micronet.NodeID]bool {
	out := map[micronet.NodeID]bool{}
	for x := range i.about {
		out[x.id] = true
	}
	return out
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

// toldOfSums is how much of its fingerprints a node tells, and noBeats what follows where nobody's sign of life does; see
// node's pulse.go.
const (
	toldOfSums = 8
	noBeats    = 1
)

// appease tells each victim that the insider holds the very catalog and the statements that the victim holds, so
// that it finds no reason to compare.
func (i *insider) appease() {
	i.victims(func(p parts, o gossip.Member) {
		s, ok := i.mesh.machineOf(o.ID).snapshot()
		if ok && p.under != nil {
			b := append(s.Catalog[:toldOfSums:toldOfSums], s.Ledger[:toldOfSums]...)
			_ = p.under.Send(o.ID, tunnel.ChannelHeartbeat, append(b, noBeats))
		}
	})
}
