package heartbeat

import (
	"slices"
	"time"
)

// estimate is what a table believes of when a chain began, by the table's clock.
//
// A sample is "beat k was made at now - age", hence "the chain began k intervals earlier". Honest
// samples lie within a network delay of the truth. Those of an insider lie anywhere, but it is one
// voice among many. So the first samples are taken by their median; from then on the estimate moves
// towards each sample by no more than clocks drift, in some minutes at most. Both hold against a
// minority.
//
// What nobody can lie about: a beat that is here has been made. So the chain did not begin later
// than k intervals before any beat's arrival, and not later than when its anchor arrived.
//
// An insider that alone hears an owner can move the estimate by drift, 3.6 s in an hour.
type estimate struct {
	start   time.Time
	learned time.Time            // of the last sample
	latest  time.Time            // the chain cannot have begun later
	bounded time.Time            // when latest was true; clocks drift since
	samples [probation]time.Time // sorted
	n       int
}

// newEstimate returns what is known when an anchor arrives.
func newEstimate(now time.Time) estimate { return estimate{latest: now, bounded: now} }

// made returns when beat k was made, if a teller says that it is age old. It learns from it.
func (e *estimate) made(now time.Time, k uint32, interval, age time.Duration) time.Time {
	claimed := now.Add(-age)
	elapsed := time.Duration(k) * interval
	e.bound(now, now.Add(-elapsed))
	e.learn(now, claimed.Add(-elapsed), interval)
	e.start = earlier(e.start, e.latest)
	return earlier(claimed, e.start.Add(elapsed+Slack))
}

// bound lets the bound drift, and lowers it to a new one. Both clocks may have stood: ours lowers
// it, the owner's is what trust is for.
func (e *estimate) bound(now, latest time.Time) {
	e.latest = earlier(e.latest.Add(drifted(now.Sub(e.bounded))), latest)
	e.bounded = now
}

func drifted(d time.Duration) time.Duration { return max(time.Duration(float64(d)*drift), 0) }

func (e *estimate) learn(now, sample time.Time, interval time.Duration) {
	since := now.Sub(e.learned)
	switch {
	case e.n == probation:
		step := drifted(min(since, stepMax))
		e.start = e.start.Add(min(max(sample.Sub(e.start), -step), step))
	case e.n > 0 && since < interval/2:
		return // a teller with many beats at hand has one voice as well
	default:
		at, _ := slices.BinarySearchFunc(e.samples[:e.n], sample, time.Time.Compare)
		copy(e.samples[at+1:e.n+1], e.samples[at:e.n])
		e.samples[at] = sample
		e.n++
		e.start = e.samples[e.n/2] // of two the later: the doubt speaks for the living
	}
	e.learned = now
}

// trust is made for a beat that the owner itself tells, which ends all doubt.
func (e *estimate) trust(now time.Time, k uint32, interval, age time.Duration) time.Time {
	claimed := now.Add(-age)
	elapsed := time.Duration(k) * interval
	e.start, e.learned, e.n = claimed.Add(-elapsed), now, probation
	e.latest, e.bounded = now.Add(-elapsed), now
	return claimed
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
