package tunnel

import (
	"cmp"
	"slices"
	"sync"
	"time"

	micronet "github.com/micro/micro-net"
)

// Wire is what Pipes of one process meet on. The zero value is not ready; see NewWire.
type Wire struct {
	mu    sync.Mutex // above pipeHalf.mu
	pipes map[micronet.NodeID]*Pipe
	links []*pipeLink
	calls uint64 // numbers streams
}

// NewWire returns a wire that nobody is on yet.
func NewWire() *Wire {
	return &Wire{pipes: make(map[micronet.NodeID]*Pipe)}
}

// pipeLink is the connection between two Pipes, in the order in which it was opened. Guarded by
// Wire.mu.
type pipeLink struct {
	from, to *Pipe
	since    time.Time
	calls    map[uint64]*pipeCall
}

// other returns the far end of a link, nil when p has no part in it.
func (l *pipeLink) other(p *Pipe) *Pipe {
	switch p {
	case l.from:
		return l.to
	case l.to:
		return l.from
	}
	return nil
}

func (w *Wire) linkLocked(a, b *Pipe) *pipeLink {
	for _, l := range w.links {
		if l.other(a) == b {
			return l
		}
	}
	l := &pipeLink{from: a, to: b, since: time.Now(), calls: make(map[uint64]*pipeCall)}
	w.links = append(w.links, l)
	// Events neither block nor call back; the lock keeps up and down in order.
	a.events.TunnelChanged(micronet.TunnelChange{Peer: b.id, Up: true, Reason: "dialled"})
	b.events.TunnelChanged(micronet.TunnelChange{Peer: a.id, Up: true, Reason: "accepted"})
	return l
}

// cutLocked ends a link and its streams: those of by as closed here, the other side's as reset.
func (w *Wire) cutLocked(l *pipeLink, by *Pipe, reason string) {
	w.links = slices.DeleteFunc(w.links, func(x *pipeLink) bool { return x == l })
	for _, c := range sortedCalls(l.calls) {
		c.cut(by, reason)
	}
	far := l.other(by)
	by.events.TunnelChanged(micronet.TunnelChange{Peer: far.id, Reason: reason})
	far.events.TunnelChanged(micronet.TunnelChange{Peer: by.id, Reason: reason})
}

func sortedCalls(calls map[uint64]*pipeCall) []*pipeCall {
	sorted := make([]*pipeCall, 0, len(calls))
	for _, c := range calls {
		sorted = append(sorted, c)
	}
	slices.SortFunc(sorted, func(a, b *pipeCall) int { return cmp.Compare(a.number, b.number) })
	return sorted
}

// connect makes a stream between two running Pipes.
func (w *Wire) connect(p *Pipe, to micronet.NodeID, o Opening) (*pipeCall, *Pipe, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pipes[p.id] != p {
		return nil, nil, NotRunning("tunnel.open")
	}
	peer := w.pipes[to]
	if peer == nil {
		return nil, nil, micronet.E("tunnel.dial", micronet.Unreachable, "nobody of that name is on the wire").WithPeer(to)
	}
	l := w.linkLocked(p, peer)
	w.calls++
	c := newPipeCall(w, l, w.calls, p, peer, o)
	l.calls[c.number] = c
	return c, peer, nil
}

// release forgets a stream that both sides have closed.
func (w *Wire) release(c *pipeCall) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(c.link.calls, c.number)
}
