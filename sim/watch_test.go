package sim

import (
	"context"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/sim/scenario"
)

// watch runs a scenario, given as text, and looks into the simulation at some times.
func watch(t *testing.T, text string, looks map[time.Duration]func(m *mesh)) {
	t.Helper()
	s, err := scenario.Parse("test", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	err = Bubble(func() {
		m := newMesh(s, 1)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- m.world.Run(ctx) }()
		if err := m.begin(); err != nil {
			t.Error(err)
		}
		for at, look := range looks {
			m.agenda.put(at, func() { look(m) })
		}
		m.run()
		m.judgeAll()
		for _, f := range m.failures {
			t.Error(f)
		}
		m.end()
		time.Sleep(graceTime)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

const quiet = "name: test\nnetwork: {latency: 5ms}\n"

func (m *mesh) named(name string) *machine {
	for _, x := range m.machines {
		if x.name == name {
			return x
		}
	}
	return nil
}

// statuses are how machines show one of them.
func (m *mesh) statuses(of *machine) map[string]micronet.NodeStatus {
	out := map[string]micronet.NodeStatus{}
	for _, x := range m.machines {
		s, ok := x.snapshot()
		for i := range s.Nodes {
			if ok && x != of && s.Nodes[i].ID == of.id {
				out[x.name] = s.Nodes[i].Status
			}
		}
	}
	return out
}
