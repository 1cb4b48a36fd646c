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
)

// Poke sends a peer packets from a port that it has never sent anything to, to where it answers over UDP. It learns by them
// whether its firewall and its NAT let strangers in. They go nowhere else than to an address that the peer has proved to be
// its own. The error is Unreachable where it answers at none.
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
	var data []byte
	var addr net.Addr
	u.do(func(now time.Time, c *core, out *effects) {
		if p, err := c.known(op, to); err == nil {
			data, addr = c.poke(now, p, out)
		}
	})
	if data == nil {
		return micronet.E(op, micronet.Unreachable, "it does not answer over UDP, without a relay").WithPeer(to)
	}
	if _, err := door.WriteTo(data, addr); err != nil {
		return micronet.E(op, micronet.Unreachable, "%w", err).WithPeer(to)
	}
	return nil
}

// poke seals a packet that leaves by another socket; nil when there is no address that the peer has proved.
func (c *core) poke(now time.Time, p *peer, out *effects) ([]byte, net.Addr) {
	to, k := p.paths.best, c.pair(p, p.BoxKey, c.key)
	if to == nil || !to.confirmed || !to.straight() || k == nil {
		return nil, nil
	}
	c.nonce++
	c.seal(now, p, k, to, &message{kind: messageProbe, flags: probePoke, nonce: c.nonce}, false, out)
	last := len(out.datagrams) - 1
	data := slices.Clone(out.datagrams[last].data)
	out.datagrams[last] = outgoing{}
	out.datagrams = out.datagrams[:last]
	return data, to.udp
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
