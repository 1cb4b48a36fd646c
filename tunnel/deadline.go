package tunnel

import (
	"sync"
	"time"
)

// Deadline is the end of waiting for one side of a stream whose waiting is a sync.Cond. It is guarded by that one's lock.
// The zero value is never.
type Deadline struct {
	at    time.Time
	rung  bool // the timer has, whatever the clock says
	timer *time.Timer
}

// Passed reports whether waiting is over.
func (d *Deadline) Passed() bool { return d.rung || (!d.at.IsZero() && !time.Now().Before(d.at)) }

// Set moves it; zero: never. wake is called at that time, with lock held, unless it was moved meanwhile.
func (d *Deadline) Set(at time.Time, lock sync.Locker, wake func()) {
	d.Stop()
	d.at, d.rung = at, false
	if at.IsZero() {
		return
	}
	d.timer = time.AfterFunc(time.Until(at), func() {
		lock.Lock()
		defer lock.Unlock()
		if d.at.Equal(at) {
			d.rung = true
			wake()
		}
	})
}

// Stop lets nobody be woken.
func (d *Deadline) Stop() {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}
