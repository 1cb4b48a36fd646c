package report

import "time"

// Run is one simulated run: what was asked, what happened, what was measured. All times are virtual
// and count from the start of the run, except Wall. Lists that have times are sorted by them.
type Run struct {
	Scenario     string        // the name of the scenario
	About        string        // one or two sentences about it, "" for none
	Seed         uint64        // the seed that makes the run
	Fidelity     string        // "full" or "gossip"
	Command      string        // the exact command that repeats the run
	Nodes        int           // nodes at the start
	Virtual      time.Duration // how much virtual time passed
	Wall         time.Duration // how long the run took on the machine
	Events       uint64        // steps of the simulator
	Hash         uint64        // over every packet: equal for runs that were equal
	Passed       bool          // nothing failed
	Failures     []Failure
	Expectations []Expectation
	Times        Times
	Faults       []Span
	Samples      []Sample
	Traffic      []Traffic
	Topology     Topology
	PerNode      []NodeStat
	Log          []Event // the last events, the newest at the end
	States       []NodeState
}

// Failure is something that must not happen and did.
type Failure struct {
	At        time.Duration
	Node      string // who saw it, "" when it concerns the whole mesh
	Invariant string // its name: "no_ghosts", "converged"…
	Text      string // what was seen, and what should have been
}

// Expectation is a sentence of the scenario and how it ended.
type Expectation struct {
	Text     string // as the scenario file says it
	Held     bool
	Measured string // what was measured: "converged 3.2s after the heal"
}

// Times is how long things took in a run, each list in the order in which they began.
type Times struct {
	Heal  []time.Duration // a mesh that had become whole, until membership and catalog were equal everywhere
	Gone  []time.Duration // a host that went down, until nobody offered its instances any more
	Known []time.Duration // a registration, until everybody who could hear its node knew it
	// A revocation, until a node refused the key; for one that had been cut off, since it could hear of it.
	Revoked, RevokedLate []time.Duration
	Paused               []time.Duration // streams that stood still
	Severed              []time.Duration // from then on, until the last byte passed between two that had been talking; 0: none did
}

// Span is a fault, from when it began to when it was taken back.
type Span struct {
	From, To time.Duration // To 0: until the end of the run; To = From: an instant, as a kill is
	Kind     string        // the verb: "partition", "kill"…
	Label    string        // what it was done to: "1-10 | 11-20"
}

// Sample is the state of the whole mesh at one time. NaN stands for "not measured" in the floats.
type Sample struct {
	At          time.Duration
	Members     float64 // 0..1: share of ordered pairs of nodes (a, b) where a's belief about b is the truth
	Catalog     float64 // 0..1: share of nodes whose catalog has the digest it should have
	Alive       float64 // how many nodes the average node sees as alive
	Suspect     float64 // as suspect
	Dead        float64 // as dead
	GossipBytes float64 // bytes per second that the average node sent for gossip since the sample before
	Goroutines  int     // of the process; 0: not measured
	Heap        uint64  // bytes of the process; 0: not measured
}

// Traffic is what the callers of one service saw.
type Traffic struct {
	Service string
	Buckets []Bucket
}

// Bucket is the traffic of one service from At until the next bucket.
type Bucket struct {
	At         time.Duration // when it begins
	OK, Failed int           // requests that ended in this time
	P50, P99   time.Duration // latency of those that went well; 0: there were none
}

// Topology is who could talk to whom at the end of the run.
type Topology struct {
	Nodes []TopologyNode
	Edges []Edge
}

// TopologyNode is a node of the drawing.
type TopologyNode struct {
	Name  string
	Group string // "" for none
}

// The states of an Edge.
const (
	EdgeDirect = "direct" // packets take the direct path
	EdgeRelay  = "relay"  // packets go over a third node
	EdgeDown   = "down"   // a path that should be there is not
)

// Edge is a path between two nodes. Which end is A means nothing.
type Edge struct {
	A, B  string        // names of nodes; an edge to an unknown node is not drawn
	RTT   time.Duration // 0: unknown
	State string        // one of the constants above; anything else is drawn as EdgeDirect
}

// NodeStat is what one node used, over the whole run.
type NodeStat struct {
	Name        string
	GossipBytes float64 // bytes per second sent for gossip; NaN: not measured
	Sent        uint64  // packets
	Received    uint64  // packets
	Dropped     uint64  // packets and messages its own rules threw away
	Memory      uint64  // bytes of its tables and queues; 0: not measured
	Members     int     // nodes it knows, itself included
	Records     int     // records in its catalog
}

// Event is one line of the log.
type Event struct {
	At     time.Duration
	Node   string // where it happened, "" for the simulator itself
	Kind   string // a short word: "suspect", "send", "kill"…
	Peer   string // whom it concerned, "" for nobody
	Detail string
}

// NodeState is what a node believed at the end.
type NodeState struct {
	Name string
	Text string // YAML or JSON
}
