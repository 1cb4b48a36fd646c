package tunnel

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	micronet "github.com/micro/micro-net"
)

const (
	maxReported = 8                // addresses of ours that Observed returns
	reportedFor = 10 * time.Minute // since the peer told
)

// known returns a peer that sealed packets can be sent to.
func (c *core) known(op string, id micronet.NodeID) (*peer, error) {
	if !c.joined() {
		return nil, micronet.E(op, micronet.Refused, "this node has no identity in a cluster yet").
			WithFix("join a cluster first")
	}
	p := c.peers[id]
	if p == nil {
		return nil, micronet.E(op, micronet.NotFound, "no such peer is known").WithPeer(id)
	}
	return p, nil
}

// ping sends a probe over the path in use, or over all ways when there is none, and registers
// who waits for the reply.
func (c *core) ping(now time.Time, p *peer, w *waiter, out *effects) error {
	const op = "tunnel.ping"
	if len(p.waiters) >= maxWaiters {
		return micronet.E(op, micronet.Overloaded, "%d pings to it are waiting already", maxWaiters).WithPeer(p.ID)
	}
	c.sync(p)
	p.paths.use(now)
	if b := p.paths.best; b != nil && b.confirmed {
		c.probe(now, p, b, false, out)
	} else {
		c.hello(now, p, true, out)
	}
	if len(p.paths.candidates) == 0 {
		return micronet.E(op, micronet.Unreachable, "no address of it can be tried").WithPeer(p.ID)
	}
	p.waiters = append(p.waiters, w)
	c.settle(now, p, out)
	return nil
}

// observed lists our addresses as peers see them, newest first.
func (c *core) observed(now time.Time) []netip.AddrPort {
	type report struct {
		addr netip.AddrPort
		at   time.Time
	}
	newest := map[netip.AddrPort]time.Time{}
	for _, p := range c.peers {
		if p.reported.IsValid() && now.Sub(p.reportedAt) < reportedFor && p.reportedAt.After(newest[p.reported]) {
			newest[p.reported] = p.reportedAt
		}
	}
	list := make([]report, 0, len(newest))
	for a, at := range newest {
		list = append(list, report{a, at})
	}
	slices.SortFunc(list, func(a, b report) int {
		return cmp.Or(b.at.Compare(a.at), a.addr.Compare(b.addr))
	})
	out := make([]netip.AddrPort, 0, maxReported)
	for _, r := range list[:min(len(list), maxReported)] {
		out = append(out, r.addr)
	}
	return out
}
