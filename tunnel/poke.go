package tunnel

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"time"

	micronet "github.com/micro/micro-net"
)

const (
	// pokes is how many packets one Poke sends, as some get lost, and pokePause is what lies between.
	pokes     = 3
	pokePause = 100 * time.Millisecond
	// maxPoked is to how many addresses of the peer each of them goes.
	maxPoked = 4
)

// Poke sends a peer packets from a port that it has never sent anything to, to where it answers over UDP: by whatever port its
// router opened, it need not be the one that its own packets come from. It learns by them whether its firewall and its NAT let
// strangers in. They go nowhere else than to addresses that the peer has proved to be its own. The error is Unreachable where it
// answers at none.
func (u *Underlay) Poke(ctx context.Context, to micronet.NodeID) (err error) {
	const op = "tunnel.poke"
	door, err := u.env.Net.ListenPacket(ctx, netip.AddrPortFrom(u.local.Addr(), 0))
	if err != nil {
		return micronet.E(op, micronet.Internal, "%w", err).WithPeer(to)
	}
	defer func() { err = errors.Join(err, door.Close()) }()
	for i := range pokes {
		if i > 0 {
			select {
			case <-time.After(pokePause):
			case <-ctx.Done():
				return micronet.E(op, micronet.Timeout, "%w", context.Cause(ctx)).WithPeer(to)
			}
		}
		if err := u.pokeOnce(to, door); err != nil {
			return err
		}
	}
	return nil
}

func (u *Underlay) pokeOnce(to micronet.NodeID, door net.PacketConn) error {
	const op = "tunnel.poke"
	var list []outgoing
	u.do(func(now time.Time, c *core, out *effects) {
		if p, err := c.known(op, to); err == nil {
			list = c.pokes(now, p, out)
		}
	})
	if len(list) == 0 {
		return micronet.E(op, micronet.Unreachable, "it does not answer over UDP, without a relay").WithPeer(to)
	}
	var errs []error
	for i := range list {
		if _, err := door.WriteTo(list[i].data, list[i].udp); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) == len(list) {
		return micronet.E(op, micronet.Unreachable, "%w", errors.Join(errs...)).WithPeer(to)
	}
	return nil
}

// pokes seals packets that leave by another socket, one for each address that the peer has proved, the one in use first. There are none
// where the way in use is no such address.
func (c *core) pokes(now time.Time, p *peer, out *effects) (list []outgoing) {
	b, k := p.paths.best, c.pair(p, p.BoxKey, c.key)
	if b == nil || !b.confirmed || !b.straight() || k == nil {
		return nil
	}
	for _, to := range append([]*candidate{b}, p.paths.others((*candidate).straight)...) {
		if len(list) < maxPoked {
			list = append(list, c.poke(now, p, k, to, out))
		}
	}
	return list
}

func (c *core) poke(now time.Time, p *peer, k *pairing, to *candidate, out *effects) outgoing {
	c.nonce++
	c.seal(now, p, k, to, &message{kind: messageProbe, flags: probePoke, nonce: c.nonce}, false, out)
	last := len(out.datagrams) - 1
	o := out.datagrams[last]
	o.data = slices.Clone(o.data)
	out.datagrams[last] = outgoing{}
	out.datagrams = out.datagrams[:last]
	return o
}

// PokedAt is when a poke of a peer arrived last, zero for never.
func (u *Underlay) PokedAt(id micronet.NodeID) time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	if p := u.core.peers[id]; p != nil {
		return p.poked
	}
	return time.Time{}
}
