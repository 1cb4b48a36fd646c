package sim

import (
	"fmt"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/sim/scenario"
)

func (m *mesh) registerOn(name string, list []*machine) (undo func()) {
	s := m.service(name)
	each(list, func(x *machine) { m.offer(s, x); m.arrive(s, x) })
	return func() { each(list, func(x *machine) { m.withdraw(s, x) }) }
}

func (m *mesh) deregisterOn(name string, list []*machine) (undo func()) {
	s := m.service(name)
	each(list, func(x *machine) { m.withdraw(s, x) })
	return func() { each(list, func(x *machine) { m.offer(s, x) }) }
}

// churn registers and withdraws instances of services of its own, at random places, until a time.
func (m *mesh) churn(a scenario.Churn, until time.Duration) {
	var own []*service
	m.made.churns++
	for i := range a.Services {
		own = append(own, m.addService(scenario.Service{
			Name: fmt.Sprintf("churn-%d-%d", m.made.churns, i+1), Protocol: micronet.TCP, Port: 7000, Check: scenario.Check{Kind: scenario.CheckNone},
		}))
	}
	gap := time.Duration(float64(time.Second) / a.Rate)
	var change func()
	change = func() {
		s, x := own[m.rng.IntN(len(own))], m.machines[m.rng.IntN(len(m.machines))]
		if s.on[x] != nil {
			m.withdraw(s, x)
		} else if x.state == running {
			m.offer(s, x)
		}
		if m.now()+gap < until {
			m.agenda.put(m.now()+gap, change)
		}
	}
	change()
}
