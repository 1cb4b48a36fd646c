package quic

import (
	"net"
	"net/netip"
	"sync"

	micronet "github.com/micro/micro-net"
)

// crowd counts the guests that are here, by the network they come from. Whoever may not even be a member
// can take a place for GuestTime: when places become few, no network gets more than its share.
type crowd struct {
	mu    sync.Mutex // a leaf
	total int
	of    map[netip.Prefix]int
}

// begin counts a guest, or refuses it.
func (c *crowd) begin(from net.Addr) bool {
	n := networkOf(from)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.total >= maxGuests || (c.total >= maxGuests/2 && c.of[n] >= maxGuestsPerNet) {
		return false
	}
	c.total++
	c.of[n]++
	return true
}

func (c *crowd) end(from net.Addr) {
	n := networkOf(from)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total--
	if c.of[n]--; c.of[n] == 0 {
		delete(c.of, n)
	}
}

// networkOf is the part of an address that one party has all of, as a rule.
func networkOf(addr net.Addr) netip.Prefix {
	return micronet.PrefixOf(addr, 24, 48)
}
