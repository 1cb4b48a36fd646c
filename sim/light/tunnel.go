package light

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
	"github.com/micro/micro-net/tunnel/quic"
)

// Bounds of what waits. Whoever meets one is cut off and counted in Events.PacketDropped.
const (
	inboundQueue = 1024 // streams that wait for Accept
	maxWaiting   = 1024 // connections without opening
	maxGuests    = 64   // guests served at once
)

// Times.
const (
	openingTime = 5 * time.Second // for header and opening of a connection
	linger      = 5 * time.Second // for the peer's end after Close
)

// Socket is the node's UDP socket, as far as this tunnel needs it. *tunnel.Underlay is one.
type Socket interface {
	// LocalAddr is where the node listens; connections come to the TCP port of the same number.
	LocalAddr() netip.AddrPort
	// Path tells how packets to a peer travel now, Peer what its credential says.
	Path(peer micronet.NodeID) (tunnel.PathInfo, bool)
	Peer(peer micronet.NodeID) (tunnel.Peer, bool)
}

// Tunnel carries streams. See New.
type Tunnel struct {
	// constant
	env     micronet.Env
	self    micronet.NodeID
	socket  Socket
	guest   quic.Guest
	inbound chan *inbound
	waiting chan struct{} // slots of connections without opening
	guests  chan struct{} // slots
	ready   chan struct{} // closed when Run carries
	ended   chan struct{} // closed when Run stops carrying
	group   sync.WaitGroup

	mu      sync.Mutex
	started bool
	running bool
	life    context.Context // of Run
	open    map[*stream]struct{}
}

var _ tunnel.Tunnel = (*Tunnel)(nil)

// New returns a tunnel that is not running yet, for node.WithTunnel. The error is Invalid and names
// what the Config lacks: TLS and times of it are not used, and the Socket must be one of this package.
func New(c quic.Config) (tunnel.Tunnel, error) {
	socket, ok := c.Socket.(Socket)
	if c.Self.IsZero() || !ok {
		return nil, micronet.E("tunnel.new", micronet.Invalid, "the config needs Self, and a Socket with LocalAddr, Path and Peer")
	}
	return &Tunnel{
		env: c.Env.EnsureDefaults(), self: c.Self, socket: socket, guest: c.Guest,
		inbound: make(chan *inbound, inboundQueue), waiting: make(chan struct{}, maxWaiting), guests: make(chan struct{}, maxGuests),
		ready: make(chan struct{}), ended: make(chan struct{}), open: map[*stream]struct{}{},
	}, nil
}

// Ready is closed when Run has begun to carry streams.
func (t *Tunnel) Ready() <-chan struct{} { return t.ready }

// Run carries streams until ctx ends or the listener fails. It may be called once.
func (t *Tunnel) Run(ctx context.Context) error {
	if !t.start() {
		return micronet.E("tunnel.run", micronet.Internal, "Run was called twice")
	}
	addr := netip.AddrPortFrom(netip.IPv6Unspecified(), t.socket.LocalAddr().Port())
	listener, err := t.env.Net.Listen(ctx, addr)
	if err != nil {
		return micronet.E("tunnel.run", micronet.Internal, "listen for streams: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t.mu.Lock()
	t.running, t.life = true, ctx
	t.mu.Unlock()
	close(t.ready)
	failed := make(chan error, 1)
	t.group.Go(func() { failed <- t.accept(listener) })
	select {
	case <-ctx.Done():
		err = nil
	case err = <-failed:
	}
	t.stop(cancel)
	if e := listener.Close(); err == nil && e != nil {
		err = micronet.E("tunnel.run", micronet.Internal, "%w", e)
	}
	t.group.Wait()
	return err
}

func (t *Tunnel) start() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	first := !t.started
	t.started = true
	return first
}

// stop cuts all streams.
func (t *Tunnel) stop(cancel func()) {
	t.mu.Lock()
	t.running = false
	t.mu.Unlock()
	close(t.ended)
	cancel()
	for _, s := range t.streams() {
		s.cut(micronet.E("tunnel.stream", micronet.Closed, "the node stops").WithPeer(s.peer))
	}
}

func (t *Tunnel) streams() []*stream {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]*stream, 0, len(t.open))
	for s := range t.open {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *stream) int { return a.peer.Compare(b.peer) })
	return all
}

// accept takes connections until the listener ends, which it does with Run.
func (t *Tunnel) accept(listener net.Listener) error {
	for {
		conn, err := listener.Accept()
		if err != nil {
			if t.life.Err() != nil {
				return nil
			}
			return micronet.E("tunnel.run", micronet.Internal, "accept: %w", err)
		}
		select {
		case t.waiting <- struct{}{}:
			t.group.Go(func() { t.receive(conn) })
		default:
			t.drop(conn, "too many streams wait for their opening", micronet.NodeID{})
		}
	}
}

// receive reads what a connection is about and hands it on.
func (t *Tunnel) receive(conn net.Conn) {
	stop := context.AfterFunc(t.life, func() { abort(conn) })
	defer stop()
	h, o, err := t.opening(conn)
	<-t.waiting
	switch {
	case err != nil:
		t.drop(conn, "no valid opening", h.from)
	case h.guest:
		t.serveGuest(conn)
	case h.to != t.self:
		t.drop(conn, "meant for another node", h.from)
	default:
		t.offer(conn, h.from, o)
	}
}

func (t *Tunnel) opening(conn net.Conn) (h header, o tunnel.Opening, err error) {
	if err = conn.SetReadDeadline(time.Now().Add(openingTime)); err != nil {
		return h, o, err
	}
	if h, err = readHeader(conn); err == nil && !h.guest {
		o, err = tunnel.ReadOpening(conn)
	}
	if err != nil {
		return h, o, err
	}
	return h, o, conn.SetReadDeadline(time.Time{})
}

func (t *Tunnel) offer(conn net.Conn, from micronet.NodeID, o tunnel.Opening) {
	s, ok := t.adopt(conn, from)
	if !ok {
		abort(conn)
		return
	}
	select {
	case t.inbound <- &inbound{stream: s, opening: o}:
	default:
		s.Abort()
		t.env.Events.PacketDropped(micronet.PacketDrop{Where: "tunnel", Why: "inbound queue full", Peer: from})
	}
}

func (t *Tunnel) drop(conn net.Conn, why string, peer micronet.NodeID) {
	abort(conn)
	if t.life.Err() == nil {
		t.env.Events.PacketDropped(micronet.PacketDrop{Where: "tunnel", Why: why, Peer: peer})
	}
}

// adopt takes a connection into the table; false when the tunnel has ended.
func (t *Tunnel) adopt(conn net.Conn, peer micronet.NodeID) (*stream, bool) {
	s := &stream{tunnel: t, conn: conn, peer: peer, since: time.Now()}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.running {
		return nil, false
	}
	t.open[s] = struct{}{}
	return s, true
}

func (t *Tunnel) forget(s *stream) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.open, s)
}

// Accept returns the next stream that a peer opened; see tunnel.Tunnel.
func (t *Tunnel) Accept(ctx context.Context) (tunnel.Inbound, error) {
	if _, ok := t.alive(); !ok {
		return nil, notRunning("tunnel.accept")
	}
	select {
	case in := <-t.inbound:
		return in, nil
	case <-t.ended:
		return nil, notRunning("tunnel.accept")
	case <-ctx.Done():
		return nil, explain("tunnel.accept", micronet.NodeID{}, context.Cause(ctx))
	}
}

// alive returns the context of Run while it carries.
func (t *Tunnel) alive() (context.Context, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.life, t.running
}

// Connections lists the peers with open streams, sorted: each stream is a connection of its own, and
// those of one peer are shown as one.
func (t *Tunnel) Connections() []tunnel.ConnectionInfo {
	var out []tunnel.ConnectionInfo
	for _, s := range t.streams() {
		if n := len(out); n > 0 && out[n-1].Peer == s.peer {
			out[n-1].Streams++
			continue
		}
		info := tunnel.ConnectionInfo{Peer: s.peer, Path: micronet.PathDirect, Transport: micronet.TransportTCP, Streams: 1, Since: s.since}
		if p, ok := t.socket.Path(s.peer); ok {
			info.Remote, info.RTT = p.Remote, p.RTT
		}
		out = append(out, info)
	}
	return out
}

// Disconnect resets the streams of a peer.
func (t *Tunnel) Disconnect(peer micronet.NodeID, reason string) {
	for _, s := range t.streams() {
		if s.peer == peer {
			s.cut(micronet.E("tunnel.stream", micronet.Closed, "the connection was closed here: %s", reason).WithPeer(peer))
		}
	}
}

func notRunning(op string) error {
	return micronet.E(op, micronet.Closed, "the tunnel is not running")
}
