package sim

import (
	"fmt"
	"strings"
	"testing"

	"github.com/micro/micro-net/sim/scenario"
)

// gridMesh has two servers in the open, a caller and a service.
const gridMesh = `name: grid
groups:
  - {name: cloud, nodes: 2}
  - {name: a, nodes: 1%s}
  - {name: b, nodes: 1%s}
network: {latency: 15ms, jitter: 2ms}
services: [{name: web, on: b1, protocol: http}]
traffic: [{from: a, to: web, rate: 4/s}]
timeline:
  - {at: 20s, for: 1s, kill: b}
expect:
  - {path: {from: a, to: b, is: %s, at: 18s}}
  - {status: {nodes: b, seen_by: a, is: alive, at: 18s}}
  - success_rate: {service: web, at_least: 100%%, outside: [[0s, 10s], [19s, 26s]]}
  - {path: {from: a, to: b, is: %s, at: 40s}}
duration: 40s
`

// place is where a host of the grid is.
type place struct{ name, group string }

var places = []place{
	{"open", ""},
	{"firewall", ", firewall: true"},
	{"full-cone", ", nat: {kind: full_cone, timeout: 30s}"},
	{"restricted", ", nat: {kind: restricted, timeout: 30s}"},
	{"port-restricted", ", nat: {kind: port_restricted, timeout: 30s}"},
	{"symmetric", ", nat: {kind: symmetric, timeout: 30s}"},
	{"two port-restricted", ", nat: {kind: port_restricted, levels: 2, timeout: 30s}"},
	{"two symmetric", ", nat: {kind: symmetric, levels: 2, timeout: 30s}"},
}

// meets reports whether two hosts can send to each other: not where one's port is another one for each destination
// and the other lets in only the port that it sent to.
func meets(a, b place) bool {
	moves := func(p place) bool { return strings.Contains(p.name, "symmetric") }
	minds := func(p place) bool {
		return moves(p) || p.name == "firewall" || strings.Contains(p.name, "port-restricted")
	}
	return (!moves(a) || !minds(b)) && (!moves(b) || !minds(a))
}

// TestNATGrid: wherever two hosts are, they reach each other: directly where that is possible at all, else over a
// relay; also when the called one starts anew. -short looks at each place once.
func TestNATGrid(t *testing.T) {
	for i, a := range places {
		for j, b := range places {
			if testing.Short() && j != (3*i+5)%len(places) {
				continue
			}
			t.Run(fmt.Sprintf("%s to %s", a.name, b.name), func(t *testing.T) {
				want := scenario.Relayed
				if meets(a, b) {
					want = scenario.Direct
				}
				s, err := scenario.Parse("grid.yaml", []byte(fmt.Sprintf(gridMesh, a.group, b.group, want, want)))
				if err != nil {
					t.Fatal(err)
				}
				r, err := Simulate(s, Options{Seed: uint64(8*i + j + 1)})
				if err != nil {
					t.Fatal(err)
				}
				for _, f := range r.Failures {
					t.Errorf("%s at %s: %s", f.Invariant, f.At, f.Text)
				}
			})
		}
	}
}
