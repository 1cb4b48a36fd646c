package sim

import (
	"net/netip"

	"github.com/micro/micro-net/internal/portmap/portmaptest"
	"github.com/micro/micro-net/sim/netsim"
	"github.com/micro/micro-net/sim/scenario"
)

// devices are the NATs in front of a group, from the internet inwards: one, or two with a provider's.
type devices []*netsim.NAT

// natAddrs is the number above which addresses are given to devices.
const natAddrs = 200_000

// buildNATs puts devices in front of the groups that have some, and notes which have firewalls.
func (m *mesh) buildNATs() {
	m.nats, m.walled, m.boxes = map[string]devices{}, map[string]bool{}, map[string]*portmaptest.Box{}
	for i := range m.scenario.Groups {
		g := &m.scenario.Groups[i]
		m.walled[g.Name] = g.Firewall
		if g.NAT.Kind == scenario.NoNAT {
			continue
		}
		opts := netsim.NATOptions{Kind: natKind(g.NAT.Kind), Timeout: g.NAT.Timeout, Hairpin: g.NAT.Hairpin}
		d := devices{m.world.NAT(g.Name+"-nat", m.freshAddr(natAddrs+i).Addr(), opts)}
		if g.NAT.Levels > 1 {
			inner := netip.AddrFrom4([4]byte{100, 64, 0, 2}) // of a network that providers have for this (RFC 6598)
			d = append(d, d[0].NAT(g.Name+"-home", inner, opts))
		}
		m.nats[g.Name] = d
		m.addRouter(g, d[len(d)-1])
	}
}

func natKind(k scenario.NATKind) netsim.NATKind {
	switch k {
	case scenario.Restricted:
		return netsim.AddressRestricted
	case scenario.PortRestricted:
		return netsim.PortRestricted
	case scenario.Symmetric:
		return netsim.Symmetric
	}
	return netsim.FullCone
}

// newHost makes a host where its group is: in the open, or behind the group's devices, and behind a
// firewall of its own if the group has them.
func (m *mesh) newHost(ref scenario.NodeRef, number int) *netsim.Host {
	var h *netsim.Host
	if d := m.nats[ref.Group]; len(d) > 0 {
		h = d[len(d)-1].Host(ref.Name, homeAddr(number))
	} else {
		h = m.world.Host(ref.Name, m.freshAddr(number))
	}
	if m.walled[ref.Group] {
		m.world.SetFirewall(h, netsim.Firewall{BlockInbound: true})
	}
	return h
}

// homeAddr is the nth address of the network behind every device.
func homeAddr(n int) netip.Prefix {
	n += 10 + n/254*2 // neither .0 nor .255
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 168, byte(n >> 8), byte(n)}), 16)
}

// rebind makes a group's devices forget their mappings, also those that nodes have asked for.
func (m *mesh) rebind(group string) {
	if b := m.boxes[group]; b != nil {
		b.Restart()
	}
	for _, n := range m.nats[group] {
		n.Rebind()
	}
}

// direct reports whether two machines can reach each other if no fault keeps them apart. Behind two
// NATs or firewalls they may find a way or not; what must hold does not count on it.
func (m *mesh) direct(a, b *machine) bool {
	if m.walled[a.group] && m.walled[b.group] {
		return a == b
	}
	return a.group == b.group || m.isOpen(a) || m.isOpen(b)
}

// isOpen reports whether anybody may send to a machine.
func (m *mesh) isOpen(x *machine) bool { return len(m.nats[x.group]) == 0 && !m.walled[x.group] }

// blockUDP keeps all datagrams from and to machines.
func (f *faults) blockUDP(list []*machine) (undo func()) {
	each(list, func(x *machine) { f.mute(x, 1) })
	f.mesh.oracle.changed()
	return func() {
		each(list, func(x *machine) { f.mute(x, -1) })
		f.mesh.oracle.changed()
	}
}

// mute counts the faults that keep a machine from sending datagrams; those that were healed are
// not counted twice.
func (f *faults) mute(x *machine, by int) {
	f.muted[x] = max(0, f.muted[x]+by)
	f.mesh.world.SetFirewall(x.host, netsim.Firewall{BlockInbound: f.mesh.walled[x.group], BlockUDP: f.muted[x] > 0})
	if f.muted[x] == 0 {
		delete(f.muted, x)
	}
}

// unmute takes back all that blockUDP did.
func (f *faults) unmute() {
	for x := range f.muted {
		f.mute(x, -f.muted[x])
	}
}
