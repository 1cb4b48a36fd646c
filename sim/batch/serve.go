package batch

import (
	"encoding/gob"
	"io"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/micro/micro-net/sim"
	"github.com/micro/micro-net/sim/report"
	"github.com/micro/micro-net/sim/scenario"
)

// tellEvery is how often a child tells how far it is, in real time.
const tellEvery = 500 * time.Millisecond

// gcPercent makes garbage collections rarer: a run lives for seconds or minutes, and hundreds of nodes
// make much garbage.
const gcPercent = 400

// message is what a child tells its parent: how far it is, or how it ended.
type message struct {
	Virtual time.Duration
	Steps   uint64
	Run     *report.Run
	Err     string
}

// Serve runs a scenario and writes what a parent reads. Nothing is written from inside of virtual
// time: a system call there would let other goroutines run.
func Serve(w io.Writer, s *scenario.Scenario, o sim.Options) error {
	enc := gob.NewEncoder(w)
	if sim.Exact {
		// Nobody may run beside the bubble.
		run, err := sim.Simulate(s, o)
		return enc.Encode(result(run, err))
	}
	debug.SetGCPercent(gcPercent)
	if !sim.Parallel(s) {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	}
	var virtual atomic.Int64
	var steps atomic.Uint64
	o.Progress = func(v time.Duration, n uint64) { virtual.Store(int64(v)); steps.Store(n) }
	done := make(chan struct{})
	var telling sync.WaitGroup
	telling.Go(func() {
		t := time.NewTicker(tellEvery)
		defer t.Stop()
		for {
			select {
			case <-done:
				return
			case <-t.C:
			}
			if enc.Encode(message{Virtual: time.Duration(virtual.Load()), Steps: steps.Load()}) != nil {
				return // the parent has gone, and will not miss the result either
			}
		}
	})
	run, err := sim.Simulate(s, o)
	close(done)
	telling.Wait()
	return enc.Encode(result(run, err))
}

func result(run *report.Run, err error) message {
	m := message{Run: run}
	if err != nil {
		m.Err = err.Error()
	}
	return m
}
