package tunnel

import "time"

// bucket limits a rate: rate tokens a second, at most burst at once. The zero time fills it.
type bucket struct {
	rate, burst float64
	tokens      float64
	filled      time.Time
}

// level is how many tokens there are.
func (b *bucket) level(now time.Time) float64 {
	if b.filled.IsZero() {
		b.tokens = b.burst
	} else if elapsed := now.Sub(b.filled); elapsed > 0 {
		b.tokens = min(b.burst, b.tokens+elapsed.Seconds()*b.rate)
	}
	b.filled = now
	return b.tokens
}

// take removes n tokens, or reports that there are not enough.
func (b *bucket) take(now time.Time, n float64) bool {
	if b.level(now) < n {
		return false
	}
	b.tokens -= n
	return true
}
