package tunnel

import "time"

const (
	// A sample more than surprise times away from the estimate, and by more than surpriseBy, is no
	// noise: either the way has changed, or somebody was stopped while the probe was under way.
	surprise   = 2
	surpriseBy = 10 * time.Millisecond
)

// roundTrip estimates the round trip over one address: RFC 6298's smoothing with alpha 1/8, kept
// free of what is no round trip.
//
//   - Only clean samples enter: replies to probes that were sent while none was unanswered. After an
//     outage a reply tells how long the outage was.
//   - The first clean sample after an outage begins the estimate anew.
//   - A sample far above the estimate counts once the next one agrees: a probe that was under way
//     when a process was stopped is as late as that was long.
//   - One far below begins it anew at once: nothing makes a packet too early.
type roundTrip struct {
	value time.Duration // 0: never measured
	stale bool          // the next clean sample begins anew
	doubt time.Duration // a sample far above value that nothing has borne out yet, 0: none
}

// take enters a clean sample. again asks for another one soon.
func (r *roundTrip) take(sample time.Duration) (again bool) {
	doubt := r.doubt
	r.doubt = 0
	switch {
	case r.value == 0 || r.stale || farApart(sample, r.value):
		r.value, r.stale = sample, false
		return sample > probeTimeout // either a very long way, or the beginning was held up
	case !farApart(r.value, sample):
		r.value += (sample - r.value) / 8
	case doubt == 0:
		r.doubt = sample
		return true
	default:
		r.value = min(doubt, sample)
	}
	return false
}

// guess takes a reply that is no clean sample where there is nothing better, and asks for one.
func (r *roundTrip) guess(sample time.Duration) {
	if r.value == 0 {
		r.value = sample
	}
	r.stale = true
}

// farApart reports whether low is so far below high that noise does not explain it.
func farApart(low, high time.Duration) bool {
	return high > surprise*low+surpriseBy
}
