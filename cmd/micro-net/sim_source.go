package main

import (
	"context"
	"fmt"
	"iter"
	"math"
	"strconv"
	"strings"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/sim"
	"github.com/micro/micro-net/sim/scenario"
	"github.com/micro/micro-net/sim/swarm"
	"github.com/micro/micro-net/testdata/scenarios"
)

// source is where a scenario comes from.
type source struct {
	scenario *scenario.Scenario
	text     []byte
	again    string   // the verb and arguments that run it
	child    []string // arguments of the child process
}

// command is what repeats a run.
func (s *source) command(seed uint64) string {
	return fmt.Sprintf("%s sim %s %d", program, s.again, seed)
}

// simSource reads a scenario file, or takes one from this program by its name.
func (a *app) simSource(ctx context.Context, word string) (*source, error) {
	data, known := scenarios.File(word)
	name := word
	if known {
		name = word + ".yaml"
	} else {
		var err error
		if data, err = a.readInput(ctx, "sim", word); err != nil {
			if !strings.ContainsAny(word, "./") {
				return nil, micronet.E("sim", micronet.Invalid, "%q is neither a file nor a scenario of this program", word).WithFix("see `micro-net sim list`")
			}
			return nil, err
		}
	}
	s, err := scenario.Parse(name, data)
	if err != nil {
		return nil, err
	}
	if err := sim.Check(s); err != nil {
		return nil, err
	}
	return &source{scenario: s, text: data, again: "run " + quoteArg(word) + " --seed", child: []string{word}}, nil
}

// swarmSource draws a scenario.
func (a *app) swarmSource(seed uint64, size swarm.Size) (*source, error) {
	text := swarm.Scenario(seed, size)
	s, err := scenario.Parse("swarm.yaml", text)
	if err != nil {
		return nil, err
	}
	src := &source{scenario: s, text: text, child: []string{"--swarm"}}
	for _, f := range []struct {
		flag, value string
		given       bool
	}{
		{"nodes", strconv.Itoa(size.Nodes), size.Nodes != 0},
		{"faults", strconv.Itoa(size.Faults), size.Faults != 0},
		{"time", size.Time.String(), size.Time != 0},
	} {
		if f.given {
			src.child = append(src.child, "--"+f.flag, f.value)
		}
	}
	src.again = strings.Join(append([]string{"swarm"}, src.child[1:]...), " ") + " --seeds"
	return src, nil
}

// quoteArg quotes a word for a shell where it has to be.
func quoteArg(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./", r)
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// list returns the seeds to run, and how many, 0 for no end.
func (f *simFlags) list() (seeds iter.Seq[uint64], count uint64, err error) {
	first, last := f.seed, f.seed
	switch {
	case f.seeds != "":
		if first, last, err = seedRange(f.seeds); err != nil {
			return nil, 0, err
		}
	case f.untilFail:
		last = math.MaxUint64
	}
	return func(yield func(uint64) bool) {
		for seed := first; yield(seed) && seed < last; seed++ {
		}
	}, last - first + 1, nil
}

// seedRange reads A..B, or one seed.
func seedRange(s string) (first, last uint64, err error) {
	a, b, more := strings.Cut(s, "..")
	if !more {
		b = a
	}
	first, errA := strconv.ParseUint(a, 10, 64)
	last, errB := strconv.ParseUint(b, 10, 64)
	if errA != nil || errB != nil || last < first {
		return 0, 0, micronet.E("sim", micronet.Invalid, "--seeds %q is no range of seeds", s).WithFix("write it like 1..100")
	}
	return first, last, nil
}
