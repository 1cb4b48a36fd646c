package netsim

import "time"

// clock is a wall clock that is wrong.
type clock struct {
	skew  time.Duration // ahead of the world's, at since
	drift float64       // millionths it is faster by
	since time.Time     // when drift began
}

// read returns what the clock shows at now.
func (c *clock) read(now time.Time) time.Time { return now.Add(c.ahead(now)) }

// ahead is how much the clock is ahead of now.
func (c *clock) ahead(now time.Time) time.Duration {
	if c.drift == 0 {
		return c.skew
	}
	return c.skew + time.Duration(c.drift*float64(now.Sub(c.since))/1e6)
}

// SetSkew makes the host's wall clock differ from that of the world by d, whatever it showed
// before. A drift goes on from there.
func (h *Host) SetSkew(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clock.skew, h.clock.since = d, time.Now()
}

// StepWall moves the host's wall clock by d, back when it is negative, as somebody who sets it
// does, or a machine that wakes up. Timers do not notice.
func (h *Host) StepWall(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clock.skew += d
}

// SetDrift makes the host's wall clock faster by so many millionths from now on, slower when it
// is negative. What it has gained before it keeps. Timers do not notice.
func (h *Host) SetDrift(ppm float64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	h.clock = clock{skew: h.clock.ahead(now), drift: ppm, since: now}
}

// Skew returns how much the host's wall clock is ahead of the world's.
func (h *Host) Skew() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.clock.ahead(time.Now())
}

func (h *Host) wall() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.clock.read(time.Now())
}
