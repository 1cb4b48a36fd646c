package tunnel

import (
	"context"
	"net/netip"
	"time"

	micronet "github.com/micro/micro-net"
)

// Way is one of the ways that were tried to a peer.
type Way struct {
	Remote    netip.AddrPort  // the peer's address, or the relay's; zero when the relay is not reached
	Relay     micronet.NodeID // over whom, zero: directly
	TCP       bool            // over a trunk
	InUse     bool            // packets go there now
	Confirmed bool            // it has answered, and was not given up since
	Grey      bool            // it answers, and carries nothing of QUIC
	RTT       time.Duration   // 0: not measured
	Missed    int             // probes in a row without an answer
	Replied   time.Time       // the last answer, zero for never
	Seen      netip.AddrPort  // our own address as the peer sees it there, zero: it has not said, or not over UDP
	Unasked   bool            // the peer came from there before anything was sent there
}

// traceTime is how long ways are given to answer.
const traceTime = time.Second

// Trace has all ways to a peer probed, and tells how they are when they had time to answer, those in use first.
// The error is of kind NotFound for a node that is not known.
func (u *Underlay) Trace(ctx context.Context, id micronet.NodeID) ([]Way, error) {
	const op = "tunnel.trace"
	var err error
	u.do(func(now time.Time, c *core, out *effects) {
		p, e := c.known(op, id)
		if e != nil {
			err = e
			return
		}
		c.probeAll(now, p, out)
	})
	if err != nil {
		return nil, err
	}
	select {
	case <-time.After(traceTime):
	case <-ctx.Done():
		return nil, micronet.E(op, micronet.Timeout, "%w", context.Cause(ctx)).WithPeer(id)
	}
	return u.ways(id), nil
}

// probeAll probes whatever may lead to a peer.
func (c *core) probeAll(now time.Time, p *peer, out *effects) {
	c.sync(p)
	p.paths.use(now)
	c.detour(now, p)
	for _, k := range p.paths.candidates {
		if k.probed.IsZero() || now.Sub(k.probed) >= helloEvery {
			c.probe(now, p, k, false, out)
		}
	}
	c.settle(now, p, out)
}

func (u *Underlay) ways(id micronet.NodeID) (out []Way) {
	u.mu.Lock()
	defer u.mu.Unlock()
	p := u.core.peers[id]
	if p == nil {
		return nil
	}
	for _, k := range p.paths.candidates {
		w := Way{
			Remote: k.remote(), Relay: k.relay(), TCP: k.overTCP(), InUse: k == p.paths.best, Confirmed: k.confirmed, RTT: k.rtt.value,
			Missed: k.missed + k.attempts, Replied: k.replied, Seen: k.seen, Unasked: k.unasked, Grey: k.grey,
		}
		if w.InUse {
			out = append([]Way{w}, out...)
		} else {
			out = append(out, w)
		}
	}
	return out
}
