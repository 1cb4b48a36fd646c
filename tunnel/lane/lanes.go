package lane

import (
	"net/netip"
	"slices"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
)

// lanes are those that this node has dialled to one peer. It is guarded by Tunnel.mu.
type lanes struct {
	idle     []*carrier // used last at the end
	busy     int
	dialling int        // of which the peer has not said hello
	below    int        // sessions that began on a stream, for want of a lane, and are there
	waiting  []*session // those on streams that would rather be on lanes, oldest first
	quick    bool       // the path was near enough at the last look
	since    time.Time  // it has been
	wanted   time.Time  // when a stream was opened last
	pause    time.Duration
	again    time.Time // no dial before
	proved   bool      // the last dial led there
}

// suits reports whether the path to a peer is one for lanes, and where the peer takes them.
func (l *lanes) suits(p tunnel.PathInfo, now time.Time) (netip.AddrPort, bool) {
	limit := enterRTT
	if l.quick {
		limit = leaveRTT
	}
	was := l.quick
	if l.quick = near(p, limit); l.quick && !was {
		l.since = now
	}
	return p.Lane, l.quick
}

// near reports whether a path leads straight to a peer that takes lanes, within a limit.
func near(p tunnel.PathInfo, limit time.Duration) bool {
	return straight(p) && p.Lane.IsValid() && p.RTT > 0 && p.RTT <= limit
}

// straight reports whether packets go over UDP from here to there, and arrive.
func straight(p tunnel.PathInfo) bool {
	return p.Relay.IsZero() && !p.TCP && p.Confirmed && !p.InVain
}

// next is a lane that nobody uses, nil for none: the one used last, so that the others grow old and are closed when they are
// too many. It stays among those.
func (l *lanes) next(now time.Time) *carrier {
	for i := len(l.idle) - 1; i >= 0; i-- {
		if c := l.idle[i]; !c.gone() && now.Sub(c.since) < maxAge {
			return c
		}
	}
	return nil
}

// takes notes that a lane is in use.
func (l *lanes) takes(c *carrier) {
	l.forget(c)
	l.busy++
}

func (l *lanes) forget(c *carrier) {
	l.idle = slices.DeleteFunc(l.idle, func(x *carrier) bool { return x == c })
}

// missing is how many are to be dialled now.
func (l *lanes) missing(now time.Time) int {
	if !l.quick || now.Before(l.again) || (now.Sub(l.wanted) > spareFor && len(l.waiting) == 0) {
		return 0
	}
	spare := max(min(max(l.busy/2, spareLanes), mostSpares), len(l.waiting))
	n := min(spare, maxLanesEach-l.busy) - len(l.idle) - l.dialling
	return max(0, min(n, maxDials-l.dialling))
}

// failed notes a dial in vain, once for those that were made together.
func (l *lanes) failed(now time.Time) {
	l.proved = false
	if now.Before(l.again) {
		return
	}
	l.pause = min(againMost, max(againFirst, 2*l.pause))
	l.again = now.Add(l.pause)
}

// distrust takes out all that nobody uses, as another one leads nowhere, and has none dialled for a while.
func (l *lanes) distrust(now time.Time) (out []*carrier) {
	out, l.idle = l.idle, nil
	l.failed(now)
	return out
}

// spent are those that nobody needs any more: too old, or unused for too long.
func (l *lanes) spent(now time.Time) (out []*carrier) {
	l.idle = slices.DeleteFunc(l.idle, func(c *carrier) bool {
		spent := now.Sub(c.used) >= spareFor || now.Sub(c.since) >= maxAge || c.gone()
		if spent {
			out = append(out, c)
		}
		return spent
	})
	return out
}

// unused reports whether nothing is known of a peer that would be missed.
func (l *lanes) unused(now time.Time) bool {
	return l.busy == 0 && l.dialling == 0 && len(l.idle) == 0 && l.below == 0 && len(l.waiting) == 0 && now.Sub(l.wanted) > againMost
}

// place is where a session begins.
type place int

const (
	laned    place = iota // it is on one
	awaiting              // it is to wait for one on a stream
	plain                 // it is to be none
)

// enlist has a session of this node begin on a lane, if there is one, and sees to those that will be needed. One that is to
// wait for one is counted, until leaveBelowLocked.
func (t *Tunnel) enlist(s *session, way tunnel.PathInfo) place {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.peers[s.peer]
	if l == nil {
		l = &lanes{}
	}
	addr, ok := l.suits(way, now)
	if !ok || !t.running {
		return plain
	}
	t.peers[s.peer] = l
	l.wanted = now
	c := l.next(now)
	if c != nil {
		l.takes(c)
		t.addLocked(s)
		t.joinLocked(s, c, c.turn+1)
	}
	t.fillLocked(s.peer, l, addr, now)
	switch {
	case c != nil:
		return laned
	case l.proved && l.below < maxBelow && l.busy+l.dialling < maxLanesEach:
		l.below++
		s.below = l
		return awaiting
	}
	return plain
}

// fillLocked dials what is missing.
func (t *Tunnel) fillLocked(to micronet.NodeID, l *lanes, addr netip.AddrPort, now time.Time) {
	missing := l.missing(now)
	if missing == 0 {
		return
	}
	for range min(missing, maxLanes-t.dialledLocked()) {
		l.dialling++
		t.group.Go(func() { t.dial(to, l, addr) })
	}
}

// dialledLocked is how many lanes this node has dialled.
func (t *Tunnel) dialledLocked() (n int) {
	for _, l := range t.peers {
		n += len(l.idle) + l.busy + l.dialling
	}
	return n
}

// restLocked has a carrier of no session wait for the next one, and reports whether it is to be finished instead.
func (t *Tunnel) restLocked(c *carrier) (finish bool) {
	switch {
	case !c.ours:
		return false // the peer decides
	case !c.isLane():
		return true // it was for that session alone
	}
	l := c.of
	l.busy--
	if t.peers[c.peer] != l || c.gone() || time.Since(c.since) >= maxAge {
		return true
	}
	l.idle = append(l.idle, c)
	t.promoteLocked(l, time.Now())
	return false
}
