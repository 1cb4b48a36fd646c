package sim

import (
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/node"
	"github.com/micro/micro-net/sim/scenario"
)

// kept is what one life of a daemon has held of others: when each record was confirmed last.
type kept struct {
	life      *lifetime
	epoch     uint64 // a daemon that starts again by itself begins with nothing
	confirmed map[micronet.NodeID]time.Time
}

// checkKept: what a node once held of another it keeps, also while it hears nobody: 72 h without a sign
// of the owner are the only reason to forget it.
func (m *mesh) checkKept(s *sight) {
	k := s.machine.keeps(s.Snapshot)
	for i := range s.Documents {
		k.confirmed[s.Documents[i].Document.Owner] = s.Documents[i].Confirmed
	}
	if len(s.Documents) == len(k.confirmed) {
		return
	}
	held := map[micronet.NodeID]bool{}
	for i := range s.Documents {
		held[s.Documents[i].Document.Owner] = true
	}
	for id, at := range k.confirmed {
		if held[id] {
			continue
		}
		delete(k.confirmed, id) // told once
		if x := m.machineOf(id); x != nil && !x.doubtful() && time.Since(at) < gossip.DefaultKeep {
			m.fail(s.machine.name, string(scenario.NoLost), "the record of "+x.name+" was held and is gone")
		}
	}
}

// keeps returns what the present life of a machine's daemon has held.
func (m *machine) keeps(s node.Snapshot) *kept {
	epoch := uint64(0)
	for i := range s.Nodes {
		if s.Nodes[i].ID == s.Self {
			epoch = s.Nodes[i].Epoch
		}
	}
	if m.kept == nil || m.kept.life != m.life || m.kept.epoch != epoch {
		m.kept = &kept{m.life, epoch, map[micronet.NodeID]time.Time{}}
	}
	return m.kept
}
