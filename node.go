package micronet

import (
	"net/netip"
	"time"
)

// NodeStatus is what this node believes of another one.
type NodeStatus string

// The states of a node.
const (
	Alive   NodeStatus = "alive"
	Suspect NodeStatus = "suspect"
	Dead    NodeStatus = "dead"
	Left    NodeStatus = "left"
	Revoked NodeStatus = "revoked"
)

// Serving reports whether instances of a node in this state may be offered.
func (s NodeStatus) Serving() bool { return s == Alive || s == Suspect }

// Node is one daemon as this node knows it.
type Node struct {
	ID        NodeID
	Name      string
	Cluster   string
	Status    NodeStatus
	Epoch     uint64           // counts the starts of that node
	Endpoints []netip.AddrPort // addresses it says it can be reached at, best first
	Version   string           // of its software
	Gateway   bool
	RTT       time.Duration // 0 when not measured
	Path      PathKind      // how packets get there, "" when no way is known that does
	Relay     NodeID        // of a relayed path
	TCP       bool          // the path begins with a connection over TCP
	Lanes     int           // how many connections over TCP carry streams of programs there, or are ready to
	Heard     time.Time     // when it was last heard, zero for never
}
