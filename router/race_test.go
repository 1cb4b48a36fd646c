package router

import (
	"sync"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
)

// TestConcurrentUse checks under the race detector, and that nothing in flight is lost count of.
func TestConcurrentUse(t *testing.T) {
	var cs []Candidate
	for n := range 40 {
		cs = append(cs, instance(n))
	}
	r := New(Config{})
	r.Update(start, cs)
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for n := range 3000 {
				now := start.Add(time.Duration(n) * time.Millisecond)
				c, err := r.Pick(now, web, nil)
				if err != nil {
					t.Errorf("Pick: %v", err)
					return
				}
				r.Start(c)
				o := Outcome{Latency: time.Millisecond}
				if n%7 == worker {
					o = Outcome{Err: unreachable}
				}
				r.Done(now, c, o)
			}
		})
	}
	wg.Go(func() {
		for n := range 200 {
			r.Update(start.Add(time.Duration(n)*time.Millisecond), cs[n%20:])
			r.Routes(start, "")
		}
	})
	wg.Wait()
	for key, s := range r.stats {
		if n := s.inFlight.Load(); n != 0 {
			t.Errorf("%s has %d in flight after all ended", key.ID, n)
		}
	}
}

// TestConcurrentFailuresLeaveOne: the last two may not eject each other.
func TestConcurrentFailuresLeaveOne(t *testing.T) {
	for range 200 {
		var mu sync.Mutex
		out := make(map[micronet.InstanceKey]bool)
		r := New(Config{Ejected: func(e micronet.Ejection) {
			mu.Lock()
			defer mu.Unlock()
			out[e.Key] = true
		}})
		r.Update(start, []Candidate{instance(1), instance(2)})
		c := mustPick(t, r, start, web)
		d := mustPick(t, r, start, web, c.Route.Key())
		var wg sync.WaitGroup
		wg.Go(func() { fail(r, start, c) })
		wg.Go(func() { fail(r, start, d) })
		wg.Wait()
		if len(out) != 1 {
			t.Fatalf("%d of two instances were ejected, want 1", len(out))
		}
	}
}
