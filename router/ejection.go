package router

import (
	"context"
	"errors"
	"slices"
	"time"

	micronet "github.com/micro/micro-net"
)

const (
	ejectBase  = time.Second      // the first ejection; each further one doubles it
	ejectMax   = 60 * time.Second // the longest
	ejectQuiet = 60 * time.Second // without failures, counted from the end of the last ejection, all is forgotten
	ejectShake = 0.2              // a fifth more or less, so that nodes do not come back together
)

// Outcome is what became of a choice.
type Outcome struct {
	Latency time.Duration // from asking to the first byte of the answer; 0: not measured
	Err     error         // nil: it served. Ejects decides what else it means
}

// Ejects reports whether an error speaks against the instance it came from. Refusals by policy,
// faults of the caller and calls that were given up do not.
func Ejects(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) {
		return false
	}
	switch micronet.KindOf(err) {
	case micronet.Unreachable, micronet.Timeout, micronet.NotFound, micronet.Overloaded:
		return true
	default:
		return false
	}
}

// ejectFor is the length of the n-th ejection in a row, n from 1. unit is a random number in
// [0, 1).
func ejectFor(n int, unit float64) time.Duration {
	d := ejectMax
	if shift := n - 1; shift < 6 {
		d = ejectBase << shift
	}
	shaken := time.Duration(float64(d) * (1 - ejectShake + 2*ejectShake*unit))
	return min(shaken, ejectMax)
}

// eject takes the chosen instance out, unless it is the last of its service.
func (r *Router) eject(nanos int64, c Choice, cause error) {
	r.mu.Lock()
	length := r.ejectLocked(nanos, c)
	r.mu.Unlock()
	if length > 0 {
		r.config.Ejected(micronet.Ejection{
			Key: c.Route.Key(), Service: c.Route.Instance.Service, For: length, Reason: cause.Error(),
		})
	}
}

// ejectLocked returns for how long the instance is out now, 0 when nothing changed. Failures of
// connections that began before the last ejection are part of it and do not add to it.
func (r *Router) ejectLocked(nanos int64, c Choice) time.Duration {
	s := c.stats
	if (s.strikes > 0 && c.picked <= s.struck) || r.lastLocked(nanos, c) {
		return 0
	}
	if nanos > s.until.Load()+int64(ejectQuiet) {
		s.strikes = 0
	}
	s.strikes++
	s.struck = nanos
	dice := r.dice.roll()
	length := ejectFor(s.strikes, dice.unit())
	s.until.Store(nanos + int64(length))
	return length
}

// lastLocked reports whether the service would have nobody left without the instance.
func (r *Router) lastLocked(nanos int64, c Choice) bool {
	g := r.table.Load().groups[micronet.Destination{Service: c.Route.Instance.Service}]
	return g == nil || !g.serves(nanos, c.stats)
}

// serves reports whether anybody but the given one is ready and not ejected.
func (g *group) serves(nanos int64, but *stats) bool {
	return slices.ContainsFunc(g.ready, func(e *entry) bool {
		return e.stats != but && !e.stats.ejected(nanos)
	})
}

// pardon forgets past ejections after a success. One of a connection that began before the
// ejection says nothing about now.
func (r *Router) pardon(c Choice) {
	if c.stats.until.Load() == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.picked > c.stats.struck {
		c.stats.strikes = 0
		c.stats.until.Store(0)
	}
}
