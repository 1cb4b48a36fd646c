package swarm

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/micro/micro-net/sim/scenario"
)

// Every seed draws a scenario that is in order, always the same one.
func TestScenariosOfSeeds(t *testing.T) {
	seen, cores := map[string]bool{}, 0
	for seed := range uint64(2000) {
		text := Scenario(seed, Size{})
		s, err := scenario.Parse("swarm", text)
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, text)
		}
		if !bytes.Equal(text, Scenario(seed, Size{})) {
			t.Errorf("seed %d draws two scenarios", seed)
		}
		for _, step := range s.Timeline {
			seen[step.Action.Verb()] = true
		}
		if c, ok := s.Expect[0].Condition.(scenario.Converged); !ok || c.At != s.Duration-watched+recovery {
			t.Errorf("seed %d expects %+v first", seed, s.Expect[0])
		} else if !c.Among.IsZero() {
			cores++
		}
	}
	for _, verb := range []string{"partition", "isolate", "apart", "bridge", "one_way", "flap", "network", "kill", "stop", "restart", "churn", "heal", "start", "stall"} {
		if !seen[verb] {
			t.Errorf("no seed draws %s", verb)
		}
	}
	if cores < 600 || cores > 740 {
		t.Errorf("%d of 2000 seeds heal a core alone, want a third", cores)
	}
}

// A core and the rest are all nodes, each once.
func TestSplit(t *testing.T) {
	for seed := range uint64(300) {
		d := &drawer{rng: rand.New(rand.NewPCG(seed, 1)), nodes: 3 + int(seed%10)}
		core, rest := d.split()
		var all []string
		for _, side := range []string{core, rest} {
			all = append(all, strings.Split(strings.Trim(side, "[]"), ", ")...)
		}
		slices.Sort(all)
		if n := len(slices.Compact(all)); n != d.nodes || strings.Count(core, ",") < 1 || rest == "[]" {
			t.Fatalf("seed %d, %d nodes: core %s, rest %s", seed, d.nodes, core, rest)
		}
	}
}
