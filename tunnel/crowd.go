package tunnel

import (
	"net"
	"net/netip"
	"sync"

	micronet "github.com/micro/micro-net"
)

const (
	// CrowdMax bounds the guests of a Crowd; a further one is refused, and comes again a second
	// later. Each takes about a second.
	CrowdMax = 64
	// crowdPerNet bounds those of one network (IPv4 /24, IPv6 /48) once half of CrowdMax are there, so
	// that a few hosts cannot keep all others from joining. Before that a whole rack may come at once.
	crowdPerNet = 8
)

// Crowd counts the guests that are here, by the network they come from. Whoever may not even be a member
// can take a place for GuestTime: when places become few, no network gets more than its share.
//
// The zero value is an empty one. It is safe for concurrent use.
type Crowd struct {
	mu    sync.Mutex // a leaf
	total int
	of    map[netip.Prefix]int
}

// Begin counts a guest, or refuses it.
func (c *Crowd) Begin(from net.Addr) bool {
	n := networkOf(from)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.total >= CrowdMax || (c.total >= CrowdMax/2 && c.of[n] >= crowdPerNet) {
		return false
	}
	if c.of == nil {
		c.of = make(map[netip.Prefix]int)
	}
	c.total++
	c.of[n]++
	return true
}

// End counts a guest that Begin has counted no more.
func (c *Crowd) End(from net.Addr) {
	n := networkOf(from)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total--
	if c.of[n]--; c.of[n] == 0 {
		delete(c.of, n)
	}
}

// Here returns how many guests are counted.
func (c *Crowd) Here() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.total
}

// networkOf is the part of an address that one party has all of, as a rule.
func networkOf(addr net.Addr) netip.Prefix {
	return micronet.PrefixOf(addr, 24, 48)
}
