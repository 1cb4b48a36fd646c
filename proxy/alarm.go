package proxy

import (
	"sync"
	"time"
)

// alarm is a deadline that can be waited for and changed while somebody waits.
type alarm struct {
	mu    sync.Mutex
	at    time.Time
	rung  chan struct{} // closed while the deadline is in the past
	past  bool
	timer *time.Timer
}

func newAlarm() *alarm { return &alarm{rung: make(chan struct{})} }

// set changes the deadline; the zero time means none.
func (a *alarm) set(at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at = at
	if a.timer != nil {
		a.timer.Stop()
		a.timer = nil
	}
	if a.past {
		a.rung, a.past = make(chan struct{}), false
	}
	if at.IsZero() {
		return
	}
	if wait := time.Until(at); wait > 0 {
		a.timer = time.AfterFunc(wait, func() { a.ring(at) })
		return
	}
	a.ringLocked()
}

// ring does nothing when the deadline was changed while the timer was firing.
func (a *alarm) ring(at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.at.Equal(at) && !a.past {
		a.ringLocked()
	}
}

func (a *alarm) ringLocked() {
	close(a.rung)
	a.past = true
}

// C is closed when the deadline passes. A later set may make another one.
func (a *alarm) C() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.rung
}

// time returns the deadline.
func (a *alarm) time() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.at
}
