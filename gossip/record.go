package gossip

import (
	"net/netip"

	micronet "github.com/micro/micro-net"
)

// Version orders the documents of one node: by epoch, see StartOf, then by sequence. Dates never
// order anything.
type Version struct {
	Epoch uint64
	Seq   uint64
}

// Less reports whether v is older than w.
func (v Version) Less(w Version) bool {
	return v.Epoch < w.Epoch || (v.Epoch == w.Epoch && v.Seq < w.Seq)
}

// MaxHeartbeat bounds the anchor in a document. What is in it is the heartbeats' business.
const MaxHeartbeat = 64

// MaxRight bounds the right in a document. Whether it is one is for whoever knows the cluster's roots.
const MaxRight = 256

// Document is everything a node announces about itself. Each node owns exactly one; it alone
// can sign it.
type Document struct {
	Owner     micronet.NodeID
	Version   Version
	Left      bool // the owner's goodbye: no instances, and no return without a newer epoch
	Name      string
	Cluster   string
	Software  string // version of the daemon
	Gateway   bool
	Heartbeat []byte // anchor of the owner's chain of heartbeats, at most MaxHeartbeat bytes; nil: none
	Right     []byte // by what the owner signs for the cluster, at most MaxRight bytes; nil: it does not
	Endpoints []netip.AddrPort
	Instances []micronet.Instance // sorted by ID
}
