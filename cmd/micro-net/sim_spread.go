package main

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// spread says how times are distributed. For many of them it says below which one 99 % of all such
// times are, with a confidence of 95 %.
func spread(times []time.Duration) string {
	t := slices.Sorted(slices.Values(times))
	round := func(d time.Duration) time.Duration { return d.Round(10 * time.Millisecond) }
	text := fmt.Sprintf("half within %s, 99 %% within %s, all within %s", round(nearest(t, 0.5)), round(nearest(t, 0.99)), round(t[len(t)-1]))
	if i := boundOf(len(t), 0.99, 0.95); i < len(t) {
		text += fmt.Sprintf("; at 95 %% confidence 99 %% take at most %s", round(t[i]))
	}
	return text
}

// nearest is the quantile of sorted times by nearest rank.
func nearest(t []time.Duration, q float64) time.Duration {
	return t[max(0, int(math.Ceil(q*float64(len(t))))-1)]
}

// boundOf is which of n sorted samples, from 0, is an upper bound of the quantile q with this
// confidence; n when they are too few. The count of samples below the quantile is binomial, whatever
// the distribution (Wilks, 1941).
func boundOf(n int, q, confidence float64) int {
	below, logs := 0.0, logFactorials(n)
	for k := range n {
		below += math.Exp(logs[n] - logs[k] - logs[n-k] + float64(k)*math.Log(q) + float64(n-k)*math.Log1p(-q))
		if below >= confidence {
			return k
		}
	}
	return n
}

// logFactorials are the logarithms of 0! to n!.
func logFactorials(n int) []float64 {
	out := make([]float64, n+1)
	for i := 1; i <= n; i++ {
		out[i] = out[i-1] + math.Log(float64(i))
	}
	return out
}
