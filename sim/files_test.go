package sim

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/micro/micro-net/sim/report"
	"github.com/micro/micro-net/sim/scenario"
)

const scenarios = "../testdata/scenarios"

var (
	all   = flag.Bool("all", false, "run every scenario of the repository, also those that take long")
	logs  = flag.String("logs", "", "a folder for the events of each run")
	seeds = flag.Uint64("seeds", 1, "run each with the seeds from 1 to this one")
)

// quick are the scenarios that every test run includes.
var quick = []string{
	"short-split", "partial-partition", "host-crash", "split-30s", "one-node-isolated", "one-way-node", "rolled-back-disk",
	"stall-of-many", "forged-dead", "forged-suspect", "poison-record", "udp-blocked", "founder-isolated", "lossy-network",
	"insider-accuses", "insider-replays", "insider-blocks-joins", "insider-mangles", "insiders-withhold", "insiders-suppress", "insider-from-abroad", "insider-equivocates",
	"insider-is-elsewhere", "insider-from-the-future", "token-for-one", "founders-lost",
}

// quickest are those that run with the race detector, too.
var quickest = []string{"short-split", "forged-dead", "udp-blocked"}

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

// known are faults of micro-net that scenarios have found and that are still there. What such a
// scenario says is told, and fails no test until somebody takes the line out.
var known = map[string]string{}

// TestScenarios runs every scenario of the repository.
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
			if raced && !slices.Contains(quickest, name) {
				t.Skip("takes long with the race detector")
			}
			for seed := uint64(1); seed <= *seeds; seed++ {
				runFile(t, name, s, seed)
			}
		})
	}
}

// runFile runs a scenario with one seed.
func runFile(t *testing.T, name string, s *scenario.Scenario, seed uint64) {
	r, err := Simulate(s, Options{Seed: seed})
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	tell := t.Errorf
	if why := known[name]; why != "" && !r.Passed {
		t.Logf("known: %s", why)
		tell = t.Logf
	}
	for i, f := range r.Failures {
		if i < maxTold {
			tell("seed %d, %v %s %s: %s", seed, f.At, f.Node, f.Invariant, f.Text)
		}
	}
	t.Logf("seed %d: %d nodes, %v virtual in %v, %d steps, %d failures", seed, r.Nodes, r.Virtual, r.Wall.Round(time.Millisecond), r.Events, len(r.Failures))
	for _, e := range r.Expectations {
		t.Logf("%s: %v, %s", e.Text, e.Held, e.Measured)
	}
	if *logs != "" {
		writeLog(t, r, fmt.Sprintf("%s-%d", name, seed))
	}
}

// maxTold bounds the failures that are told of one run.
const maxTold = 10

// writeLog writes what happened in a run, for who looks for the cause.
func writeLog(t *testing.T, r *report.Run, name string) {
	var b strings.Builder
	for _, e := range r.Log {
		fmt.Fprintf(&b, "%v %s %s %s %s\n", e.At, e.Node, e.Kind, e.Peer, e.Detail)
	}
	for _, s := range r.States {
		fmt.Fprintf(&b, "%s %s\n", s.Name, s.Text)
	}
	if err := os.WriteFile(filepath.Join(*logs, name+".log"), []byte(b.String()), 0o600); err != nil {
		t.Error(err)
	}
}
