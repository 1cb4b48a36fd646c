package sim

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/micro/micro-net/sim/scenario"
)

const scenarios = "../testdata/scenarios"

var all = flag.Bool("all", false, "run every scenario of the repository, also those that take long")

// quick are the scenarios that every test run includes.
var quick = []string{"short-split", "partial-partition", "host-crash"}

// load reads a scenario of the repository.
func load(t *testing.T, name string) *scenario.Scenario {
	t.Helper()
	path := filepath.Join(scenarios, name+".yaml")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := scenario.Parse(path, data)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestScenarios runs every scenario of the repository once.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(scenarios, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".yaml")
		t.Run(name, func(t *testing.T) {
			s := load(t, name)
			if !*all && !slices.Contains(quick, name) {
				t.Skip("takes long: make sim runs it")
			}
			r, err := Run(s, Options{Seed: 1})
			if err != nil {
				t.Fatal(err)
			}
			for i, f := range r.Failures {
				if i < 10 {
					t.Errorf("%v %s %s: %s", f.At, f.Node, f.Invariant, f.Text)
				}
			}
			t.Logf("%d nodes, %v virtual in %v, %d steps", r.Nodes, r.Virtual, r.Wall, r.Events)
			for _, e := range r.Expectations {
				t.Logf("%s: %v, %s", e.Text, e.Held, e.Measured)
			}
		})
	}
}
