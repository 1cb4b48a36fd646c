package tunnel

import (
	"context"
	"errors"
	"slices"

	micronet "github.com/micro/micro-net"
)

const (
	// pipeInbound bounds the streams that wait for Accept; a further one is refused with
	// Overloaded.
	pipeInbound = 1024
	// pipeBuffer bounds the bytes on their way in one direction of a stream; a writer waits for
	// the reader.
	pipeBuffer = 64 << 10
)

// Pipe is a Tunnel within the process: no sockets, no encryption, no latency. Its connections
// are not closed when idle, as they cost nothing.
type Pipe struct {
	wire    *Wire
	id      micronet.NodeID
	events  *micronet.Events
	inbound chan *pipeInbStream
	ready   chan struct{} // closed when Run carries
	ended   chan struct{} // closed when Run has stopped carrying
	started bool          // guarded by wire.mu
}

var _ Tunnel = (*Pipe)(nil)

// NewPipe returns a node's end of a wire. events may be nil. Until Run carries, and after it has
// ended, Open and Accept return Closed.
func NewPipe(w *Wire, id micronet.NodeID, events *micronet.Events) *Pipe {
	if events == nil {
		events = &micronet.Events{}
	}
	events.EnsureDefaults()
	return &Pipe{
		wire: w, id: id, events: events,
		inbound: make(chan *pipeInbStream, pipeInbound),
		ready:   make(chan struct{}), ended: make(chan struct{}),
	}
}

// Ready is closed when Run has begun to carry streams.
func (p *Pipe) Ready() <-chan struct{} { return p.ready }

// Run is on the wire until ctx ends. It may be called once.
func (p *Pipe) Run(ctx context.Context) error {
	if err := p.start(); err != nil {
		return err
	}
	close(p.ready)
	<-ctx.Done()
	p.stop()
	return nil
}

func (p *Pipe) start() error {
	w := p.wire
	w.mu.Lock()
	defer w.mu.Unlock()
	if p.started {
		return micronet.E("tunnel.run", micronet.Internal, "Run was called twice")
	}
	if w.pipes[p.id] != nil {
		return micronet.E("tunnel.run", micronet.Refused, "another node of that name is on the wire").WithPeer(p.id)
	}
	p.started = true
	w.pipes[p.id] = p
	return nil
}

func (p *Pipe) stop() {
	w := p.wire
	w.mu.Lock()
	delete(w.pipes, p.id)
	for _, l := range slices.Clone(w.links) {
		if l.other(p) != nil {
			w.cutLocked(l, p, "the node stops")
		}
	}
	w.mu.Unlock()
	close(p.ended)
}

// Open starts a stream; see Tunnel.
func (p *Pipe) Open(ctx context.Context, to micronet.NodeID, o Opening) (Outbound, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, ContextError("tunnel.open", to, err)
	}
	if to.IsZero() || to == p.id {
		return nil, micronet.E("tunnel.open", micronet.Invalid, "a stream goes to another node, not to %s", to.Short())
	}
	frame, err := AppendOpening(nil, o)
	if err != nil {
		return nil, err
	}
	if o, _, err = DecodeOpening(frame); err != nil {
		return nil, err
	}
	c, peer, err := p.wire.connect(p, to, o)
	if err != nil {
		return nil, err
	}
	select {
	case peer.inbound <- c.callee:
	default:
		peer.events.PacketDropped(micronet.PacketDrop{Where: "tunnel", Why: "inbound queue full", Peer: p.id})
		if err := c.callee.Refuse(micronet.Overloaded, "too many streams wait to be accepted"); err != nil {
			return nil, err
		}
	}
	return c.caller, nil
}

// Accept returns the next stream that a peer opened; see Tunnel.
func (p *Pipe) Accept(ctx context.Context) (Inbound, error) {
	if !p.carries() {
		return nil, NotRunning("tunnel.accept")
	}
	select {
	case in := <-p.inbound:
		return in, nil
	case <-p.ended:
		return nil, NotRunning("tunnel.accept")
	case <-ctx.Done():
		return nil, ContextError("tunnel.accept", micronet.NodeID{}, context.Cause(ctx))
	}
}

func (p *Pipe) carries() bool {
	p.wire.mu.Lock()
	defer p.wire.mu.Unlock()
	return p.wire.pipes[p.id] == p
}

// Connections lists the open connections, sorted by peer.
func (p *Pipe) Connections() []ConnectionInfo {
	w := p.wire
	w.mu.Lock()
	defer w.mu.Unlock()
	var infos []ConnectionInfo
	for _, l := range w.links {
		if far := l.other(p); far != nil {
			infos = append(infos, ConnectionInfo{
				Peer: far.id, Path: micronet.PathLocal, Transport: micronet.TransportNone,
				Streams: len(l.calls), Since: l.since,
			})
		}
	}
	slices.SortFunc(infos, func(a, b ConnectionInfo) int { return a.Peer.Compare(b.Peer) })
	return infos
}

// Disconnect closes the connection to a peer and resets its streams.
func (p *Pipe) Disconnect(peer micronet.NodeID, reason string) {
	w := p.wire
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range slices.Clone(w.links) {
		if far := l.other(p); far != nil && far.id == peer {
			w.cutLocked(l, p, reason)
		}
	}
}

// NotRunning is the error of calls before Run carries, and after it has ended.
func NotRunning(op string) error {
	return micronet.E(op, micronet.Closed, "the tunnel is not running")
}

// ContextError is the error of a call that ended with its context.
func ContextError(op string, peer micronet.NodeID, cause error) error {
	kind := micronet.Closed
	if micronet.KindOf(cause) == micronet.Timeout || errors.Is(cause, context.DeadlineExceeded) {
		kind = micronet.Timeout
	}
	return micronet.E(op, kind, "%w", cause).WithPeer(peer)
}
