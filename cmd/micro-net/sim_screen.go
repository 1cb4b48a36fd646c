package main

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/micro/micro-net/sim"
	"github.com/micro/micro-net/sim/batch"
	"github.com/micro/micro-net/sim/report"
)

const (
	// shownFailures is how many violations of a run are printed; the report has all.
	shownFailures = 5
	// maxKeptRuns bounds the runs that are kept for the JUnit file and --json.
	maxKeptRuns = 100_000
	// lineEvery is how often a line says how far the runs are where no terminal shows it: many who run tests end what is silent for long.
	lineEvery = time.Minute
)

// simScreen prints how runs go and end, and writes their reports.
type simScreen struct {
	app   *app
	flags *simFlags
	count uint64
	began time.Time

	mu      sync.Mutex
	sources map[batchKey]*source
	runs    []*report.Run
	sums    []simResult
	passed  int
	failed  int
	times   report.Times
	line    bool      // a progress line stands on the terminal
	told    time.Time // when a line was written elsewhere
	err     error
}

type batchKey struct {
	name string
	seed uint64
}

// simResult is one run in --json.
type simResult struct {
	Scenario     string           `json:"scenario"`
	Seed         uint64           `json:"seed"`
	Passed       bool             `json:"passed"`
	Nodes        int              `json:"nodes"`
	VirtualS     float64          `json:"virtual_s"`
	WallS        float64          `json:"wall_s"`
	Expectations []simExpectation `json:"expectations"`
	Failures     []string         `json:"failures"`
	Times        report.Times     `json:"times"`
	Command      string           `json:"command"`
	Report       string           `json:"report"` // the folder, "" when none was written
}

type simExpectation struct {
	Text     string `json:"text"`
	Held     bool   `json:"held"`
	Measured string `json:"measured"`
}

func newSimScreen(a *app, f *simFlags, count uint64) *simScreen {
	return &simScreen{app: a, flags: f, count: count, began: time.Now(), told: time.Now(), sources: map[batchKey]*source{}}
}

func (s *simScreen) remember(src *source, seed uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sources[batchKey{src.scenario.Name, seed}] = src
}

// progress shows how far a run is: all the time on a terminal, now and then elsewhere.
func (s *simScreen) progress(j batch.Job, virtual time.Duration, steps uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	begin, end := "\r\x1b[K", ""
	if !s.app.outTerminal {
		if time.Since(s.told) < lineEvery {
			return
		}
		s.told, begin, end = time.Now(), "", "\n"
	}
	of := "∞"
	if s.count > 0 {
		of = fmt.Sprint(s.count)
	}
	took := max(time.Since(s.began).Seconds(), 0.001)
	fmt.Fprintf(s.app.err, "%s%d of %s · %s, seed %d · %s virtual · %.1fx · %d packets%s", begin, s.passed+s.failed, of, j.Name, j.Seed,
		virtual.Round(time.Second), virtual.Seconds()/took, steps, end)
	s.line = s.app.outTerminal
}

func (s *simScreen) clear() {
	if s.line {
		fmt.Fprint(s.app.err, "\r\x1b[K")
		s.line = false
	}
}

// done takes a result.
func (s *simScreen) done(r *batch.Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
	key := batchKey{r.Name, r.Seed}
	src := s.sources[key]
	delete(s.sources, key)
	run := r.Run
	if run == nil {
		run = &report.Run{Scenario: r.Name, Seed: r.Seed, Command: src.command(r.Seed)}
	}
	if r.Err != nil {
		run.Passed = false
		run.Failures = append(run.Failures, report.Failure{At: run.Virtual, Invariant: "run", Text: r.Err.Error()})
	}
	if run.Passed {
		s.passed++
	} else {
		s.failed++
	}
	dir, err := s.app.writeSimReport(s.flags, src, run, r.Stderr)
	s.err = errors.Join(s.err, err)
	if len(s.runs) < maxKeptRuns {
		s.runs = append(s.runs, slim(run))
		s.sums = append(s.sums, resultOf(run, dir))
	}
	s.times.Heal = append(s.times.Heal, run.Times.Heal...)
	s.times.Gone = append(s.times.Gone, run.Times.Gone...)
	s.times.Known = append(s.times.Known, run.Times.Known...)
	s.times.Revoked = append(s.times.Revoked, run.Times.Revoked...)
	s.times.RevokedLate = append(s.times.RevokedLate, run.Times.RevokedLate...)
	s.times.Severed = append(s.times.Severed, run.Times.Severed...)
	s.times.Paused = append(s.times.Paused, run.Times.Paused...)
	if s.app.format == formatTable {
		s.tell(run, dir)
	}
}

// tellTimes prints how long things took in all runs together.
func (s *simScreen) tellTimes() {
	for _, l := range []struct {
		what string
		took []time.Duration
	}{
		{"heals, until membership and catalog were equal everywhere", s.times.Heal},
		{"hosts down, until nobody offered their instances", s.times.Gone},
		{"registrations, until everybody knew them", s.times.Known},
		{"times that a node learned of a revocation", s.times.Revoked},
		{"times that a node learned of one that had been cut off", s.times.RevokedLate},
		{"connections to the revoked at that time, until their last byte", s.times.Severed},
		{"pauses of streams", s.times.Paused},
	} {
		if len(l.took) > 0 {
			fmt.Fprintf(s.app.out, "%d %s: %s\n", len(l.took), l.what, spread(l.took))
		}
	}
}

// slim is a run without what JUnit does not need.
func slim(r *report.Run) *report.Run {
	return &report.Run{Scenario: r.Scenario, Seed: r.Seed, Command: r.Command, Wall: r.Wall, Virtual: r.Virtual, Passed: r.Passed, Failures: r.Failures}
}

func resultOf(r *report.Run, dir string) simResult {
	out := simResult{
		Scenario: r.Scenario, Seed: r.Seed, Passed: r.Passed, Nodes: r.Nodes, VirtualS: r.Virtual.Seconds(), WallS: r.Wall.Seconds(),
		Command: r.Command, Report: dir, Expectations: []simExpectation{}, Failures: []string{}, Times: r.Times,
	}
	for _, e := range r.Expectations {
		out.Expectations = append(out.Expectations, simExpectation{e.Text, e.Held, e.Measured})
	}
	for _, f := range r.Failures {
		out.Failures = append(out.Failures, failureText(f))
	}
	return out
}

func failureText(f report.Failure) string {
	return strings.TrimSpace(fmt.Sprintf("%s %s %s: %s", f.At.Round(time.Millisecond), f.Node, f.Invariant, f.Text))
}

// tell prints one result.
func (s *simScreen) tell(r *report.Run, dir string) {
	word := "pass"
	if !r.Passed {
		word = "FAIL"
	}
	speed := r.Virtual.Seconds() / max(r.Wall.Seconds(), 0.001)
	fmt.Fprintf(s.app.out, "%s  %s, seed %d: %d nodes, %s in %s (%.0fx)\n", word, oneLine(r.Scenario), r.Seed, r.Nodes, r.Virtual.Round(time.Second),
		r.Wall.Round(10*time.Millisecond), speed)
	if s.count == 1 || !r.Passed {
		for _, e := range r.Expectations {
			mark := "held  "
			if !e.Held {
				mark = "BROKEN"
			}
			fmt.Fprintf(s.app.out, "      %s  %s: %s\n", mark, oneLine(e.Text), oneLine(e.Measured))
		}
	}
	for i, f := range r.Failures {
		if i == shownFailures {
			fmt.Fprintf(s.app.out, "      and %d more\n", len(r.Failures)-i)
			break
		}
		fmt.Fprintf(s.app.out, "      %s\n", oneLine(failureText(f)))
	}
	if !r.Passed {
		fmt.Fprintf(s.app.out, "      again: %s\n", r.Command)
	}
	if sim.Exact {
		fmt.Fprintf(s.app.out, "      packets: %016x\n", r.Hash)
	}
	if dir != "" {
		fmt.Fprintf(s.app.out, "      report: %s\n", dir)
	}
}

// finish prints the sum and writes what is asked for.
func (s *simScreen) finish() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
	if s.app.format != formatTable {
		if err := s.app.printData(s.sums); err != nil {
			return err
		}
	} else if n := s.passed + s.failed; n > 1 {
		fmt.Fprintf(s.app.out, "%d passed, %d failed, in %s%s\n", s.passed, s.failed, time.Since(s.began).Round(time.Second), confidence(n, s.failed))
		s.tellTimes()
	}
	if s.flags.junit != "" {
		s.err = errors.Join(s.err, s.app.writeJUnit(s.flags.junit, s.runs))
	}
	return s.err
}

// confidence says what no failure in n independent runs tells: the rule of three.
func confidence(n, failed int) string {
	if failed > 0 || n < 10 {
		return ""
	}
	return fmt.Sprintf("; at 95 %% confidence less than %.2g %% of seeds fail", 300/float64(n))
}
