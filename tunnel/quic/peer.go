package quic

import (
	"context"
	"slices"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
)

// peer is what is known of one other node. It is guarded by Tunnel.mu and forgotten when it has
// neither connections nor a dial.
type peer struct {
	links   []*link // alive, oldest first, at most maxLinks
	dial    *dial   // in progress, nil when there is none
	changed chan struct{}
}

// dial is one attempt to connect, shared by all who wait for the peer.
type dial struct {
	cancel context.CancelCauseFunc
	// Guarded by Tunnel.mu.
	ended bool
	link  *link // when it came up
	err   error // why it did not
}

// failure says why there is no connection although the dial has ended.
func (d *dial) failure(to micronet.NodeID) error {
	if d.err != nil {
		return d.err
	}
	if cause := context.Cause(d.link.conn.Context()); cause != nil {
		return explain("tunnel.dial", to, cause)
	}
	// This process was stopped for longer than a connection is kept idle.
	return micronet.E("tunnel.dial", micronet.Closed, "the connection was idle for too long when it was to be used").WithPeer(to)
}

func (t *Tunnel) peerLocked(id micronet.NodeID) *peer {
	p := t.peers[id]
	if p == nil {
		p = &peer{changed: make(chan struct{})}
		t.peers[id] = p
	}
	return p
}

// touchLocked wakes those who wait for a change of p, and forgets p when nothing is left of it.
func (t *Tunnel) touchLocked(id micronet.NodeID, p *peer) {
	close(p.changed)
	p.changed = make(chan struct{})
	if len(p.links) == 0 && p.dial == nil {
		delete(t.peers, id)
	}
}

// best returns the connection that new streams go to, nil when there is none.
func (p *peer) best(self, id micronet.NodeID, now time.Time, idle time.Duration) *link {
	var best *link
	for _, l := range p.links {
		if l.facts().usable(now, idle) && (best == nil || better(self, id, l.facts(), best.facts())) {
			best = l
		}
	}
	return best
}

// reserve returns a connection to a peer with one stream counted on it, dialling when there is
// none. Those who wait at the same time share the dial.
func (t *Tunnel) reserve(ctx context.Context, to micronet.NodeID) (*link, error) {
	var waited *dial
	for {
		t.mu.Lock()
		if !t.running {
			t.mu.Unlock()
			return nil, tunnel.NotRunning("tunnel.open")
		}
		p := t.peerLocked(to)
		if l := p.best(t.self, to, time.Now(), t.idle); l != nil {
			l.retain()
			t.mu.Unlock()
			return l, nil
		}
		if waited != nil && waited.ended {
			t.mu.Unlock()
			return nil, waited.failure(to)
		}
		if p.dial == nil {
			p.dial = t.startDialLocked(to)
		}
		waited = p.dial
		changed := p.changed
		t.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, explain("tunnel.dial", to, context.Cause(ctx))
		}
	}
}

// add takes a connection into the table and returns false when the tunnel has ended meanwhile.
// displaced is a connection that has to be closed for it, or nil.
func (t *Tunnel) add(l *link) (displaced *link, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.running {
		return nil, false
	}
	p := t.peerLocked(l.peer)
	if len(p.links) >= maxLinks {
		displaced = slices.MinFunc(p.links, func(a, b *link) int { return a.facts().used.Compare(b.facts().used) })
		p.links = slices.DeleteFunc(p.links, func(x *link) bool { return x == displaced })
	}
	p.links = append(p.links, l)
	if l.dialled {
		// The dial has done what it was for. Who opens a stream after this connection has ended, which may be before the
		// dial's goroutine goes on, is to dial anew, not to hear how this one ended.
		p.dial = nil
	}
	if len(p.links) == 1 {
		// Events neither block nor call back; the lock keeps up and down in order.
		t.env.Events.TunnelChanged(micronet.TunnelChange{Peer: l.peer, Up: true, Reason: l.origin()})
	}
	t.touchLocked(l.peer, p)
	t.group.Go(func() { t.acceptStreams(l) })
	return displaced, true
}

// remove forgets a connection that has ended. It may be called again.
func (t *Tunnel) remove(l *link) { t.removeFor(l, context.Cause(l.conn.Context())) }

// removeFor forgets a connection that ended with an error.
func (t *Tunnel) removeFor(l *link, err error) {
	why := "closed"
	if err != nil {
		why = err.Error()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.removeLocked(l, why)
}

func (t *Tunnel) removeLocked(l *link, why string) {
	p := t.peers[l.peer]
	if p == nil || !slices.Contains(p.links, l) {
		return
	}
	p.links = slices.DeleteFunc(p.links, func(x *link) bool { return x == l })
	if len(p.links) == 0 {
		t.env.Events.TunnelChanged(micronet.TunnelChange{Peer: l.peer, Reason: why})
	}
	t.touchLocked(l.peer, p)
}

// linksLocked returns all connections, sorted by peer.
func (t *Tunnel) linksLocked() []*link {
	var all []*link
	for _, p := range t.peers {
		all = append(all, p.links...)
	}
	slices.SortStableFunc(all, func(a, b *link) int { return a.peer.Compare(b.peer) })
	return all
}

// sweepLoop closes connections that nobody needs any more.
func (t *Tunnel) sweepLoop(ctx context.Context) {
	tick := time.NewTicker(max(min(t.idle, gossipIdle)/ticksPerIdle, minTick) + t.env.Phase)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, s := range t.sweep(time.Now()) {
			s.link.close(linkIdle, s.why)
		}
	}
}

// spentLink is a connection to be closed.
type spentLink struct {
	link *link
	why  string
}

// sweep takes spent connections out of the table, so that no stream is opened on them while
// they are being closed.
func (t *Tunnel) sweep(now time.Time) []spentLink {
	t.mu.Lock()
	defer t.mu.Unlock()
	var spent []spentLink
	for _, l := range t.linksLocked() {
		best := t.peers[l.peer].best(t.self, l.peer, now, t.idle)
		if why := l.facts().spent(now, t.idle, best != nil && best != l); why != "" {
			t.removeLocked(l, why)
			spent = append(spent, spentLink{l, why})
		}
	}
	return spent
}
