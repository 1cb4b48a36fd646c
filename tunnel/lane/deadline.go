package lane

import "time"

// deadline is the end of waiting for one side of a session. It is guarded by the session's lock.
type deadline struct {
	at    time.Time // zero: never
	rung  bool      // the timer has, whatever the clock says
	timer *time.Timer
}

func (d *deadline) passed() bool { return d.rung || (!d.at.IsZero() && !time.Now().Before(d.at)) }

func (d *deadline) set(at time.Time, ring func(at time.Time)) {
	d.stop()
	d.at, d.rung = at, false
	if !at.IsZero() {
		d.timer = time.AfterFunc(time.Until(at), func() { ring(at) })
	}
}

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}
