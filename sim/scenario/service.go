package scenario

import (
	"time"

	micronet "github.com/micro/micro-net"
)

// Service is a program that runs on some nodes, and answers.
type Service struct {
	Line      int
	Name      string            // a valid name of a service
	Instances int               // 0 where On is given, and for services that a Register step starts
	On        Selector          // zero: Instances are spread, see Place
	Protocol  micronet.Protocol // HTTP or TCP
	Port      uint16            // never 0
	Check     Check
}

// CheckKind is how a service is checked.
type CheckKind string

// The kinds of check.
const (
	CheckDefault CheckKind = ""     // what the daemon does unasked
	CheckNone    CheckKind = "none" // always taken for healthy
	CheckTCP     CheckKind = "tcp"
	CheckHTTP    CheckKind = "http"
)

// Check is the health check of a service. What is zero is the daemon's default.
type Check struct {
	Kind      CheckKind
	Path      string // of an HTTP check
	Interval  time.Duration
	Timeout   time.Duration
	Failures  int // in a row that make it critical
	Successes int // in a row that make it passing again
}

// Place returns the indices of the nodes on which instances run, one for each instance. Without
// On they are spread evenly over all nodes, the first on the second node: a split of the mesh leaves
// instances on both sides.
func (s *Service) Place(nodes []NodeRef, draw func(n int) int) []int {
	if !s.On.IsZero() {
		return s.On.Resolve(nodes, draw)
	}
	if len(nodes) == 0 {
		return nil
	}
	out := make([]int, s.Instances)
	for i := range out {
		out[i] = (1 + i*max(1, len(nodes)/s.Instances)) % len(nodes)
	}
	return out
}

// TrafficKind is what callers do.
type TrafficKind string

// The kinds of traffic.
const (
	Requests TrafficKind = "request" // a connection, a question, an answer
	Streams  TrafficKind = "stream"  // a long connection on which bytes are echoed
)

// Traffic is calls from nodes to a service.
type Traffic struct {
	Line  int
	From  Selector
	To    string  // a Service.Name
	Rate  float64 // calls per second of each node, above 0
	Kind  TrafficKind
	Size  int64         // bytes of an answer, or of a stream both ways
	Start time.Duration // the first call
	Stop  time.Duration // no call from then on; Scenario.Duration when the file does not say

	// Patience is how long a caller waits for something to come back until it gives up, above 0.
	Patience time.Duration
}
