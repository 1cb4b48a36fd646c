package router

import (
	"math"
	"time"
)

const (
	// bandShare and bandFloor say which costs are equal: random noise between two paths must
	// not keep all load on one of them.
	bandShare = 0.25
	bandFloor = float64(time.Millisecond)

	// latencyDecay is the time in which an old latency loses 63 % of its weight. A single hiccup of
	// the scheduler, some milliseconds, must not keep traffic off an instance for long. Longer: calmer;
	// shorter: an instance that was slow once is tried again sooner.
	latencyDecay = 2 * time.Second

	// unknownLatency is assumed of an instance nobody has measured: with 0 it would take all
	// load until its first answer.
	unknownLatency = float64(time.Millisecond)

	// latencyFloor keeps connections in flight from being free at an instance whose latency
	// has decayed to nothing.
	latencyFloor = float64(100 * time.Microsecond)
)

// band returns the highest cost that equals best. Both are nanoseconds.
func band(best float64) float64 { return best + math.Max(best*bandShare, bandFloor) }

// expectedCost is the cost of one more request, in nanoseconds. path is round trip plus
// configured cost; share is the mean weight of the service divided by the instance's own, so
// that twice the weight carries twice the requests at the same cost.
func expectedCost(path, latency, share float64, inFlight int64) float64 {
	if inFlight < 0 {
		inFlight = 0
	}
	return path + latency*(1+float64(inFlight)*share)
}

// fade is how much of an average of this age is left, 1 to 0.
func fade(age time.Duration) float64 {
	if age <= 0 {
		return 1
	}
	return math.Exp(-float64(age) / float64(latencyDecay))
}

// peakEWMA moves an average to a new sample. A higher sample counts at once and in full, a lower
// one in proportion to the time since the last: bad news is believed faster than good news.
func peakEWMA(average, sample float64, age time.Duration) float64 {
	if sample >= average {
		return sample
	}
	keep := fade(age)
	return average*keep + sample*(1-keep)
}
