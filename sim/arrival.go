package sim

import "time"

// arrival is a service that was registered on a machine by a step, until everybody who can hear that
// machine knows it.
type arrival struct {
	service *service
	machine *machine
	at      time.Duration
	took    time.Duration
	over    bool // all know it, after took
	moot    bool // it was withdrawn, or its host went down, before that
}

// arriveEvery is how exactly arrivals are timed.
const arriveEvery = 50 * time.Millisecond

// arrive begins to watch a registration.
func (m *mesh) arrive(s *service, x *machine) {
	i := s.on[x]
	if i == nil || !i.known {
		return
	}
	a := &arrival{service: s, machine: x, at: m.now()}
	m.arrivals = append(m.arrivals, a)
	m.watchArrival(a)
}

func (m *mesh) watchArrival(a *arrival) {
	switch {
	case !a.machine.alive() || a.service.on[a.machine] == nil:
		a.moot = true
	case m.knownToAll(a):
		a.took, a.over = m.now()-a.at, true
	default:
		m.agenda.put(m.now()+arriveEvery, func() { m.watchArrival(a) })
	}
}

// knownToAll reports whether all who have been able to hear the machine since then hold the record.
func (m *mesh) knownToAll(a *arrival) bool {
	for _, x := range m.machines {
		if !x.judged() || (x != a.machine && m.oracle.connected(x, a.machine) < m.now()-a.at) {
			continue
		}
		s, ok := x.snapshot()
		if held := (&sight{x, s}); !ok || !held.holds(a.machine.id, a.service.spec.Name) {
			return false
		}
	}
	return true
}
