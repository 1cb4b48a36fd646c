package netsim

import (
	"context"
	"time"

	micronet "github.com/micro/micro-net"
)

// Run lets time do its work until ctx ends: it carries packets and fires timers. It returns nil
// then. What is still under way stays undelivered, and sockets stay open: whoever opened them
// closes them. Run may be called once.
func (w *World) Run(ctx context.Context) error {
	if err := w.start(); err != nil {
		return err
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		wait, some := w.step()
		if some && wait <= 0 {
			w.settle()
			continue
		}
		// With nothing to come there is no timer either: a bubble must be able to see that all
		// are blocked.
		var due <-chan time.Time
		if some {
			timer.Reset(wait)
			due = timer.C
		}
		select {
		case <-ctx.Done():
		case <-due:
		case <-w.wake:
		}
	}
	return nil
}

func (w *World) start() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running {
		return micronet.E("netsim.run", micronet.Invalid, "Run was called twice")
	}
	w.running = true
	return nil
}

// step lets the next event happen if it is due, or all that are due where the world has ticks, and
// returns 0. Otherwise it returns the time until the next event, and whether there is one.
func (w *World) step() (wait time.Duration, some bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at, some := w.heap.next()
	if !some {
		return 0, false
	}
	now := w.Now()
	if wait := w.opts.tickEnd(at) - now; wait > 0 {
		return wait, true
	}
	for some && at <= now {
		w.heap.pop().fire()
		if w.opts.Tick == 0 {
			break
		}
		at, some = w.heap.next()
	}
	return 0, true
}

func (w *World) settle() {
	if w.opts.Settle != nil {
		w.opts.Settle()
	}
}

// atLocked makes fire run under the lock at an instant of its own, at or just after at.
func (w *World) atLocked(at time.Duration, fire func()) time.Duration {
	at, first := w.heap.push(at, fire)
	if first {
		select {
		case w.wake <- struct{}{}:
		default: // Run will look anyway
		}
	}
	return at
}

// afterLocked is atLocked, counted from now.
func (w *World) afterLocked(d time.Duration, fire func()) { w.atLocked(w.Now()+d, fire) }
