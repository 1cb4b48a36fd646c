package sim

import (
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/sim/scenario"
)

// small is a mesh of ten nodes with one service that all call.
func small() *scenario.Scenario {
	return &scenario.Scenario{
		Name: "small", Fidelity: scenario.Full, Duration: 60 * time.Second,
		Groups:   []scenario.Group{{Name: "n", Nodes: 10}},
		Network:  scenario.Link{Latency: 10 * time.Millisecond, Jitter: 2 * time.Millisecond},
		Services: []scenario.Service{{Name: "web", Instances: 3, Protocol: micronet.TCP, Port: 80}},
	}
}

func TestRunOfASmallMesh(t *testing.T) {
	s := small()
	s.Expect = []scenario.Expectation{
		{Text: "converged", Condition: scenario.Converged{At: 20 * time.Second}},
		{Text: "always", Condition: scenario.Always{Invariants: []scenario.Invariant{scenario.NoFalseDead, scenario.NoGhosts, scenario.NoLost, scenario.Bounded}}},
	}
	r, err := Run(s, Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Failures {
		t.Errorf("%+v", f)
	}
	t.Logf("%v virtual in %v, %d steps", r.Virtual, r.Wall, r.Events)
	for _, e := range r.Expectations {
		t.Logf("%+v", e)
	}
}
