package node

import "time"

const (
	// renewFirst is how long after one renewal of membership the next may come; it doubles with each
	// up to renewMax, so that an attacker who goes on makes the mesh learn of us every few seconds
	// and not with each of its packets. Others take 32 lives of a node in five minutes.
	renewFirst = time.Second
	renewMax   = 20 * time.Second
	// renewForget is how long it has been quiet until the first wait counts again.
	renewForget = 5 * time.Minute
)

// renewals says when membership may be renewed. The zero value allows it at once.
type renewals struct {
	last time.Time
	wait time.Duration
}

// next is when the next renewal may be made, and counts it.
func (r *renewals) next(now time.Time) time.Time {
	switch {
	case r.last.IsZero() || now.Sub(r.last) >= renewForget:
		r.wait = renewFirst
		r.last = now
		return now
	case now.Sub(r.last) < r.wait:
		r.last = r.last.Add(r.wait)
	default:
		r.last = now
	}
	r.wait = min(2*r.wait, renewMax)
	return r.last
}
