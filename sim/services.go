package sim

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/micro/micro-net/sim/scenario"
)

// service is a service of the scenario, and where it runs.
type service struct {
	spec scenario.Service
	on   map[*machine]*instance
	gone map[*machine]time.Duration // when instances were withdrawn
}

// instance is a place where a service runs whenever its host is up.
type instance struct {
	program    *program // nil while the host is down
	registered time.Duration
	known      bool // its registration was written
}

// placeServices decides where the services run, and starts those whose hosts are up already.
func (m *mesh) placeServices() {
	for _, spec := range m.scenario.Services {
		s := m.addService(spec)
		for _, i := range spec.Place(m.refs, m.rng.IntN) {
			m.offer(s, m.machines[i])
		}
	}
}

func (m *mesh) addService(spec scenario.Service) *service {
	s := &service{spec: spec, on: map[*machine]*instance{}, gone: map[*machine]time.Duration{}}
	m.services = append(m.services, s)
	return s
}

func (m *mesh) service(name string) *service {
	for _, s := range m.services {
		if s.spec.Name == name {
			return s
		}
	}
	return nil
}

// offer makes a machine one on which a service runs, now if it is up.
func (m *mesh) offer(s *service, x *machine) {
	if s.on[x] != nil {
		return
	}
	i := &instance{}
	s.on[x] = i
	if x.state == running {
		m.startProgram(s, x, i)
	}
}

func (m *mesh) startPrograms(x *machine) {
	for _, s := range m.services {
		if i := s.on[x]; i != nil && i.program == nil {
			m.startProgram(s, x, i)
		}
	}
}

// startProgram starts a program and registers it by a service file. A full disk that keeps it from
// that is the scenario's wish.
func (m *mesh) startProgram(s *service, x *machine, i *instance) {
	p, err := startProgram(context.Background(), x.host, x.name, m.watchProgram(s, x))
	if err == nil {
		err = register(x.host.FS(), s.spec, p.port)
	}
	if err != nil {
		m.recorder.add(x.name, "error", "", "register "+s.spec.Name+": "+err.Error())
	}
	i.program, i.registered, i.known = p, m.now(), err == nil
}

// withdraw ends the instance of a service on a machine. Nobody can do that on a host that is down.
func (m *mesh) withdraw(s *service, x *machine) {
	i := s.on[x]
	if i == nil || !x.host.Up() {
		return
	}
	delete(s.on, x)
	s.gone[x] = m.now()
	if i.program == nil {
		return
	}
	if err := deregister(x.host.FS(), s.spec.Name); err != nil {
		m.recorder.add(x.name, "error", "", "deregister "+s.spec.Name+": "+err.Error())
	}
	m.ending.Go(i.program.stop)
}

// stopPrograms ends the programs of a host. They start again with it.
func (m *mesh) stopPrograms(x *machine) {
	for _, s := range m.services {
		if i := s.on[x]; i != nil && i.program != nil {
			m.ending.Go(i.program.stop)
			i.program = nil
		}
	}
}

// places lists the machines on which a service is meant to run, in order.
func (s *service) places() []*machine {
	out := make([]*machine, 0, len(s.on))
	for x := range s.on {
		out = append(out, x)
	}
	slices.SortFunc(out, func(a, b *machine) int { return cmp.Compare(a.index, b.index) })
	return out
}
