package sim

import (
	"fmt"

	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/sim/scenario"
)

// maxFlooded is in how many looks, one a second, a node may hold yet another version of the record of
// who floods it. One that stops to listen has a new one once or twice; one that does not, every time.
const maxFlooded = 5

// flooded counts how often a node took over a new version from one that floods it.
type flooded struct {
	version gossip.Version
	changes int
}

// checkFlooded: a member's flood of updates is worth some of them to the others, and not all.
func (m *mesh) checkFlooded(s *sight) {
	for _, i := range m.insiders {
		if i.over || i.forgery != scenario.ForgeFlood || i.machine == s.machine {
			continue
		}
		for k := range s.Documents {
			if d := &s.Documents[k].Document; d.Owner == i.machine.id {
				m.countFlooded(i, s, d.Version)
			}
		}
	}
}

func (m *mesh) countFlooded(i *insider, s *sight, v gossip.Version) {
	f := i.taken[s.machine]
	if f == nil {
		i.taken[s.machine] = &flooded{version: v}
		return
	}
	if f.version == v {
		return
	}
	f.version = v
	if f.changes++; f.changes == maxFlooded {
		m.fail(s.machine.name, string(scenario.Bounded), fmt.Sprintf("goes on to take over what %s floods it with", i.machine.name))
	}
}
