package main

import (
	"context"
	"iter"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/sim"
	"github.com/micro/micro-net/sim/batch"
	"github.com/micro/micro-net/sim/scenario"
	"github.com/micro/micro-net/sim/swarm"
	"github.com/micro/micro-net/testdata/scenarios"
)

// simFlags say which seeds are run, and where the results go.
type simFlags struct {
	seed      uint64
	seeds     string
	untilFail bool
	jobs      int
	report    string
	junit     string
}

func (a *app) simCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "sim", Short: "run real nodes in virtual time over a hostile network",
		Example: "  micro-net sim list\n  micro-net sim run short-split\n  micro-net sim run mesh.yaml --seeds 1..100 --junit results.xml",
		Args:    unknownVerb, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(a.simRunCommand(), a.simListCommand(), a.simSwarmCommand(), a.simReplayCommand(), a.simSchemaCommand(), a.simOneCommand())
	return c
}

func (a *app) simFlags(c *cobra.Command, f *simFlags) {
	f.jobs = runtime.NumCPU()
	c.Flags().StringVar(&f.seeds, "seeds", "", "run the seeds A..B, both included")
	c.Flags().BoolVar(&f.untilFail, "until-fail", false, "stop at the first seed that fails; without --seeds: go on until one does")
	c.Flags().IntVar(&f.jobs, "jobs", f.jobs, "how many run at once, each in a process of its own")
	c.Flags().StringVar(&f.report, "report", "", "write a report of every run into this folder; without it only failures are written, to "+failureDir)
	c.Flags().StringVar(&f.junit, "junit", "", "write the results as JUnit XML to this file")
	a.printsData(c)
}

func (a *app) simRunCommand() *cobra.Command {
	f := simFlags{seed: 1}
	c := a.command("run FILE… [flags]", "run scenario files, or scenarios of `sim list` by name",
		"  micro-net sim run short-split\n  micro-net sim run mesh.yaml --seeds 1..100 --report out",
		cobra.MinimumNArgs(1), func(ctx context.Context, args []string) error {
			var list []*source
			for _, arg := range args {
				s, err := a.simSource(ctx, arg)
				if err != nil {
					return err
				}
				list = append(list, s)
			}
			return a.simulate(ctx, &f, func(seeds iter.Seq[uint64]) iter.Seq2[*source, uint64] { return each(list, seeds) })
		})
	c.Flags().Uint64Var(&f.seed, "seed", f.seed, "the seed that makes the run")
	a.simFlags(c, &f)
	return c
}

// each pairs every scenario with every seed.
func each(list []*source, seeds iter.Seq[uint64]) iter.Seq2[*source, uint64] {
	return func(yield func(*source, uint64) bool) {
		for seed := range seeds {
			for _, s := range list {
				if !yield(s, seed) {
					return
				}
			}
		}
	}
}

func (a *app) simListCommand() *cobra.Command {
	type row struct {
		Name  string `json:"name"`
		Nodes int    `json:"nodes"`
		About string `json:"about"`
	}
	c := a.command("list [flags]", "the scenarios that are in this program", "  micro-net sim list",
		noArgs, func(ctx context.Context, _ []string) error {
			rows := []row{}
			for _, name := range scenarios.Names() {
				s, err := a.simSource(ctx, name)
				if err != nil {
					return err
				}
				rows = append(rows, row{name, len(s.scenario.Nodes()), s.scenario.About})
			}
			return a.print(rows, func(t *table) {
				t.row("NAME", "NODES", "ABOUT")
				for _, r := range rows {
					t.row(r.Name, r.Nodes, r.About)
				}
			})
		})
	return a.printsData(c)
}

func (a *app) simSwarmCommand() *cobra.Command {
	var f simFlags
	var size swarm.Size
	c := a.command("swarm [flags]", "run experiments that are drawn from seeds: size, network, faults; then all must become one mesh again",
		"  micro-net sim swarm --seeds 1..1000\n  micro-net sim swarm --until-fail",
		noArgs, func(ctx context.Context, _ []string) error {
			if f.seeds == "" && !f.untilFail {
				return micronet.E("sim swarm", micronet.Invalid, "which seeds?").WithFix("give --seeds 1..100, or --until-fail")
			}
			return a.simulate(ctx, &f, func(seeds iter.Seq[uint64]) iter.Seq2[*source, uint64] {
				return func(yield func(*source, uint64) bool) {
					for seed := range seeds {
						if s, err := a.swarmSource(seed, size); err != nil || !yield(s, seed) {
							return
						}
					}
				}
			})
		})
	f.seed = 1
	c.Flags().IntVar(&size.Nodes, "nodes", 0, "nodes at most (default 12)")
	c.Flags().IntVar(&size.Faults, "faults", 0, "faults at most (default 10)")
	c.Flags().DurationVar(&size.Time, "time", 0, "virtual time in which things go wrong (default 2m)")
	a.simFlags(c, &f)
	return c
}

// simulate runs seeds in child processes and tells how they ended.
func (a *app) simulate(ctx context.Context, f *simFlags, pairs func(iter.Seq[uint64]) iter.Seq2[*source, uint64]) error {
	seeds, count, err := f.list()
	if err != nil {
		return err
	}
	if f.jobs < 1 {
		return micronet.E("sim", micronet.Invalid, "--jobs %d is not above 0", f.jobs)
	}
	binary, err := a.executable()
	if err != nil {
		return micronet.E("sim", micronet.Internal, "where is this program: %w", err)
	}
	s := newSimScreen(a, f, count)
	jobs := func(yield func(batch.Job) bool) {
		for src, seed := range pairs(seeds) {
			s.remember(src, seed)
			if !yield(batch.Job{Name: src.scenario.Name, Nodes: len(src.scenario.Nodes()), Seed: seed, Argv: append([]string{binary, "sim", "one"}, src.child...)}) {
				return
			}
		}
	}
	failed, err := batch.Run(ctx, a.env.Exec, jobs, batch.Options{Jobs: f.jobs, UntilFail: f.untilFail, Progress: s.progress, Done: s.done})
	if err := s.finish(); err != nil {
		return err
	}
	switch {
	case err != nil:
		return err
	case failed > 0:
		return &exitError{code: micronet.ExitFailed}
	}
	return nil
}

func (a *app) simSchemaCommand() *cobra.Command {
	return a.command("schema", "print the JSON schema of scenario files", "  micro-net sim schema > scenario.schema.json",
		noArgs, func(context.Context, []string) error {
			_, err := a.out.Write(scenario.Schema())
			return err
		})
}

// simOneCommand is the child: one run, whose result goes to standard output for the parent.
func (a *app) simOneCommand() *cobra.Command {
	var seed uint64
	var drawn bool
	var size swarm.Size
	c := &cobra.Command{
		Use: "one [FILE]", Short: "one run, for sim run", Hidden: true, Example: "  micro-net sim one short-split --seed 1",
		Args: checked(cobra.MaximumNArgs(1)), DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			src, err := (*source)(nil), error(nil)
			if drawn || len(args) == 0 {
				src, err = a.swarmSource(seed, size)
			} else {
				src, err = a.simSource(cmd.Context(), args[0])
			}
			if err != nil {
				return err
			}
			return batch.Serve(a.out, src.scenario, sim.Options{Seed: seed, Command: src.command(seed)})
		},
	}
	c.Flags().Uint64Var(&seed, "seed", 1, "the seed")
	c.Flags().BoolVar(&drawn, "swarm", false, "draw the scenario from the seed")
	c.Flags().IntVar(&size.Nodes, "nodes", 0, "of a swarm")
	c.Flags().IntVar(&size.Faults, "faults", 0, "of a swarm")
	c.Flags().DurationVar(&size.Time, "time", time.Duration(0), "of a swarm")
	return c
}
