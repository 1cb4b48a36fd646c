package node

import (
	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
)

// delegate answers membership's questions. Its methods are called from membership's goroutines
// and only copy, compare and enqueue.
type delegate struct {
	records    *records
	statements *statements
	admit      func(id micronet.NodeID, epoch uint64, credential []byte) error
	changed    func()
	poison     *poison
}

var _ gossip.Delegate = delegate{}

// Admit lets in who holds a credential of our cluster for that very id.
func (d delegate) Admit(id micronet.NodeID, epoch uint64, credential []byte) error {
	return d.poison.guard(micronet.NodeID{}, "membership", func() error { return d.admit(id, epoch, credential) })
}

// Changed makes the view anew.
func (d delegate) Changed() { d.changed() }

// Received takes a broadcast: a word of an authority, or one of the catalog.
func (d delegate) Received(msg []byte) {
	_ = d.poison.guard(micronet.NodeID{}, "catalog", func() error { // it was reported
		if raw, ok := gossip.StatementIn(msg); ok {
			d.statements.received(raw)
		} else {
			d.records.received(msg)
		}
		return nil
	})
}

// State is the catalog's digest.
func (d delegate) State() []byte {
	digest := d.records.Digest()
	if len(digest) > gossip.MaxState {
		// The regular synchronisation over a stream carries what does not fit here.
		return nil
	}
	return digest
}

// Merge compares a member's digest with what is held.
func (d delegate) Merge(state []byte) {
	if len(state) > 0 {
		_ = d.poison.guard(micronet.NodeID{}, "catalog", func() error { d.records.merge(state); return nil }) // it was reported
	}
}
