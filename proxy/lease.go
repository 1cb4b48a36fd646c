package proxy

import (
	"net/netip"
	"slices"
	"time"
)

// vipIdle is how long a VIP keeps its ports without a question for its name and without an open
// connection. Answers live five seconds; ten minutes are for programs that keep them longer.
const vipIdle = 10 * time.Minute

// leases tells which VIPs are in use. It is pure and not safe for concurrent use.
type leases struct {
	byVIP map[netip.Addr]*lease
}

// lease is one VIP's: it ends vipIdle after used, but not while connections are open.
type lease struct {
	used time.Time
	open int
}

func newLeases() *leases { return &leases{byVIP: make(map[netip.Addr]*lease)} }

// touch says that the name of vip was asked for.
func (l *leases) touch(now time.Time, vip netip.Addr) { l.of(vip).used = now }

// opened and closed say that a connection to vip began and ended.
func (l *leases) opened(now time.Time, vip netip.Addr) {
	e := l.of(vip)
	e.used = now
	e.open++
}

func (l *leases) closed(now time.Time, vip netip.Addr) {
	e := l.of(vip)
	e.used = now
	e.open--
}

func (l *leases) of(vip netip.Addr) *lease {
	e := l.byVIP[vip]
	if e == nil {
		e = &lease{}
		l.byVIP[vip] = e
	}
	return e
}

// expire removes and returns the VIPs whose lease has ended, sorted.
func (l *leases) expire(now time.Time) []netip.Addr {
	var out []netip.Addr
	for vip, e := range l.byVIP {
		if e.open == 0 && now.Sub(e.used) >= vipIdle {
			out = append(out, vip)
		}
	}
	for _, vip := range out {
		delete(l.byVIP, vip)
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return out
}
