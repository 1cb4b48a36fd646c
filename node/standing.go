package node

import (
	"net/netip"
	"slices"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/tunnel"
)

// RelayMode says whether this node forwards the packets of other pairs.
type RelayMode string

// The values of --relay.
const (
	RelayAuto RelayMode = "auto" // if it is behind no NAT
	RelayOn   RelayMode = "on"
	RelayOff  RelayMode = "off"
)

// standing is where this node stands in the network, as far as it can tell.
type standing struct {
	known   bool // a peer has said which address it sees
	open    bool // peers see addresses of its own, or the user has told of others
	called  bool // somebody reached it without being asked
	dialled bool // somebody reached it over TCP
	walled  bool // UDP reaches nobody
}

// standingOf compares the addresses that peers see with those of the interfaces. Where a device puts others in their
// place, who was reached was perhaps reached from behind the same device, which does not count. One peer among many
// that sees something else may lie.
func standingOf(advertise []netip.AddrPort, ifaces []micronet.Interface, seen tunnel.Standing) standing {
	own := func(a netip.AddrPort) bool {
		return slices.ContainsFunc(ifaces, func(i micronet.Interface) bool {
			return slices.ContainsFunc(i.Prefixes, func(p netip.Prefix) bool { return p.Addr().Unmap().WithZone("") == a.Addr() })
		})
	}
	foreign := 0
	for _, a := range seen.Seen {
		if !own(a) {
			foreign++
		}
	}
	behind := foreign >= 2 || (foreign > 0 && 2*foreign >= len(seen.Seen))
	return standing{known: len(seen.Seen) > 0, open: !behind || len(advertise) > 0, called: seen.Called, dialled: seen.Dialled, walled: seen.Walled}
}

// relays reports whether a node in this place forwards the packets of others.
func (s standing) relays(mode RelayMode) bool {
	return mode == RelayOn || (mode != RelayOff && (s.known || s.dialled) && s.open && (s.dialled || !s.walled))
}

// relays reports whether a node says that it forwards the packets of others.
func (l *life) relays(id micronet.NodeID) bool {
	if id == l.self {
		return l.address.forwards()
	}
	cred, _ := l.contacts.of(id)
	return cred.Flags&identity.FlagRelay != 0
}

// forwards reports whether this node forwards the packets of others.
func (s *self) forwards() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.carries.relay
}

// needsRelays reports whether others may have to come over a relay.
func (s standing) needsRelays() bool { return s.walled || (s.known && (!s.open || !s.called)) }

// carrying is what this node says of relays: whether it is one, and over which it can be reached.
type carrying struct {
	relay bool
	homes [identity.MaxRelays]uint64 // 0: none
}

// carry looks what this node can do for others, and what it needs of them.
func (s *self) carry(ifaces []micronet.Interface) (c carrying) {
	if s.moved(ifaces) {
		s.under.ForgetStanding()
	}
	at := standingOf(s.config.Advertise, ifaces, s.under.Standing())
	c.relay = at.relays(s.config.Relay)
	tags := s.under.KeepHomes(at.needsRelays())
	for i, t := range tags[:min(len(tags), len(c.homes))] {
		c.homes[i] = uint64(t)
	}
	slices.Sort(c.homes[:])
	return c
}

// moved reports whether the host's addresses are others than when it was asked last.
func (s *self) moved(ifaces []micronet.Interface) bool {
	var now []netip.Prefix
	for _, i := range ifaces {
		now = append(now, i.Prefixes...)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.prefixes
	s.prefixes = now
	return was != nil && !slices.Equal(was, now)
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
