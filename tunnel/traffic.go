package tunnel

import (
	"errors"
	"net"
	"net/netip"
	"time"

	micronet "github.com/micro/micro-net"
)

// isQUIC tells QUIC's packets from ours.
func isQUIC(b []byte) bool { return len(b) > 0 && b[0]&firstQUIC != 0 }

// own handles a datagram that is not QUIC's. The data is not kept.
func (u *Underlay) own(now time.Time, data []byte, from netip.AddrPort, local netip.Addr) {
	u.traffic.bytesIn.Add(uint64(len(data)))
	switch {
	case u.closed.Load():
		u.drops.count(dropClosed, micronet.NodeID{})
	case len(data) > 0 && data[0] == firstSealed:
		u.traffic.sealedIn.Add(1)
		u.do(func(_ time.Time, c *core, out *effects) {
			c.receive(arrival{now: now, from: from, local: local, data: data}, out)
		})
	case len(data) > 0 && data[0] == firstEnvelope:
		u.do(func(_ time.Time, c *core, out *effects) {
			c.envelope(arrival{now: now, from: from, local: local, data: data}, out)
		})
	case len(data) > 0 && data[0] == firstGuest:
		h, err := parseGuestHello(data)
		if err != nil || !u.guests.hello(now, from, u.socket.source(local), h) {
			u.drops.count(dropGuestRefused, micronet.NodeID{})
		}
	default:
		u.drops.count(dropGarbage, micronet.NodeID{})
	}
}

// inQUIC decides about n bytes of QUIC that came in. It returns the identity of the peer, or nil
// and whether the packet may pass as that of a guest. A binding comes first: a guest that has
// just become a member is one from its first sealed frame on.
func (u *Underlay) inQUIC(now time.Time, n int, from netip.AddrPort, local netip.Addr) (*net.UDPAddr, bool) {
	b := u.dir.byAddress(from)
	if b == nil {
		if !u.guests.arrives(now, from) {
			u.drops.count(dropUnbound, micronet.NodeID{})
			return nil, false
		}
		u.countIn(n)
		return nil, true
	}
	u.countIn(n)
	b.received.Add(int64(n))
	b.flow.comes(b, moment(u.start, now))
	if local.IsValid() && local != b.local {
		b.local = local
		u.do(func(_ time.Time, c *core, out *effects) { c.moved(b.flow.id, from, local) })
	}
	return b.flow.identity, true
}

func (u *Underlay) countIn(n int) {
	u.traffic.quicIn.Add(1)
	u.traffic.bytesIn.Add(uint64(n))
}

// outQUIC sends QUIC to an identity address, or to a guest's real one. A packet that cannot go
// now is lost, as packets are; the only errors are those that quic-go knows how to take.
func (u *Underlay) outQUIC(b, oob []byte, to netip.AddrPort) error {
	var err error
	if micronet.IsIdentityAddr(to.Addr()) {
		err = u.outPeer(b, oob, to.Addr())
	} else {
		err = u.outGuest(b, oob, clean(to))
	}
	if err != nil && isRouteError(err) {
		u.drops.count(dropWrite, micronet.NodeID{})
		return nil
	}
	return err
}

func (u *Underlay) outPeer(b, oob []byte, identity netip.Addr) error {
	f := u.dir.byIdentity(identity)
	if f == nil {
		u.drops.count(dropUnknownPeer, micronet.NodeID{})
		return nil
	}
	now := moment(u.start, time.Now())
	r := f.route.Load()
	if r == nil || !r.confirmed || now-f.used.Load() > int64(quietAfter) {
		if !u.prepare(f, len(b)) {
			return nil
		}
		if r = f.route.Load(); r == nil {
			return nil
		}
	}
	f.used.Store(now)
	if f.asked.Load() <= max(f.arrived.Load(), f.heard.Load()) {
		f.asked.Store(now)
	}
	if f.unmet.Load() <= f.arrived.Load() {
		f.unmet.Store(now)
	}
	u.traffic.quicOut.Add(1)
	large := u.isLarge(f, b, oob, now)
	if f.copied.Load() {
		u.outCopies(f, b, oob)
	}
	if r.relayed {
		u.outRelayed(f, b, oob)
		return nil
	}
	u.traffic.bytesOut.Add(uint64(len(b)))
	if large && f.narrow.Load() {
		return u.outPieces(f, r, b, oob)
	}
	err := u.write(b, oob, r.source, r.remote, r.udp, f.peer)
	if err == nil {
		u.tell(r.left, f, b, oob)
	}
	return err
}

// tell counts QUIC packets, perhaps a batch, that have left.
func (u *Underlay) tell(t *tally, f *flow, b, oob []byte) {
	n, size := 1, len(b)
	if s := u.socket.segment(oob); s > 0 && s < size {
		n, size = (size+s-1)/s, s
	}
	t.add(n, size, int(f.wide.Load()))
}

// prepare tells the path core that QUIC is used after a pause, or without a confirmed path, and
// lets it send a hello first. false: the packet may not leave.
func (u *Underlay) prepare(f *flow, n int) bool {
	ok := false
	u.do(func(now time.Time, c *core, out *effects) {
		if p := c.peers[f.id]; p != nil {
			ok = c.quic(now, p, n, out)
		}
	})
	return ok
}

func (u *Underlay) outGuest(b, oob []byte, to netip.AddrPort) error {
	hello, source, ok := u.guests.leaves(time.Now(), to)
	if !ok {
		u.drops.count(dropUnbound, micronet.NodeID{})
		return nil
	}
	udp := net.UDPAddrFromAddrPort(to)
	if hello != nil {
		if err := u.socket.write(hello, nil, nil, to, udp); errors.Is(err, net.ErrClosed) {
			return err
		}
	}
	u.traffic.quicOut.Add(1)
	u.traffic.bytesOut.Add(uint64(len(b)))
	return u.socket.write(b, oob, source, to, udp)
}
