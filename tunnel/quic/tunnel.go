package quic

import (
	"context"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
	quicgo "github.com/quic-go/quic-go"
)

// Tunnel carries streams over QUIC. See New.
type Tunnel struct {
	// Constant after New.
	env       micronet.Env
	self      micronet.NodeID
	local     *net.UDPAddr // identity address of this node
	socket    Socket
	tls       tunnel.TLS
	guest     tunnel.Guest
	idle      time.Duration
	conf      *quicgo.Config
	guestConf *quicgo.Config
	transport *quicgo.Transport

	inbound chan *inbound // InboundQueue streams that wait for Accept
	waiting chan struct{} // maxWaiting slots of streams without opening frame
	ready   chan struct{} // closed when Run carries
	ended   chan struct{} // closed when Run stops carrying
	group   sync.WaitGroup

	handshakes handshakes // that others began
	guests     tunnel.Crowd

	// Guarded by mu, which is held for map work and never while something blocks.
	mu      sync.Mutex
	started bool
	running bool
	life    context.Context // of Run, set before running
	peers   map[micronet.NodeID]*peer
}

var _ tunnel.Tunnel = (*Tunnel)(nil)

// New returns a Tunnel that is not running yet: until Run carries, and after it has ended, Open
// and Accept return Closed. The error is Invalid and names what the Config lacks.
func New(c Config) (*Tunnel, error) {
	if c.Self.IsZero() || c.Socket == nil || c.TLS == nil {
		return nil, micronet.E("tunnel.new", micronet.Invalid, "the config needs Self, Socket and TLS")
	}
	if c.Idle == 0 {
		c.Idle = DefaultIdle
	}
	pc := c.Socket.QUIC()
	_, mtu := pc.(interface {
		SyscallConn() (syscall.RawConn, error)
	})
	t := &Tunnel{
		env: c.Env.EnsureDefaults(), self: c.Self, local: c.Self.UDPAddr(),
		socket: c.Socket, tls: c.TLS, guest: c.Guest, idle: max(c.Idle, minIdle),
		conf: quicConfig(mtu), guestConf: guestConfig(),
		inbound: make(chan *inbound, InboundQueue),
		waiting: make(chan struct{}, maxWaiting),
		ready:   make(chan struct{}),
		ended:   make(chan struct{}),
		peers:   make(map[micronet.NodeID]*peer),

		handshakes: handshakes{of: make(map[micronet.NodeID]int)},
	}
	t.conf.GetConfigForClient = t.configFor
	t.transport = &quicgo.Transport{
		Conn:                pc,
		StatelessResetKey:   (*quicgo.StatelessResetKey)(c.ResetKey),
		VerifySourceAddress: t.mustAnswer,
		ConnContext:         t.admit,
	}
	return t, nil
}

// ReadsSocket says that Run reads from Socket.QUIC(): nobody else is to.
func (t *Tunnel) ReadsSocket() bool { return true }

// Ready is closed when Run has begun to carry streams.
func (t *Tunnel) Ready() <-chan struct{} { return t.ready }

// Run carries streams until ctx ends or the socket fails. It may be called once.
func (t *Tunnel) Run(ctx context.Context) error {
	listener, err := t.listen()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	t.mu.Lock()
	t.life, t.running = ctx, true
	t.mu.Unlock()
	close(t.ready)

	t.group.Go(func() { cancel(t.acceptLinks(ctx, listener)) })
	t.group.Go(func() { t.sweepLoop(ctx) })
	<-ctx.Done()
	return t.stop(listener, context.Cause(ctx))
}

func (t *Tunnel) listen() (*quicgo.Listener, error) {
	t.mu.Lock()
	again := t.started
	t.started = true
	t.mu.Unlock()
	if again {
		return nil, micronet.E("tunnel.run", micronet.Internal, "Run was called twice")
	}
	listener, err := t.transport.Listen(t.listenTLS(), t.conf)
	if err != nil {
		return nil, explain("tunnel.run", micronet.NodeID{}, err)
	}
	return listener, nil
}

// stop ends everything, in this order: no new work, then the connections with a word to the
// peers while the socket still sends, then the socket's reader, then our own goroutines, which
// all wait for one of these.
func (t *Tunnel) stop(listener *quicgo.Listener, cause error) error {
	t.mu.Lock()
	t.running = false
	links := t.linksLocked()
	t.mu.Unlock()
	close(t.ended)

	closeAll(links, linkStopped, "the node stops")
	failed := listener.Close()
	t.group.Wait() // guests and dials have seen ctx end
	if err := t.transport.Close(); failed == nil {
		failed = err
	}
	if e, ok := cause.(*socketError); ok {
		return explain("tunnel.run", micronet.NodeID{}, e.err)
	}
	return explain("tunnel.run", micronet.NodeID{}, failed)
}

// socketError is the cause of an end of Run that nobody asked for.
type socketError struct{ err error }

func (e *socketError) Error() string { return e.err.Error() }

// Open starts a stream; see tunnel.Tunnel. A connection that turns out to be dead is dialled
// anew, once.
func (t *Tunnel) Open(ctx context.Context, to micronet.NodeID, o tunnel.Opening) (tunnel.Outbound, error) {
	frame, err := tunnel.AppendOpening(nil, o)
	if err != nil {
		return nil, err
	}
	if to.IsZero() || to == t.self {
		return nil, micronet.E("tunnel.open", micronet.Invalid, "a stream goes to another node, not to %s", to.Short())
	}
	for again := false; ; again = true {
		l, err := t.reserve(ctx, to)
		if err != nil {
			return nil, err
		}
		l.serves(o.Purpose)
		out, err := l.open(ctx, frame)
		if err == nil {
			return out, nil
		}
		l.release()
		if again || ctx.Err() != nil || !endedConn(err) {
			return nil, explain("tunnel.open", to, err)
		}
		t.removeFor(l, err)
	}
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

// Disconnect closes the connections to a peer and resets their streams; a dial to it is given up.
func (t *Tunnel) Disconnect(id micronet.NodeID, reason string) {
	links := t.cancelDial(id, reason)
	closeAll(links, linkDisconnected, reason)
	for _, l := range links {
		t.remove(l)
	}
}

// cancelDial ends the attempt to connect to a peer, and returns its connections.
func (t *Tunnel) cancelDial(id micronet.NodeID, reason string) []*link {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.peers[id]
	if p == nil {
		return nil
	}
	if p.dial != nil {
		p.dial.cancel(micronet.E("tunnel.dial", micronet.Closed, "disconnected: %s", reason).WithPeer(id))
	}
	return slices.Clone(p.links)
}

func (t *Tunnel) isRunning() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.running
}
