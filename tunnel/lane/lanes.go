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
	dialling int
	quick    bool      // the path was near enough at the last look
	since    time.Time // it has been
	wanted   time.Time // when a stream was opened last
	pause    time.Duration
	again    time.Time  // no dial before
	proved   bool       // the last dial led there
	waiting  []*session // those on streams that would rather be on lanes, oldest first
}

// suits reports whether the path to a peer is one for lanes, and where the peer takes them.
func (l *lanes) suits(p tunnel.PathInfo, now time.Time) (netip.AddrPort, bool) {
	limit := enterRTT
	if l.quick {
		limit = leaveRTT
	}
	was := l.quick
	if l.quick = straight(p) && p.Lane.IsValid() && p.RTT > 0 && p.RTT <= limit; l.quick && !was {
		l.since = now
	}
	return p.Lane, l.quick
}

// straight reports whether packets go over UDP from here to there, and arrive.
func straight(p tunnel.PathInfo) bool {
	return p.Relay.IsZero() && !p.TCP && p.Confirmed && !p.InVain
}

// take returns a lane that nobody uses, the one used last: so the others grow old, and are closed when they are too many.
func (l *lanes) take(now time.Time) *carrier {
	for n := len(l.idle); n > 0; n = len(l.idle) {
		c := l.idle[n-1]
		l.idle = l.idle[:n-1]
		if !c.gone() && now.Sub(c.since) < maxAge {
			l.busy++
			return c
		}
		c.end()
	}
	return nil
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

// failed notes a dial in vain.
func (l *lanes) failed(now time.Time) {
	l.pause = min(againMost, max(againFirst, 2*l.pause))
	l.again = now.Add(l.pause)
}

// distrust takes out all that nobody uses, as another one leads nowhere, and has none dialled for a while.
func (l *lanes) distrust(now time.Time) (out []*carrier) {
	if l == nil {
		return nil
	}
	out, l.idle, l.proved = l.idle, nil, false
	l.failed(now)
	return out
}

// spent are those that nobody needs any more: too old, or unused for too long while there are others.
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

// takeLane returns a lane to a peer, nil where there is none. In any case it sees to those that will be needed. soon: there
// will be one for who waits.
func (t *Tunnel) takeLane(to micronet.NodeID) (c *carrier, soon bool) {
	info, ok := t.paths.Path(to)
	if !ok {
		return nil, false
	}
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.peers[to]
	if l == nil {
		l = &lanes{}
	}
	addr, ok := l.suits(info, now)
	if !ok || !t.running {
		return nil, false
	}
	t.peers[to] = l
	l.wanted = now
	c = l.take(now)
	t.fillLocked(to, l, addr, now)
	return c, l.proved && l.busy+l.dialling < maxLanesEach
}

// fillLocked dials what is missing.
func (t *Tunnel) fillLocked(to micronet.NodeID, l *lanes, addr netip.AddrPort, now time.Time) {
	for range min(l.missing(now), maxLanes-t.dialledLocked()) {
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

// restLocked has a carrier of no session wait for the next one, and reports whether it is to be ended instead.
func (t *Tunnel) restLocked(c *carrier) (end bool) {
	l := t.peers[c.peer]
	switch {
	case !c.ours:
		return false // the peer decides
	case !c.isLane(), l == nil: // it was for that session alone, or Disconnect came
		return true
	}
	l.busy--
	if end = c.gone() || time.Since(c.since) >= maxAge; !end {
		l.idle = append(l.idle, c)
		t.promoteLocked(l, time.Now())
	}
	return end
}
