package sim

import (
	"net/netip"
	"path/filepath"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/internal/identity"
)

// strangers are addresses of the simulated network that no host has.
const strangers = 0x00f00000 // 10.240.0.0

// misplace says that the insider is elsewhere, each time at other places: where nobody is, where others are,
// on the very host of the reader, and where clouds tell their secrets.
func (i *insider) misplace() {
	p, ok := i.parts()
	raw, err := i.machine.host.FS().ReadFile(filepath.Join(dataDir, "membership.json"))
	if !ok || err != nil {
		return
	}
	membership, err := identity.UnmarshalMembership(raw)
	if err != nil {
		return
	}
	i.serial++
	where := i.places()
	credential, err := identity.NewCredential(i.keys, membership, identity.Self{
		Epoch: p.swim.Epoch, Seq: farAhead + i.serial, Machine: i.neighbour(membership), Endpoints: where,
	})
	if err != nil {
		return
	}
	p.members.SetCredential(credential)
	i.tell(aliveAs(uint32(100+i.serial), memberName(p.swim.Self, p.swim.Epoch), p.swim.Self, credential, usual), micronet.NodeID{})
	d, ok := i.document(i.keys.ID())
	if !ok {
		return
	}
	d.Endpoints = where
	if count, body, ok := itemsOf(d); ok {
		i.spread(i.full(i.next(count, body), body))
	}
}

// places are six addresses, as many as a credential carries.
func (i *insider) places() []netip.AddrPort {
	at := func(a, b, c, d byte, port uint16) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{a, b, c, d}), port)
	}
	n := uint32(strangers + i.serial*4)
	out := []netip.AddrPort{
		at(10, byte(n>>16), byte(n>>8), byte(n), 53), at(10, byte(n>>16), byte(n>>8), byte(n+1), 8085),
		at(169, 254, 169, 254, 80), at(127, 0, 0, 1, dnsPort), netip.AddrPortFrom(netip.MustParseAddr("fe80::1"), meshPort),
	}
	others := i.mesh.machines
	return append(out, netip.AddrPortFrom(others[int(i.serial)%len(others)].host.Addr(), meshPort))
}

// neighbour is the mark of a victim's machine, which the victim tells everybody: whoever has it may be reached
// over loopback.
func (i *insider) neighbour(m identity.Membership) (mark [16]byte) {
	trust, err := m.Trust()
	if err != nil {
		return mark
	}
	valid := m.NotBefore.Add(identity.BackDated + time.Minute)
	i.victims(func(_ parts, o gossip.Member) {
		if c, err := trust.VerifyCredential(o.Credential, valid, 0); err == nil {
			mark = c.Machine
		}
	})
	return mark
}
