package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/sim/report"
)

const (
	// failureDir is where runs that failed are written without --report.
	failureDir = "micro-net-sim"
	// sequenceEvents is how many events the sequence diagram has.
	sequenceEvents = 60
)

// writeSimReport writes the folder of one run and returns it, "" when none is wanted.
func (a *app) writeSimReport(f *simFlags, src *source, r *report.Run, stderr string) (string, error) {
	base := f.report
	if base == "" {
		if r.Passed {
			return "", nil
		}
		base = failureDir
	}
	dir := filepath.Join(base, fmt.Sprintf("%s-%d", fileName(r.Scenario), r.Seed))
	if err := a.env.FS.MkdirAll(dir, 0o755); err != nil {
		return "", reportError(err)
	}
	files := map[string]func(io.Writer) error{
		"report.html":   func(w io.Writer) error { return report.HTML(w, r) },
		"run.json":      func(w io.Writer) error { return report.JSON(w, r) },
		"events.log":    func(w io.Writer) error { return report.Log(w, r) },
		"sequence.mmd":  func(w io.Writer) error { return report.Mermaid(w, r, sequenceEvents) },
		"scenario.yaml": func(w io.Writer) error { _, err := w.Write(src.text); return err },
	}
	if stderr != "" {
		files["stderr.txt"] = func(w io.Writer) error { _, err := io.WriteString(w, stderr); return err }
	}
	for _, s := range r.States {
		files[filepath.Join("nodes", fileName(s.Name)+".json")] = func(w io.Writer) error { _, err := io.WriteString(w, s.Text+"\n"); return err }
	}
	if err := a.env.FS.MkdirAll(filepath.Join(dir, "nodes"), 0o755); err != nil {
		return "", reportError(err)
	}
	for name, write := range files {
		if err := a.writeReportFile(filepath.Join(dir, name), write); err != nil {
			return "", err
		}
	}
	return dir, nil
}

func (a *app) writeReportFile(path string, write func(io.Writer) error) error {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return reportError(err)
	}
	return reportError(micronet.WriteFile(a.env.FS, path, b.Bytes(), 0o644))
}

func (a *app) writeJUnit(path string, runs []*report.Run) error {
	return a.writeReportFile(path, func(w io.Writer) error { return report.JUnit(w, runs) })
}

func reportError(err error) error {
	if err == nil {
		return nil
	}
	return micronet.E("sim", micronet.Refused, "write the report: %w", err).WithFix("choose another folder with --report")
}

// fileName makes a name of a file of any text.
func fileName(s string) string {
	out := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return '-'
	}, s)
	const longest = 80
	if r := []rune(out); len(r) > longest {
		out = string(r[:longest])
	}
	return strings.Trim(out, "-")
}

// simReplayCommand runs again what a report's folder holds.
func (a *app) simReplayCommand() *cobra.Command {
	var f simFlags
	c := a.command("replay DIR [flags]", "run again what the folder of a report holds: the same scenario with the same seed",
		"  micro-net sim replay micro-net-sim/short-split-7",
		cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
			seed, err := a.seedOf(ctx, args[0])
			if err != nil {
				return err
			}
			s, err := a.simSource(ctx, filepath.Join(args[0], "scenario.yaml"))
			if err != nil {
				return err
			}
			f.seed = seed
			return a.simulate(ctx, &f, func(seeds iter.Seq[uint64]) iter.Seq2[*source, uint64] { return each([]*source{s}, seeds) })
		})
	a.simFlags(c, &f)
	for _, name := range []string{"seeds", "until-fail"} {
		_ = c.Flags().MarkHidden(name)
	}
	return c
}

// seedOf reads the seed of a run from its folder.
func (a *app) seedOf(ctx context.Context, dir string) (uint64, error) {
	path := filepath.Join(dir, "run.json")
	data, err := a.readInput(ctx, "sim replay", path)
	if err != nil {
		return 0, err
	}
	var run struct {
		Seed uint64 `json:"seed,string"`
	}
	if err := json.Unmarshal(data, &run); err != nil {
		return 0, micronet.E("sim replay", micronet.Invalid, "%s: %w", path, err).WithFix("give the folder that `micro-net sim` named")
	}
	return run.Seed, nil
}
