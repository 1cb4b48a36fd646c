package netsim

import (
	"net/netip"
	"time"
)

const (
	// stallSendMax is how many bytes of datagrams wait in a stalled host for each local address
	// and port, Linux's default send buffer (net.core.wmem_default). More is dropped.
	stallSendMax = 212_992

	// stallMax is how many datagrams, and how many handshakes, wait for a stalled host. More is
	// dropped; streams are bounded by their windows.
	stallMax = 1 << 14
)

// stall is a time in which the programs of a host stand still.
type stall struct {
	until   time.Duration
	over    bool // what waited is being delivered, one packet after the other
	in, out []*packet
	waiting map[netip.AddrPort]int // datagrams in in, by receiver
	sending map[netip.AddrPort]int // bytes in out, by sender
	spare   int                    // how many more packets that may be dropped fit into in
}

// Stall makes the host look stopped or swapped out: for d nothing reaches its programs, and
// nothing leaves them. Datagrams wait as in the inbox, at most inboxMax for each receiver, and
// segments and handshakes wait too: peers see silence, and dials of this host hang. What the
// programs send waits, bounded by a socket buffer's size, and goes out at the end. Packets
// inside the host wait like all others. What had arrived before can still be read.
//
// Goroutines cannot be stopped. Programs go on and see their timers fire and their deadlines
// pass during the stall, where a stopped program would see all of that at the end.
//
// A stall during a stall makes it longer, never shorter. A crash ends it.
func (h *Host) Stall(d time.Duration) {
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	if h.stack.down || d <= 0 {
		return
	}
	if h.stall == nil {
		h.stall = &stall{waiting: map[netip.AddrPort]int{}, sending: map[netip.AddrPort]int{}, spare: stallMax}
	}
	s := h.stall
	s.over = false
	s.until = h.w.atLocked(max(s.until, h.w.Now()+d), func() { h.resumeLocked(s) })
}

// Stalled reports whether the programs of the host stand still.
func (h *Host) Stalled() bool {
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	return h.stalledLocked()
}

// Woke returns when the programs of the host went on after its latest stall, 0 when they never stood still.
func (h *Host) Woke() time.Duration {
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	return h.woke
}

func (h *Host) stalledLocked() bool { return h.stall != nil && !h.stall.over }

// resumeLocked ends a stall when its time has come: what the programs sent goes out, and what
// waited for them arrives, each packet at an instant of its own. Until the last of them has
// arrived, new packets wait behind them, so that streams keep their order.
func (h *Host) resumeLocked(s *stall) {
	if h.stall != s || h.w.Now() < s.until { // crashed, or made longer
		return
	}
	if !s.over {
		s.over, h.woke = true, h.w.Now()
	}
	out := s.out
	s.out = nil
	clear(s.sending)
	for _, p := range out {
		h.w.launchLocked(p)
	}
	if len(s.in) == 0 {
		h.stall = nil
		return
	}
	p := s.in[0]
	s.in[0] = nil
	s.in = s.in[1:]
	s.leaveLocked(p)
	h.w.landLocked(p)
	h.w.afterLocked(1, func() { h.resumeLocked(s) })
}

// holdLocked keeps a packet that has arrived at a stalled host. It returns false when the host
// does not stand still.
func (h *Host) holdLocked(p *packet) bool {
	s := h.stall
	if s == nil {
		return false
	}
	if s.spare <= 0 && p.repeated || p.proto == UDP && (s.spare <= 0 || s.waiting[p.dst] >= inboxMax) {
		h.w.loseLocked(p, WhyOverflow)
		return true
	}
	if p.proto == UDP {
		s.waiting[p.dst]++
	}
	if p.proto == UDP || p.repeated {
		s.spare--
	}
	s.in = append(s.in, p)
	return true
}

// leaveLocked counts a packet that does not wait any more.
func (s *stall) leaveLocked(p *packet) {
	if p.proto == UDP {
		s.waiting[p.dst]--
	}
	if p.proto == UDP || p.repeated {
		s.spare++
	}
}

// keepLocked keeps a packet that a program of a stalled host sends. It returns false when the
// host does not stand still. Segments do not come here: they wait in their stream.
func (h *Host) keepLocked(p *packet) bool {
	if !h.stalledLocked() {
		return false
	}
	s := h.stall
	if s.sending[p.src]+p.size > stallSendMax || len(s.out) >= stallMax {
		h.w.stats.Sent++
		h.w.stats.SentBytes += uint64(p.size)
		h.w.loseLocked(p, WhyOverflow)
		return true
	}
	s.sending[p.src] += p.size
	s.out = append(s.out, p)
	return true
}

// dropStallLocked ends a stall by a crash: what waited meets a dead host.
func (h *Host) dropStallLocked() {
	s := h.stall
	if s == nil {
		return
	}
	h.stall = nil
	for _, p := range s.in { // a moment later: whoever waits for it has seen the crash by then
		h.w.afterLocked(1, func() { h.w.landLocked(p) })
	}
	for _, p := range s.out {
		h.w.stats.Sent++
		h.w.stats.SentBytes += uint64(p.size)
		h.w.loseLocked(p, WhyDown)
	}
}

// afterStallLocked makes f run when the host does not stand still any more. It returns false
// when it does not now.
func (h *Host) afterStallLocked(f func()) bool {
	if !h.stalledLocked() {
		return false
	}
	h.w.atLocked(max(h.stall.until, h.w.Now()+1), f)
	return true
}
