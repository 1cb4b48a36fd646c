package defence

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/micro/micro-net/sim/overlay"
)

// root is where the module is.
const root = "../.."

var (
	all  = flag.Bool("all", false, "build the program without each defence, and run its scenario")
	turn = flag.Int("turn", -1, "with -all: only a third of the defences, another one with the next number")
)

// TestTable: each change finds its place and leaves a file that can be read, and each scenario is there.
func TestTable(t *testing.T) {
	names := map[string]bool{}
	for _, d := range All() {
		if names[d.Name] || d.Name == "" || d.About == "" || d.Breaks == "" || d.Seeds < 1 || d.Seeds > MaxSeeds || len(d.Files) == 0 {
			t.Errorf("%s: incomplete, out of bounds or not the only one: %+v", d.Name, d)
		}
		names[d.Name] = true
		if _, err := os.Stat(filepath.Join(root, "testdata/scenarios", d.Scenario+".yaml")); err != nil {
			t.Errorf("%s: %v", d.Name, err)
		}
		for file, edits := range d.Files {
			raw, err := os.ReadFile(filepath.Join(root, file))
			if err != nil {
				t.Errorf("%s: %v", d.Name, err)
				continue
			}
			text, err := overlay.Apply(string(raw), edits)
			if err != nil {
				t.Errorf("%s: %s %v", d.Name, file, err)
			}
			if _, err := parser.ParseFile(token.NewFileSet(), file, text, parser.SkipObjectResolution); err != nil {
				t.Errorf("%s: %v", d.Name, err)
			}
		}
	}
}

// TestDocs: the documentation lists the defences as the table has them.
func TestDocs(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(root, "docs/simulator.md"))
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	want.WriteString("| defence | without it fails | which then breaks |\n|---|---|---|\n")
	for _, d := range All() {
		fmt.Fprintf(&want, "| %s | `%s` | `%s` |\n", d.About, d.Scenario, d.Breaks)
	}
	if !strings.Contains(string(raw), "\n"+want.String()+"\n") {
		t.Errorf("docs/simulator.md does not have this table:\n%s", want.String())
	}
}

// TestDefences takes each defence out.
func TestDefences(t *testing.T) {
	if !*all {
		t.Skip("takes minutes: make defences runs it")
	}
	dir := t.TempDir()
	whole := build(t, dir, "whole", nil)
	passes := map[string]func() error{}
	for _, d := range All() {
		if passes[d.Scenario] == nil {
			passes[d.Scenario] = sync.OnceValue(func() error { return pass(t, whole, d.Scenario) })
		}
	}
	for i, d := range All() {
		if *turn >= 0 && i%3 != *turn%3 {
			continue
		}
		t.Run(d.Name, func(t *testing.T) {
			t.Parallel()
			results, code := simulate(t, build(t, dir, d.Name, d.Files), d.Scenario, d.Seeds)
			if code != 1 || !breaks(results, d.Breaks) {
				t.Errorf("nothing that %s has noticed within %d seeds is %s: exit code %d, %s", d.Scenario, d.Seeds, d.Breaks, code, told(results))
			}
			if err := passes[d.Scenario](); err != nil {
				t.Errorf("with all defences: %v", err)
			}
			t.Logf("%s, seed %d", d.Scenario, len(results))
		})
	}
}

// build builds the program with changes.
func build(t *testing.T, dir, name string, files map[string][]overlay.Edit) string {
	t.Helper()
	binary := filepath.Join(dir, name)
	args := []string{"build", "-trimpath", "-ldflags", "-s -w", "-o", binary}
	if files != nil {
		absolute := map[string][]overlay.Edit{}
		for file, edits := range files {
			absolute[filepath.Join(root, file)] = edits
		}
		list, err := overlay.Write(binary+".overlay", absolute)
		if err != nil {
			t.Fatal(err)
		}
		args = append(args, "-overlay", list)
	}
	c := exec.CommandContext(t.Context(), "go", append(args, "./cmd/micro-net")...)
	c.Dir, c.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%s: go build: %v\n%s", name, err, out)
	}
	return binary
}

// result is one run, as the program prints it.
type result struct {
	Passed       bool     `json:"passed"`
	Failures     []string `json:"failures"` // the first of them
	Expectations []struct {
		Text string `json:"text"`
		Held bool   `json:"held"`
	} `json:"expectations"`
}

// simulate runs a scenario with the seeds from 1 on, until one fails.
func simulate(t *testing.T, binary, scenario string, seeds int) (results []result, code int) {
	t.Helper()
	results, code, err := start(t, binary, scenario, seeds)
	if err != nil {
		t.Fatal(err)
	}
	return results, code
}

func start(t *testing.T, binary, scenario string, seeds int) (results []result, code int, err error) {
	var out, errs bytes.Buffer
	c := exec.CommandContext(t.Context(), binary, "sim", "run", scenario, "--seeds", fmt.Sprintf("1..%d", seeds), "--until-fail", "--jobs", "1", "--json")
	c.Dir, c.Stdout, c.Stderr = t.TempDir(), &out, &errs
	err = c.Run()
	if ended := (*exec.ExitError)(nil); errors.As(err, &ended) {
		code, err = ended.ExitCode(), nil
	}
	if err == nil {
		err = json.Unmarshal(out.Bytes(), &results)
	}
	if err != nil {
		err = fmt.Errorf("%s: exit code %d, %w: %s", c.Args, code, err, errs.String())
	}
	return results, code, err
}

// pass demands that a scenario holds with all the seeds that any defence is tried with.
func pass(t *testing.T, whole, scenario string) error {
	seeds := 0
	for _, d := range All() {
		if d.Scenario == scenario {
			seeds = max(seeds, d.Seeds)
		}
	}
	results, code, err := start(t, whole, scenario, seeds)
	if err == nil && (code != 0 || len(results) != seeds) {
		err = fmt.Errorf("%s: exit code %d after %d of %d seeds, %s", scenario, code, len(results), seeds, told(results))
	}
	return err
}

// breaks reports whether a run failed because of an invariant or expectation.
func breaks(results []result, name string) bool {
	for _, r := range results {
		if !r.Passed && r.breaks(name) {
			return true
		}
	}
	return false
}

func (r *result) breaks(name string) bool {
	for _, f := range r.Failures {
		if before, _, ok := strings.Cut(f, ": "); ok && strings.HasSuffix(before, " "+name) {
			return true
		}
	}
	for _, e := range r.Expectations {
		if !e.Held && strings.Contains(" "+e.Text, " "+name+": ") {
			return true
		}
	}
	return false
}

// told is what failed, for people.
func told(results []result) string {
	const most = 5
	var out []string
	for _, r := range results {
		out = append(out, r.Failures...)
	}
	if len(out) == 0 {
		return "nothing failed"
	}
	return strings.Join(out[:min(most, len(out))], "; ")
}

func TestBreaks(t *testing.T) {
	var failed []result
	err := json.Unmarshal([]byte(`[{"passed": true}, {"passed": false, "failures": ["1m0s n3 no_lost: web at n2 is not known: resolves: no"],
		"expectations": [{"text": "after_heal: 12s, converged: true", "held": false}, {"text": "latency: {at_most: 1s}", "held": true}]}]`), &failed)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"no_lost": true, "lost": false, "resolves": false, "converged": true, "latency": false, "after_heal": true} {
		if breaks(failed, name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
	failed[1].Passed = true
	if breaks(failed, "no_lost") {
		t.Error("a run that passed broke something")
	}
	if got := told(failed); !strings.Contains(got, "web at n2") || told(nil) != "nothing failed" {
		t.Errorf("%q, %q", got, told(nil))
	}
}
