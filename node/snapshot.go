package node

import (
	"crypto/sha256"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/node/api"
)

// Snapshot is what a node believes at one moment. Everything in it is read-only.
type Snapshot struct {
	Self  micronet.NodeID
	Ready bool
	Made  time.Time       // when the node looked at what it knows last; about once a second
	Nodes []micronet.Node // all known, this one too, sorted by name and id
	// Catalog is equal at nodes that hold the same documents: a hash over owner, version and
	// content of each.
	Catalog   [sha256.Size]byte
	Documents []gossip.Entry // sorted by owner
	// Ledger is equal at nodes that hold the same statements of authorities.
	Ledger gossip.StatementHash

	view    *view
	records *records
}

// Signed is the record of a node that is held now, as its owner signed it, in the form in which nodes
// exchange it.
func (s *Snapshot) Signed(owner micronet.NodeID) ([]byte, bool) { return s.records.Document(owner) }

// Offered lists the instances of a service that callers here may be led to: they are healthy, do not
// flap, and nothing speaks against their nodes.
func (s *Snapshot) Offered(service string) []micronet.InstanceKey {
	var usable []*placed
	for _, p := range s.view.instances[service] {
		if p.usable() {
			usable = append(usable, p)
		}
	}
	var out []micronet.InstanceKey
	for _, p := range undamped(usable) {
		out = append(out, micronet.InstanceKey{Node: p.node.ID, ID: p.instance.ID})
	}
	return out
}

// Snapshot tells what the node believes now; false when it is not running, or not yet a member of
// a cluster. It is meant for tests and simulations: people ask the API.
func (n *Node) Snapshot() (Snapshot, bool) {
	l := n.current.Load()
	if l == nil {
		return Snapshot{}, false
	}
	v := l.view.Load()
	s := Snapshot{view: v, records: l.records, Made: v.made, Self: l.self, Nodes: v.nodes, Documents: l.records.entries(), Catalog: l.records.fingerprint(), Ledger: l.statements.held.Load().Fingerprint().Hash}
	select {
	case <-l.ready:
		s.Ready = true
	default:
	}
	return s, true
}

// Warnings lists what `status` warns of now, most urgent first; none when the node is not running.
func (n *Node) Warnings() []api.Warning {
	l := n.current.Load()
	if l == nil {
		return nil
	}
	return l.warnings()
}
