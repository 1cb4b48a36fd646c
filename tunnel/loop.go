package tunnel

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// Run keeps the paths alive until ctx ends: probes, refreshes, back-off. It does not read, and it does not
// close the socket. Trunks have goroutines of their own, which end with it. Afterwards sealed packets are
// neither sent nor taken.
func (u *Underlay) Run(ctx context.Context) error {
	defer u.closed.Store(true)
	if u.trunks.config.TLS != nil {
		var others sync.WaitGroup
		defer others.Wait()
		others.Go(func() { u.trunks.run(ctx) })
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-u.wakeup:
		case <-timer.C:
		}
		var next time.Time
		u.do(func(now time.Time, c *core, out *effects) {
			next = c.tick(now, out)
			u.armed = next
		})
		timer.Stop()
		if !next.IsZero() {
			timer.Reset(time.Until(next) + u.env.Phase)
		}
	}
}

// do runs f on the core and then performs what it asks for.
func (u *Underlay) do(f func(now time.Time, c *core, out *effects)) {
	out := u.pool.Get().(*effects)
	if u.change(f, out) {
		select {
		case u.wakeup <- struct{}{}:
		default: // Run has not looked since the last one
		}
	}
	u.perform(out)
	out.reset()
	u.pool.Put(out)
}

// change runs f, and reports whether somebody is due earlier than Run expects.
func (u *Underlay) change(f func(now time.Time, c *core, out *effects), out *effects) (sooner bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	f(time.Now(), u.core, out)
	return u.rearmLocked()
}

// rearmLocked reports whether somebody is due earlier than Run expects.
func (u *Underlay) rearmLocked() bool {
	p := u.core.agenda.first()
	if p == nil || (!u.armed.IsZero() && !p.due.Before(u.armed)) {
		return false
	}
	u.armed = p.due
	return true
}

// perform carries out effects. Nothing is locked: callbacks may call the Underlay.
func (u *Underlay) perform(out *effects) {
	for i := range out.datagrams {
		u.transmit(&out.datagrams[i])
	}
	for _, d := range out.dropped {
		u.drops.count(d.why, d.peer)
	}
	for _, m := range out.moves {
		u.env.Events.PathChanged(m)
	}
	for _, p := range out.learned {
		if u.onPeer != nil {
			u.onPeer(p)
		}
	}
	for _, h := range out.hangups {
		u.trunks.hangUp(h)
	}
	for _, k := range out.calls {
		if !u.trunks.call(k) { // it is made anew when it is due again
			u.drops.count(dropTrunkCall, k.to)
		}
	}
	for _, w := range out.whole {
		u.pass(w)
	}
	for i := range out.deliveries {
		d := &out.deliveries[i]
		if r := u.handlers[d.channel]; r != nil {
			r(d.from, d.payload, d.at)
		} else {
			u.drops.count(dropNoHandler, d.from)
		}
	}
}

// transmit sends one of our own datagrams.
func (u *Underlay) transmit(o *outgoing) {
	if u.closed.Load() {
		return
	}
	err := u.write(o.data, nil, o.source, o.addr, o.udp, o.peer)
	if err != nil {
		u.drops.count(dropWrite, o.peer.flow.id) // the peer itself is the core's
		return
	}
	u.traffic.sealedOut.Add(1)
	u.traffic.bytesOut.Add(uint64(len(o.data)))
}

// write sends towards a peer. If the system refuses, the path core hears of it: the source
// address may be gone, or the route.
func (u *Underlay) write(b, oob, source []byte, addr netip.AddrPort, udp *net.UDPAddr, p *peer) error {
	if isTrunkAddr(addr.Addr()) {
		u.writeTrunk(b, oob, addr, p.flow.id)
		return nil
	}
	err := u.socket.write(b, oob, source, addr, udp)
	if err == nil || !isRouteError(err) {
		return err
	}
	if source != nil {
		u.do(func(_ time.Time, c *core, _ *effects) { c.forgetSource(p, addr) })
		if err = u.socket.write(b, oob, nil, addr, udp); err == nil {
			return nil
		}
	}
	u.do(func(now time.Time, c *core, out *effects) { c.stumble(now, p, addr, out) })
	return err
}

// isRouteError reports errors of sending that another way may not have. Those that quic-go acts
// upon, and that of a closed socket, are none.
func isRouteError(err error) bool {
	return !errors.Is(err, syscall.EMSGSIZE) && !errors.Is(err, syscall.EIO) && !errors.Is(err, net.ErrClosed)
}
