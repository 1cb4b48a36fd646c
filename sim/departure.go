package sim

import (
	"slices"
	"time"

	micronet "github.com/micro/micro-net"
)

// departure is a machine that was taken down, until nobody offers its instances any more.
type departure struct {
	machine *machine
	id      micronet.NodeID
	verb    string
	at      time.Duration
	took    time.Duration
	over    bool // nobody offers them any more, after took
	back    bool // the machine came back before that, after took
}

// departEvery is how exactly departures are timed.
const departEvery = 100 * time.Millisecond

// depart begins to watch a machine that was taken down by a step of the timeline.
func (m *mesh) depart(x *machine, verb string) {
	if !m.serves(x) {
		return
	}
	d := &departure{machine: x, id: x.id, verb: verb, at: m.now()}
	m.departures = append(m.departures, d)
	m.watchDeparture(d)
}

func (m *mesh) serves(x *machine) bool {
	return slices.ContainsFunc(m.services, func(s *service) bool { return s.on[x] != nil })
}

func (m *mesh) watchDeparture(d *departure) {
	if d.machine.alive() {
		d.took, d.back = m.now()-d.at, true
		return
	}
	if !m.offered(d.id) {
		d.took, d.over = m.now()-d.at, true
		return
	}
	m.agenda.put(m.now()+departEvery, func() { m.watchDeparture(d) })
}

// offered reports whether anybody who runs offers an instance of a node.
func (m *mesh) offered(id micronet.NodeID) bool {
	for _, x := range m.machines {
		if !x.alive() {
			continue
		}
		s, ok := x.snapshot()
		for _, svc := range m.services {
			if ok && slices.ContainsFunc(s.Offered(svc.spec.Name), func(k micronet.InstanceKey) bool { return k.Node == id }) {
				return true
			}
		}
	}
	return false
}
