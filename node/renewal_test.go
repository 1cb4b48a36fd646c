package node

import (
	"testing"
	"time"
)

// The first renewal is made at once, further ones ever later, until it has been quiet.
func TestRenewalsAreSpaced(t *testing.T) {
	var r renewals
	start := time.Now()
	for i, c := range []struct{ asked, made time.Duration }{
		{0, 0},
		{0, time.Second},
		{time.Second, 3 * time.Second},
		{time.Minute, time.Minute}, // the wait has passed, and doubles all the same
		{time.Minute, 68 * time.Second},
		{time.Minute, 84 * time.Second},
		{84 * time.Second, 104 * time.Second}, // no longer than the longest
		{104*time.Second + renewForget, 104*time.Second + renewForget},
		{104*time.Second + renewForget, 105*time.Second + renewForget},
	} {
		if got := r.next(start.Add(c.asked)); !got.Equal(start.Add(c.made)) {
			t.Errorf("renewal %d: after %v, want %v", i, got.Sub(start), c.made)
		}
	}
}
