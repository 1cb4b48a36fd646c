package sim

import (
	"time"

	"github.com/micro/micro-net/sim/scenario"
)

// clone adds a machine with a copy of another's disk, and so with its identity, and starts it. No
// services run on it.
func (m *mesh) clone(a scenario.Clone) {
	of := m.selected(a.Of)[0]
	x := m.add(scenario.Cloned(a.As))
	x.twinOf = of
	of.host.Disk().CloneTo(x.host.Disk())
	m.faults.block()
	m.faults.apply()
	m.start(x)
}

// doubtTwin notes that two machines speak with one voice, or do so no longer: while they do, nobody
// can say what is true of either.
func (x *machine) doubtTwin() {
	switch {
	case x.twinOf == nil:
	case x.state == running:
		x.doubted, x.twinOf.doubted = forever(), forever()
	default:
		x.twinOf.doubted = time.Now()
	}
}

// forever is later than any run ends.
func forever() time.Time { return time.Now().Add(100 * 365 * 24 * time.Hour) }
