package swarm

import (
	"bytes"
	"testing"

	"github.com/micro/micro-net/sim/scenario"
)

// Every seed draws a scenario that is in order, always the same one.
func TestScenariosOfSeeds(t *testing.T) {
	seen := map[string]bool{}
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
	}
	for _, verb := range []string{"partition", "isolate", "apart", "bridge", "one_way", "flap", "network", "kill", "stop", "restart", "churn", "heal", "start"} {
		if !seen[verb] {
			t.Errorf("no seed draws %s", verb)
		}
	}
}
