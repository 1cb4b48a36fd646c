package node

import (
	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
)

// news tells which documents are others than when they were looked at last, and whose are gone.
type news map[micronet.NodeID]gossip.Version

// look calls changed for each document of another version than before, and gone for owners without one.
func (n news) look(entries []gossip.Entry, changed func(*gossip.Document), gone func(micronet.NodeID)) {
	for i := range entries {
		d := &entries[i].Document
		if v, known := n[d.Owner]; !known || v != d.Version {
			n[d.Owner] = d.Version
			changed(d)
		}
	}
	if len(n) > len(entries) {
		n.drop(entries, gone)
	}
}

// drop forgets the owners that have no document any more.
func (n news) drop(entries []gossip.Entry, gone func(micronet.NodeID)) {
	held := make(map[micronet.NodeID]bool, len(entries))
	for i := range entries {
		held[entries[i].Document.Owner] = true
	}
	for id := range n {
		if !held[id] {
			delete(n, id)
			gone(id)
		}
	}
}
