package swarm

import (
	"flag"
	"testing"

	"github.com/micro/micro-net/sim"
	"github.com/micro/micro-net/sim/scenario"
)

var (
	first = flag.Uint64("first", 1, "the first seed that is run")
	seeds = flag.Uint64("seeds", 2, "how many seeds are run")
)

// TestSeeds runs what seeds draw.
func TestSeeds(t *testing.T) {
	failed := 0
	for seed := *first; seed < *first+*seeds; seed++ {
		text := Scenario(seed, Size{})
		s, err := scenario.Parse("swarm", text)
		if err != nil {
			t.Fatal(err)
		}
		r, err := sim.Simulate(s, sim.Options{Seed: seed})
		if err != nil {
			t.Errorf("seed %d: %v", seed, err)
			continue
		}
		for i, f := range r.Failures {
			if i < 3 {
				t.Errorf("seed %d: %v %s %s: %s", seed, f.At, f.Node, f.Invariant, f.Text)
			}
		}
		if !r.Passed {
			failed++
		}
	}
	if failed > 0 {
		t.Errorf("%d of %d seeds failed", failed, *seeds)
	}
}
