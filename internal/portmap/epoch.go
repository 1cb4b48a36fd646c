package portmap

import "time"

// epoch follows the clock that a router keeps since it began: one that jumps has lost its mappings (RFC 6887, section 8.5).
type epoch struct {
	known bool
	value uint32
	at    time.Time
}

// clockSlack is how far the two clocks may be apart, besides a sixteenth.
const clockSlack = 2 * time.Second

// take notes what a router's clock says now, and reports whether the router began anew since it was heard before. A host that was
// suspended finds the same: nobody renewed its mapping meanwhile.
func (e *epoch) take(now time.Time, value uint32) (restarted bool) {
	before := *e
	*e = epoch{known: true, value: value, at: now}
	if !before.known {
		return false
	}
	ours := now.Sub(before.at)
	its := time.Duration(int64(value)-int64(before.value)) * time.Second
	if its < -time.Second {
		return true
	}
	return ours+clockSlack < its-its/16 || its+clockSlack < ours-ours/16
}
