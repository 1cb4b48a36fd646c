package sim

import (
	"slices"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/sim/report"
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
	r, err := Simulate(s, Options{Seed: 1})
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

// What is expected among some nodes is looked at there alone, and a warning at those that are named.
func TestExpectationsAmongSome(t *testing.T) {
	const text = `name: half of it
nodes: 6
duration: 80s
services: [{name: web, on: [2, 5], protocol: tcp}]
timeline:
- {at: 20s, partition: [[1, 2, 3, 4], [5, 6]]}
- {at: 40s, register: {service: web, on: [1, 6]}}
expect:
- {at: 75s, converged: true, among: [1-4]}
- {at: 75s, converged: true, among: [5, 6]}
- {at: 75s, converged: true, among: [4, 5]}
- {at: 75s, converged: true}
- {warns: {nodes: [5, 6], code: minority, at: 75s}}
- {warns: {nodes: [1-4], code: minority, at: 75s}}
- {warns: {nodes: [1-4], code: minority, shown: false, at: 75s}}
- {warns: {nodes: [1, 6], code: minority, shown: false, at: 75s}}
`
	holding(t, text, true, true, false, false, true, false, true, false)
}

// holding runs a scenario and demands that these of its expectations hold.
func holding(t *testing.T, text string, want ...bool) *report.Run {
	t.Helper()
	s, err := scenario.Parse("test", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	r, err := Simulate(s, Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	var held []bool
	for _, e := range r.Expectations {
		held = append(held, e.Held)
		t.Logf("%v %s: %s", e.Held, e.Text, e.Measured)
	}
	if !slices.Equal(held, want) {
		t.Errorf("held: %v, want %v", held, want)
	}
	return r
}
