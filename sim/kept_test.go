package sim

import (
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/node"
	"github.com/micro/micro-net/sim/scenario"
)

// A record that was held may not go before its time, unless the daemon began anew.
func TestKept(t *testing.T) {
	self, owner := micronet.NodeID{1}, micronet.NodeID{2}
	for name, c := range map[string]struct {
		age    time.Duration // of the record when it was held
		epoch  uint64        // of the daemon when it is not any more
		faults int
	}{
		"lost":    {time.Hour, 1, 1},
		"expired": {gossip.DefaultKeep, 1, 0},
		"reborn":  {time.Hour, 2, 0},
	} {
		m := newMesh(&scenario.Scenario{Groups: []scenario.Group{{Name: "n", Nodes: 2}}}, 1)
		m.learn(owner, m.machines[1])
		look := func(epoch uint64, docs ...gossip.Entry) {
			m.checkKept(&sight{m.machines[0], node.Snapshot{Self: self, Nodes: []micronet.Node{{ID: self, Epoch: epoch}}, Documents: docs}})
		}
		look(1, gossip.Entry{Document: gossip.Document{Owner: owner}, Confirmed: time.Now().Add(-c.age)})
		look(c.epoch)
		look(c.epoch)
		if len(m.failures) != c.faults {
			t.Errorf("%s: %v, want %d faults", name, m.failures, c.faults)
		}
	}
}

func TestNamesakesOfASight(t *testing.T) {
	at := func(name string, s micronet.NodeStatus) micronet.Node { return micronet.Node{Name: name, Status: s} }
	s := &sight{Snapshot: node.Snapshot{Nodes: []micronet.Node{
		at("", micronet.Alive), at("", micronet.Alive), at("a", micronet.Left), at("a", micronet.Alive), at("b", micronet.Dead), at("b", micronet.Alive), at("c", micronet.Alive),
	}}}
	if name, n := s.namesakes(); name != "b" || n != 1 {
		t.Errorf("%d nodes have the name of another, the first is %q", n, name)
	}
}
