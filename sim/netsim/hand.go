package netsim

import (
	"net/netip"
	"slices"
	"time"
)

// Hand is what the owner of a host does to datagrams that its programs send. It is asked with the world's lock held: it
// must be quick and must not call the world.
type Hand interface {
	// Take returns what leaves in the place of a datagram, which it must not change.
	Take(to netip.AddrPort, datagram []byte) []Outgoing
}

// Outgoing is a datagram that leaves a host, perhaps later than its program sent it.
type Outgoing struct {
	Data  []byte
	After time.Duration
}

// SetHand has datagrams of the host pass through a hand; nil: through none. It lasts across crashes.
func (h *Host) SetHand(hand Hand) {
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	h.hand = hand
}

// leaveLaterLocked sends a packet when its time has come, unless its socket is closed by then.
func (c *udpConn) leaveLaterLocked(p *packet, after time.Duration) {
	if after <= 0 {
		c.st.w.launchLocked(p)
		return
	}
	c.st.w.afterLocked(after, func() {
		if !c.closed {
			c.st.w.launchLocked(p)
		}
	})
}

// packetLocked is a datagram of a socket that is about to leave.
func (c *udpConn) packetLocked(src, dst netip.AddrPort, b []byte) *packet {
	return &packet{
		proto: UDP, from: c.st, src: src, dst: dst, size: len(b), data: slices.Clone(b),
		arrive: func(p *packet) Why { return p.to.stack.deliverLocked(c, p) },
	}
}
