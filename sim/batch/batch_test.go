package batch

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/sim/report"
)

// program is what a fake child does: it writes messages, and may look at the signals it gets.
type program func(c *fake, seed string)

// fakeExec starts fake children.
type fakeExec struct {
	micronet.Exec
	run program
}

type fake struct {
	ctx     context.Context
	out     *gob.Encoder
	err     io.Writer
	signals chan syscall.Signal
	ended   chan struct{}
	code    int
}

func (e fakeExec) Start(ctx context.Context, c micronet.Command) (micronet.Process, error) {
	f := &fake{ctx: ctx, out: gob.NewEncoder(c.Stdout), err: c.Stderr, signals: make(chan syscall.Signal, 4), ended: make(chan struct{})}
	go func() {
		defer close(f.ended)
		e.run(f, c.Argv[len(c.Argv)-1])
	}()
	return f, nil
}

func (f *fake) PID() int { return 1 }

func (f *fake) Signal(s syscall.Signal) error {
	select {
	case f.signals <- s:
	default:
	}
	return nil
}

func (f *fake) Wait() (int, error) { <-f.ended; return f.code, nil }

func passes(f *fake, _ string) { _ = f.out.Encode(message{Run: &report.Run{Passed: true}}) }

func jobs(seeds ...uint64) func(func(Job) bool) {
	return func(yield func(Job) bool) {
		for _, s := range seeds {
			if !yield(Job{Name: "x", Seed: s, Argv: []string{"sim"}}) {
				return
			}
		}
	}
}

func TestAtMostSoManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		now, most, seeds := 0, 0, []uint64{}
		e := fakeExec{run: func(f *fake, seed string) {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			now--
			mu.Unlock()
			passes(f, seed)
		}}
		failed, err := Run(t.Context(), e, jobs(1, 2, 3, 4, 5), Options{Jobs: 2, Done: func(r *Result) { seeds = append(seeds, r.Seed) }})
		slices.Sort(seeds)
		if failed != 0 || err != nil || most != 2 || fmt.Sprint(seeds) != "[1 2 3 4 5]" {
			t.Errorf("%d failed, %v, %d at once, seeds %v", failed, err, most, seeds)
		}
	})
}

func TestStopsAtTheFirstFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ran := 0
		e := fakeExec{run: func(f *fake, seed string) {
			ran++
			_ = f.out.Encode(message{Run: &report.Run{Passed: seed != "2"}})
		}}
		failed, err := Run(t.Context(), e, jobs(1, 2, 3, 4), Options{UntilFail: true})
		if failed != 1 || err != nil || ran > 3 {
			t.Errorf("%d failed, %v, %d ran", failed, err, ran)
		}
	})
}

func TestChildThatCrashes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := fakeExec{run: func(f *fake, _ string) { _, _ = io.WriteString(f.err, "panic: oh\n"); f.code = 2 }}
		var got *Result
		if failed, err := Run(t.Context(), e, jobs(1), Options{Done: func(r *Result) { got = r }}); failed != 1 || err != nil {
			t.Errorf("%d failed, %v", failed, err)
		}
		if got.Err == nil || !strings.Contains(got.Err.Error(), "ended with 2 and no result") || got.Stderr != "panic: oh\n" {
			t.Errorf("%+v", got)
		}
	})
}

func TestTimeThatStands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := fakeExec{run: func(f *fake, _ string) {
			_ = f.out.Encode(message{Virtual: 7 * time.Second, Steps: 3})
			for range 20 { // the same again and again is no progress
				time.Sleep(5 * time.Second)
				if len(f.signals) > 0 {
					break
				}
				_ = f.out.Encode(message{Virtual: 7 * time.Second, Steps: 3})
			}
			if s := <-f.signals; s == syscall.SIGQUIT {
				_, _ = io.WriteString(f.err, "goroutine 1 [running]")
			}
		}}
		begin := time.Now()
		var got *Result
		large := func(yield func(Job) bool) { yield(Job{Name: "x", Nodes: 1000, Seed: 1, Argv: []string{"sim"}}) }
		_, err := Run(t.Context(), e, large, Options{Done: func(r *Result) { got = r }})
		if took := time.Since(begin); err != nil || took < 10*Patience || took > 10*Patience+2*dyingTime {
			t.Errorf("a mesh of 1000, after %v: %v", took, err)
		}
		begin = time.Now()
		_, err = Run(t.Context(), e, jobs(1), Options{Done: func(r *Result) { got = r }, Progress: func(Job, time.Duration, uint64) {}})
		if took := time.Since(begin); err != nil || took < Patience || took > Patience+2*dyingTime {
			t.Errorf("after %v: %v", took, err)
		}
		if !errors.Is(got.Err, errStands) || !strings.Contains(got.Err.Error(), "at 7s") || !strings.Contains(got.Stderr, "goroutine 1") {
			t.Errorf("%+v", got)
		}
	})
}

func TestEndOfTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		e := fakeExec{run: func(f *fake, _ string) { <-f.ctx.Done() }}
		go func() { time.Sleep(time.Second); cancel() }()
		told := 0
		if _, err := Run(ctx, e, jobs(1, 2, 3), Options{Jobs: 2, Done: func(*Result) { told++ }}); !errors.Is(err, context.Canceled) || told > 0 {
			t.Errorf("%v, %d results", err, told)
		}
	})
}
