package sim

import (
	"time"

	"github.com/micro/micro-net/sim/scenario"
)

const (
	// tickNodes is the size from which a mesh has ticks: in a smaller one hardly two nodes have
	// something to do within one, and exact instants cost nothing.
	tickNodes = 50
	// tickShare is the part of the shortest way of a packet that a tick may take, tickMost the longest tick.
	tickShare = 8
	tickMost  = time.Millisecond
)

// tickOf is how long packets of a scenario are gathered until they arrive together, so that all
// processors have something to do; 0: not at all.
func tickOf(s *scenario.Scenario) time.Duration {
	if !Parallel(s) {
		return 0
	}
	return min(shortest(s)/tickShare, tickMost)
}

// Parallel reports whether a scenario has work for several processors at once. In smaller ones a second processor
// mostly looks for work, which costs the first one time.
func Parallel(s *scenario.Scenario) bool { return len(s.Nodes()) >= tickNodes }

// shortest is the least latency between two nodes that a scenario speaks of.
func shortest(s *scenario.Scenario) time.Duration {
	least := s.Network.Latency
	note := func(l scenario.Link) { least = min(least, l.Over(s.Network).Latency) }
	for i := range s.Groups {
		note(s.Groups[i].Network)
	}
	for i := range s.Links {
		note(s.Links[i].Link)
	}
	for i := range s.Timeline {
		switch a := s.Timeline[i].Action.(type) {
		case scenario.SetLink:
			note(a.Link)
		case scenario.SetNetwork:
			note(a.Link)
		}
	}
	return least
}
