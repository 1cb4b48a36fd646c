package heartbeat

import "time"

// estimate is what a table believes of when a chain began, by the table's clock. It rests on what
// nobody can lie about: a beat that is here has been made. So the chain began no later than k
// intervals before beat k arrived, and no later than when its anchor arrived. The least of these
// bounds is off by the shortest delay seen. Clocks drift, so it is let rise slowly, and every
// beat that comes quickly lowers it again.
//
// What tellers say of ages moves it not at all. Only one thing does: withholding all beats of an
// owner from us, which takes a host that stands between the owner and everybody else. It gains
// what clocks may drift, 3.6 s in an hour.
type estimate struct {
	start time.Time
	at    time.Time // when start was bounded last
}

// newEstimate returns what is known when an anchor arrives.
func newEstimate(now time.Time) estimate { return estimate{start: now, at: now} }

// arrived bounds the beginning by a verified beat.
func (e *estimate) arrived(now time.Time, elapsed time.Duration) {
	rise := time.Duration(float64(min(max(now.Sub(e.at), 0), riseMax)) * drift)
	e.start = earlier(e.start.Add(rise), now.Add(-elapsed))
	e.at = now
}

// made returns when a beat was made, if a teller says at claimed. elapsed is the beat's time since
// the beginning of the chain.
func (e *estimate) made(claimed time.Time, elapsed time.Duration) time.Time {
	return earlier(claimed, e.start.Add(elapsed+Slack))
}

// repeated is made for the same beat from a further teller. It allows no slack, or honest errors of
// rounding would add up while tellers repeat each other.
func (e *estimate) repeated(claimed time.Time, elapsed time.Duration) time.Time {
	return earlier(claimed, e.start.Add(elapsed))
}

// trust takes the word of the owner itself, whose clock may have stood still.
func (e *estimate) trust(now, claimed time.Time, elapsed time.Duration) {
	e.start, e.at = claimed.Add(-elapsed), now
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
