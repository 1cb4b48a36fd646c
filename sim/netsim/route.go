package netsim

import "net/netip"

// header is what a packet says and where it is, outside of its sender.
//
//	sender ──▶ firewall ──▶ NATs outwards ──▶ path ──▶ NATs inwards ──▶ firewall ──▶ receiver
//	          └───────────── leave ──────┘            └──────────── enter ───────┘
//
// A datagram leaves when it is sent and enters when it arrives, so that a hole punched meanwhile
// counts. A segment does both when it is sent: what it meets is as good as always the same, and
// its stream learns at once that it is lost.
type header struct {
	src, dst netip.AddrPort
	at       *realm // in which dst is looked for
	to       owner  // who has dst there
	out      *NAT   // through which it got there
}

// leaveLocked takes a packet from its sender to where somebody has its destination.
func (w *World) leaveLocked(p *packet) (header, Why) {
	h := p.from.host
	x := header{src: p.src, dst: p.dst, at: h.realm}
	if p.proto == Unix || p.dst.Addr().IsLoopback() {
		x.to.host = h
		return x, ""
	}
	x.to = x.at.owners[p.dst.Addr()]
	if h.firewall != nil && x.to.host != h && !h.firewall.leaves(p, w.Now()) {
		return x, WhyFirewall
	}
	for x.to == (owner{}) {
		if x.at.nat == nil {
			return x, WhyNoRoute
		}
		var why Why
		if x, why = x.at.nat.leaveLocked(p, x); why != "" {
			return x, why
		}
	}
	return x, ""
}

// throughLocked follows a packet through the NATs in front of its receiver. With look it only says
// where the packet would end if all let it in.
func (w *World) throughLocked(p *packet, look bool) (header, Why) {
	x := p.head
	for x.to.nat != nil {
		y, why := x.to.nat.enterLocked(p, x, look)
		if why != "" {
			return x, why
		}
		x = y
	}
	return x, ""
}

// targetLocked returns the host that a packet on its way will reach, as it looks now; where a NAT
// knows of none it returns that NAT's place.
func (w *World) targetLocked(p *packet) *Host {
	if p.head.to.host != nil {
		return p.head.to.host
	}
	x, _ := w.throughLocked(p, true)
	if x.to.nat != nil {
		return x.to.nat.place
	}
	return x.to.host
}

// enterLocked takes a packet to its receiver. What it returns is addressed as the receiver sees it.
func (w *World) enterLocked(p *packet) (*packet, Why) {
	if p.head.to.host != nil && p.to.firewall == nil && p.head.src == p.src {
		return p, ""
	}
	x, why := w.throughLocked(p, false)
	if why != "" {
		return p, why
	}
	from, to := p.from.host, x.to.host
	if to != p.to && !w.passesLocked(from, to) {
		return p, WhyBlocked // another host has the port now, and was not asked for at launch
	}
	if to.firewall != nil && to != from && !to.firewall.enters(p.proto, x, w.Now()) {
		return p, WhyFirewall
	}
	if to == p.to && x.src == p.src && x.dst == p.dst {
		return p, ""
	}
	q := *p
	q.src, q.dst, q.to = x.src, x.dst, to
	return &q, ""
}
