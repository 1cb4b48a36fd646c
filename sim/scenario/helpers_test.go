package scenario

import (
	"fmt"
	"strings"
	"testing"

	micronet "github.com/micro/micro-net"
)

// design is the example of the design document.
const design = `name: a long partition heals
nodes: 20                      # or groups: [{name: eu, nodes: 10, nat: symmetric}, …]
network: {latency: 20ms, jitter: 5ms, loss: 1%}
services: [{name: web, instances: 4, protocol: http}]
traffic: [{from: all, to: web, rate: 5/s}]
timeline:
  - at: 30s
    partition: [[1-10], [11-20]]
  - at: 10m
    heal: all
expect:
  - after_heal: 15s
    converged: true            # membership and catalog equal everywhere
  - always: [no_loops, no_ghosts, no_unauthorized]
  - success_rate: {service: web, at_least: 99.9%, outside: [30s, 45s]}
duration: 12m
`

// head is a scenario to which tests append, of nine lines.
const head = `name: test
groups:
  - {name: eu, nodes: 10, nat: symmetric}
  - {name: us-east, nodes: 5}
network: {latency: 20ms}
services: [{name: web, instances: 2}, {name: db, protocol: tcp, on: eu1}]
traffic: [{from: us-east, to: web, rate: 1/s}]
duration: 10m
`

func parse(t *testing.T, file string) *Scenario {
	t.Helper()
	s, err := Parse("test.yaml", []byte(file))
	if err != nil {
		t.Fatalf("%v\nin\n%s", err, file)
	}
	return s
}

func sel(t *testing.T, s string) Selector {
	t.Helper()
	out, err := ParseSelector(s)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// wantMistakes demands these lines, "line: text", and no others.
func wantMistakes(t *testing.T, file string, want ...string) {
	t.Helper()
	s, err := Parse("f", []byte(file))
	if err == nil {
		t.Errorf("no mistake in\n%s\nwant %q", file, want)
		return
	}
	if s != nil || micronet.KindOf(err) != micronet.Invalid {
		t.Errorf("%v beside a mistake, of kind %s", s, micronet.KindOf(err))
	}
	got := strings.Split(err.Error(), "\n")
	for i := range want {
		want[i] = "f:" + want[i]
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}
