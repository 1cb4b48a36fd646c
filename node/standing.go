package node

import (
	"net/netip"
	"slices"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/identity"
)

// RelayMode says whether this node forwards the packets of other pairs.
type RelayMode string

// The values of --relay.
const (
	RelayAuto RelayMode = "auto" // if others can reach it without being asked
	RelayOn   RelayMode = "on"
	RelayOff  RelayMode = "off"
)

// standing is where this node stands in the network, as far as it can tell.
type standing struct {
	known  bool // a peer has said which address it sees
	open   bool // all addresses that peers see are its own, or the user has told of others
	called bool // somebody reached it without being asked
}

// standingOf compares the addresses that peers see with those of the interfaces. Where a device puts others in their
// place, who was reached was perhaps reached from behind the same device, which does not count.
func standingOf(advertise []netip.AddrPort, ifaces []micronet.Interface, observed []netip.AddrPort, called bool) standing {
	own := func(a netip.AddrPort) bool {
		return slices.ContainsFunc(ifaces, func(i micronet.Interface) bool {
			return slices.ContainsFunc(i.Prefixes, func(p netip.Prefix) bool { return p.Addr().Unmap().WithZone("") == a.Addr() })
		})
	}
	foreign := slices.ContainsFunc(observed, func(a netip.AddrPort) bool { return !own(a) })
	return standing{
		known:  len(observed) > 0,
		open:   !foreign || len(advertise) > 0,
		called: called,
	}
}

// relays reports whether a node in this place forwards the packets of others.
func (s standing) relays(mode RelayMode) bool {
	return mode == RelayOn || (mode != RelayOff && s.known && s.open)
}

// needsRelays reports whether others may have to come over a relay.
func (s standing) needsRelays() bool { return s.known && (!s.open || !s.called) }

// carrying is what this node says of relays: whether it is one, and over which it can be reached.
type carrying struct {
	relay bool
	homes [identity.MaxRelays]uint64 // 0: none
}

// carry looks what this node can do for others, and what it needs of them.
func (s *self) carry(ifaces []micronet.Interface, observed []netip.AddrPort) (c carrying) {
	at := standingOf(s.config.Advertise, ifaces, observed, s.under.Called())
	c.relay = at.relays(s.config.Relay)
	tags := s.under.KeepHomes(at.needsRelays())
	for i, t := range tags[:min(len(tags), len(c.homes))] {
		c.homes[i] = uint64(t)
	}
	slices.Sort(c.homes[:])
	return c
}

// tags lists the relays.
func (c *carrying) tags() (out []uint64) {
	for _, t := range c.homes {
		if t != 0 {
			out = append(out, t)
		}
	}
	return out
}
