package heartbeat

import "time"

// bucket is a token bucket. The zero bucket is full.
type bucket struct {
	tokens float64
	last   time.Time
}

// has reports whether there are n tokens. A clock that goes back refills nothing.
func (b *bucket) has(now time.Time, n, rate, burst float64) bool {
	if b.last.IsZero() {
		b.tokens, b.last = burst, now
	}
	if d := now.Sub(b.last); d > 0 {
		b.tokens = min(burst, b.tokens+rate*d.Seconds())
		b.last = now
	}
	return b.tokens >= n
}

// take uses n tokens, or none and reports false.
func (b *bucket) take(now time.Time, n, rate, burst float64) bool {
	if !b.has(now, n, rate, burst) {
		return false
	}
	b.tokens -= n
	return true
}

// budget is the work that one sender may cost. Values that prove true are free: an owner's chain
// can cost its length once, whoever tells it.
type budget struct {
	hashes bucket
	lied   time.Time // when the sender last told a false value
}

func (b *budget) spend(now time.Time, hashes uint32) bool {
	return b.hashes.take(now, float64(hashes), hashRate, hashBurst)
}

func (b *budget) refund(hashes uint32) {
	b.hashes.tokens = min(hashBurst, b.hashes.tokens+float64(hashes))
}

// mayLeap reports whether the sender has told no false value lately.
func (b *budget) mayLeap(now time.Time) bool { return b.lied.IsZero() || now.Sub(b.lied) >= leapBan }
