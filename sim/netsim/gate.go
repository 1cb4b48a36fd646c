package netsim

import (
	"sync"
	"time"
)

// gate is where calls wait for a socket under World.mu, until a deadline at most.
type gate struct {
	cond     *sync.Cond
	timer    *time.Timer
	deadline time.Time // zero: none
	passed   bool      // the timer fired
}

func newGate(mu *sync.Mutex) gate { return gate{cond: sync.NewCond(mu)} }

// waitLocked waits for the next wakeLocked. The caller looks again at what it waits for.
func (g *gate) waitLocked() { g.cond.Wait() }

func (g *gate) wakeLocked() { g.cond.Broadcast() }

// lateLocked reports whether the deadline has passed. It asks the clock too, so that calls after
// the deadline fail also before the timer had its turn at that instant.
func (g *gate) lateLocked() bool {
	return g.passed || (!g.deadline.IsZero() && time.Until(g.deadline) <= 0)
}

// setLocked changes the deadline; the zero time means none.
func (g *gate) setLocked(t time.Time) {
	g.stopLocked()
	g.deadline, g.passed = t, false
	if t.IsZero() {
		return
	}
	wait := time.Until(t)
	if wait <= 0 {
		g.wakeLocked()
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(wait, func() {
		g.cond.L.Lock()
		defer g.cond.L.Unlock()
		if g.timer == timer { // else it was replaced while it fired
			g.passed = true
			g.wakeLocked()
		}
	})
	g.timer = timer
}

// stopLocked forgets the timer.
func (g *gate) stopLocked() {
	if g.timer != nil {
		g.timer.Stop()
		g.timer = nil
	}
}
