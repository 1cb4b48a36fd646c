package node

import (
	"net/netip"
	"slices"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/node/api"
)

const (
	// sightingFor is how long a peer's word counts: what one saw a while ago and what another sees now may differ because a
	// NAT has dropped a mapping meanwhile.
	sightingFor = 10 * time.Second
	// maxSeen is how many addresses are told.
	maxSeen = 4
)

// sighting is an address of ours as a peer said that it sees it.
type sighting struct {
	peer micronet.NodeID
	addr netip.AddrPort
	at   time.Time
}

// natKinds tells, for each family in which peers said anything, what is between this host and those outside of its network. own
// are the addresses of the interfaces, walled that UDP reaches nobody. Peers that see one of these addresses are inside, by
// whatever other way they see us too.
func natKinds(now time.Time, own func(netip.Addr) bool, walled bool, seen []sighting) []api.NAT {
	if walled {
		return []api.NAT{{Kind: api.NATBlocked, Seen: []string{}}}
	}
	var out []api.NAT
	for _, is4 := range []bool{true, false} {
		list := slices.DeleteFunc(slices.Clone(seen), func(s sighting) bool {
			return s.addr.Addr().Is4() != is4 || now.Sub(s.at) > sightingFor
		})
		if len(list) > 0 {
			out = append(out, natKind(own, is4, list))
		}
	}
	if len(out) == 0 {
		out = []api.NAT{{Kind: api.NATUnknown, Seen: []string{}}}
	}
	return out
}

func natKind(own func(netip.Addr) bool, is4 bool, list []sighting) api.NAT {
	n := api.NAT{Family: "ipv6", Kind: api.NATUnknown}
	if is4 {
		n.Family = "ipv4"
	}
	inside, outside := apart(own, list)
	if len(outside) == 0 {
		n.Kind, n.Nodes = api.NATNone, peersOf(inside)
		n.Seen = seenAt(inside)
		return n
	}
	outside = furthest(outside)
	n.Nodes, n.Seen = len(outside), seenAt(outside)
	if len(outside) < 2 {
		return n
	}
	n.Kind = api.NATIndependent
	// One among many that sees something else may lie, or be behind a device of its own.
	if others := len(outside) - agreed(outside); others >= 2 || 2*others >= len(outside) {
		n.Kind = api.NATDependent
	}
	return n
}

// apart returns what those inside our network see of us there, and one sighting of each peer outside of it: the first.
func apart(own func(netip.Addr) bool, list []sighting) (inside, outside []sighting) {
	for _, s := range list {
		if own(s.addr.Addr()) {
			inside = append(inside, s)
		}
	}
	by := func(p micronet.NodeID) func(sighting) bool { return func(s sighting) bool { return s.peer == p } }
	for _, s := range list {
		if !slices.ContainsFunc(inside, by(s.peer)) && !slices.ContainsFunc(outside, by(s.peer)) {
			outside = append(outside, s)
		}
	}
	return inside, outside
}

// furthest leaves those that see a public address, if two do or none sees another one. Between two NATs, of which a provider
// has one, others see the address that is between them: that differs without saying anything about ports.
func furthest(list []sighting) []sighting {
	private := func(s sighting) bool { return s.addr.Addr().IsPrivate() || sharedSpace.Contains(s.addr.Addr()) }
	public := slices.DeleteFunc(slices.Clone(list), private)
	if len(public) >= 2 || 2*len(public) >= len(list) {
		return public
	}
	return slices.DeleteFunc(list, func(s sighting) bool { return !private(s) })
}

// sharedSpace is what providers use between their NAT and those of their customers (RFC 6598).
var sharedSpace = netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64, 0, 0}), 10)

// agreed is how many see the address and port that most see.
func agreed(list []sighting) (most int) {
	votes := map[netip.AddrPort]int{}
	for _, s := range list {
		votes[s.addr]++
		most = max(most, votes[s.addr])
	}
	return most
}

func peersOf(list []sighting) int {
	ids := map[micronet.NodeID]bool{}
	for _, s := range list {
		ids[s.peer] = true
	}
	return len(ids)
}

// seenAt lists what was seen, without repetitions.
func seenAt(list []sighting) []string {
	out := []string{}
	for _, s := range list {
		if a := s.addr.String(); !slices.Contains(out, a) && len(out) < maxSeen {
			out = append(out, a)
		}
	}
	return out
}
