package batch

import (
	"context"
	"iter"
	"slices"
	"strconv"
	"sync"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/sim"
	"github.com/micro/micro-net/sim/report"
)

// Job is one run to be made.
type Job struct {
	Name  string // of the scenario
	Nodes int    // that it has, at most: those of a large mesh may be long about one moment
	Seed  uint64
	Argv  []string // of the child: it calls Serve
}

// patience is how long the child may show no progress.
func (j *Job) patience() time.Duration {
	if sim.Exact {
		return exactPatience
	}
	return Patience * time.Duration(max(1, j.Nodes/patientNodes))
}

// Result is how a job ended.
type Result struct {
	Job
	Run    *report.Run // nil when the run could not be made
	Err    error       // why it could not, or what was left over after it
	Stderr string      // of the child
}

// Passed reports whether the run was made and everything held.
func (r *Result) Passed() bool { return r.Err == nil && r.Run != nil && r.Run.Passed }

// Options say how jobs are run.
type Options struct {
	Jobs      int  // at once; 0: one
	UntilFail bool // no new job after one that failed
	// Progress is told now and then how far a job is. It is called from several goroutines.
	Progress func(j Job, virtual time.Duration, steps uint64)
	// Done is told of each result, one at a time.
	Done func(r *Result)
}

// Run runs all jobs and returns how many failed. It stops early when ctx ends.
func Run(ctx context.Context, exec micronet.Exec, jobs iter.Seq[Job], o Options) (failed int, err error) {
	b := &batch{exec: exec, o: o}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	slots := make(chan struct{}, max(1, o.Jobs))
	var wg sync.WaitGroup
	for j := range jobs {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil || b.over() {
			break
		}
		wg.Go(func() {
			defer func() { <-slots }()
			b.run(ctx, j)
		})
	}
	wg.Wait()
	return b.failed, context.Cause(ctx)
}

type batch struct {
	exec micronet.Exec
	o    Options

	mu     sync.Mutex
	failed int
}

func (b *batch) over() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.o.UntilFail && b.failed > 0
}

func (b *batch) run(ctx context.Context, j Job) {
	m, stderr, err := runChild(ctx, b.exec, slices.Concat(j.Argv, []string{"--seed", strconv.FormatUint(j.Seed, 10)}), j.patience(), func(v time.Duration, n uint64) {
		if b.o.Progress != nil {
			b.o.Progress(j, v, n)
		}
	})
	if ctx.Err() != nil {
		return
	}
	r := &Result{Job: j, Run: m.Run, Err: err, Stderr: stderr}
	if err == nil && m.Err != "" {
		r.Err = micronet.E("sim", micronet.Internal, "%s", m.Err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !r.Passed() {
		b.failed++
	}
	if b.o.Done != nil {
		b.o.Done(r)
	}
}
