package tunnel

import "time"

const (
	// vainAfter is how long a way is looked for in vain until the peer counts as out of reach. A way is found within a
	// round trip where there is a direct one, and within two seconds over a relay or TCP.
	vainAfter = 2 * time.Second
	// vainFor is how long after the last attempt that still counts. Callers are not led to the peer meanwhile; later ones
	// have a way looked for anew.
	vainFor = 10 * time.Second
)

// search is the looking for a way to a peer that none answers for.
type search struct {
	since time.Time // zero: a way answers, or none was looked for
	last  time.Time // attempt
}

// try takes note that a way is looked for now, or that one answers.
func (s *paths) try(now time.Time) {
	switch {
	case s.proven():
		s.search = search{}
	case s.search.since.IsZero():
		s.search = search{now, now}
	default:
		s.search.last = now
	}
}

// lapse forgets a search that was given up a while ago.
func (s *paths) lapse(now time.Time) {
	if now.Sub(s.search.last) >= vainFor {
		s.search = search{}
	}
}

// inVain reports whether a way to the peer was looked for long enough, and not long ago, and none answered.
func (s *paths) inVain(now time.Time) bool {
	f := &s.search
	return !s.proven() && !f.since.IsZero() && now.Sub(f.since) >= vainAfter && now.Sub(f.last) < vainFor
}
