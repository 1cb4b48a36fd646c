package light

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
	"github.com/micro/micro-net/tunnel/quic"
)

// Tunnel carries each stream over a TCP connection of its own. See New.
type Tunnel struct {
	// Constant after New.
	env    micronet.Env
	self   micronet.NodeID
	local  *net.UDPAddr   // identity address of this node
	listen netip.AddrPort // where peers and guests come in
	socket quic.Socket
	guest  tunnel.Guest
	idle   time.Duration

	inbound   chan *inbound // InboundQueue streams that wait for Accept
	waiting   chan struct{} // maxWaiting slots of connections that have not said what they want
	guests    chan struct{} // maxGuests slots
	lingering chan struct{} // maxLingering slots
	ready     chan struct{} // closed when Run carries
	ended     chan struct{} // closed when Run stops carrying
	group     sync.WaitGroup

	// Guarded by mu, which is held for map work and never while something blocks.
	mu      sync.Mutex
	started bool
	running bool
	life    context.Context // of Run, set before running
	peers   map[micronet.NodeID]*peer
}

var _ tunnel.Tunnel = (*Tunnel)(nil)

// New returns a Tunnel that is not running yet: until Run carries, and after it has ended, Open and
// Accept return Closed. Of the Config it uses Env, Self, Socket, Guest and Idle; the error is Invalid
// and names what is missing. It fits node.WithTunnel.
//
// A Socket may offer more than it has to, as *tunnel.Underlay does: Peer tells the addresses of peers
// without a path, Ping introduces this node to a peer and notices those that have fallen silent.
func New(c quic.Config) (tunnel.Tunnel, error) {
	t, err := newTunnel(c)
	if err != nil {
		return nil, err
	}
	return t, nil
}

func newTunnel(c quic.Config) (*Tunnel, error) {
	if c.Self.IsZero() || c.Socket == nil || c.Env.Net == nil {
		return nil, micronet.E("tunnel.new", micronet.Invalid, "the config needs Self, Socket and Env.Net")
	}
	listen := micronet.AddrPortOf(c.Socket.QUIC().LocalAddr())
	if !listen.IsValid() {
		return nil, micronet.E("tunnel.new", micronet.Invalid, "the socket has no address")
	}
	if c.Idle == 0 {
		c.Idle = quic.DefaultIdle
	}
	return &Tunnel{
		env: c.Env.EnsureDefaults(), self: c.Self, local: c.Self.UDPAddr(), listen: listen,
		socket: c.Socket, guest: c.Guest, idle: max(c.Idle, minIdle),
		inbound: make(chan *inbound, InboundQueue), waiting: make(chan struct{}, maxWaiting),
		guests: make(chan struct{}, maxGuests), lingering: make(chan struct{}, maxLingering),
		ready: make(chan struct{}), ended: make(chan struct{}),
		peers: make(map[micronet.NodeID]*peer),
	}, nil
}

// Ready is closed when Run has begun to carry streams.
func (t *Tunnel) Ready() <-chan struct{} { return t.ready }

// Run carries streams until ctx ends or the listener fails. It may be called once.
func (t *Tunnel) Run(ctx context.Context) error {
	if err := t.begin(); err != nil {
		return err
	}
	listener, err := t.env.Net.Listen(ctx, t.listen)
	if err != nil {
		return explain("tunnel.run", micronet.NodeID{}, err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	t.mu.Lock()
	t.life, t.running = ctx, true
	t.mu.Unlock()
	close(t.ready)

	t.group.Go(func() { cancel(t.acceptAll(ctx, listener)) })
	t.group.Go(func() { t.watch(ctx) })
	<-ctx.Done()
	return t.stop(listener, context.Cause(ctx))
}

func (t *Tunnel) begin() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.started {
		return micronet.E("tunnel.run", micronet.Internal, "Run was called twice")
	}
	t.started = true
	return nil
}

// stop ends everything: no new work, then all streams, then our own goroutines, which have all seen
// life end.
func (t *Tunnel) stop(listener net.Listener, cause error) error {
	t.mu.Lock()
	t.running = false
	t.mu.Unlock()
	close(t.ended)
	failed := listener.Close()
	for _, id := range t.known() {
		t.Disconnect(id, "the node stops")
	}
	t.group.Wait()
	if e, ok := cause.(*listenerError); ok {
		return explain("tunnel.run", micronet.NodeID{}, e.err)
	}
	return explain("tunnel.run", micronet.NodeID{}, failed)
}

// listenerError is the cause of an end of Run that nobody asked for.
type listenerError struct{ err error }

func (e *listenerError) Error() string { return e.err.Error() }

// spawn runs f in a goroutine that Run waits for; false when the tunnel has ended.
func (t *Tunnel) spawn(f func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.running {
		t.group.Go(f)
	}
	return t.running
}

func (t *Tunnel) isRunning() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.running
}

// Open starts a stream; see tunnel.Tunnel.
func (t *Tunnel) Open(ctx context.Context, to micronet.NodeID, o tunnel.Opening) (tunnel.Outbound, error) {
	const op = "tunnel.open"
	frame, err := tunnel.AppendOpening(appendGreeting(nil, greeting{from: t.self, to: to}), o)
	if err != nil {
		return nil, err
	}
	if to.IsZero() || to == t.self {
		return nil, micronet.E(op, micronet.Invalid, "a stream goes to another node, not to %s", to.Short())
	}
	p, err := t.enter(to)
	if err != nil {
		return nil, err
	}
	defer t.leave(p)
	c, err := t.dial(ctx, p)
	if err != nil {
		return nil, err
	}
	if _, err := c.Write(frame); err != nil {
		abort(c)
		return nil, explain(op, to, err)
	}
	out := newOutbound(t, p, c)
	if err := t.adopt(&out.stream, "dialled"); err != nil {
		abort(c)
		return nil, err
	}
	p.sent.Add(uint64(len(frame)))
	return out, nil
}

// Accept returns the next stream that a peer opened; see tunnel.Tunnel.
func (t *Tunnel) Accept(ctx context.Context) (tunnel.Inbound, error) {
	if !t.isRunning() {
		return nil, tunnel.NotRunning("tunnel.accept")
	}
	select {
	case in := <-t.inbound:
		return in, nil
	case <-t.ended:
		return nil, tunnel.NotRunning("tunnel.accept")
	case <-ctx.Done():
		return nil, explain("tunnel.accept", micronet.NodeID{}, context.Cause(ctx))
	}
}
