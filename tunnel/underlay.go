package tunnel

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	micronet "github.com/micro/micro-net"
)

// UnderlayConfig says what an Underlay is made of.
type UnderlayConfig struct {
	Env     micronet.Env
	Conn    net.PacketConn // opened with Env.Net.ListenPacket; the caller closes it, after Run
	Verify  Verify         // called under the Underlay's lock: it must not call the Underlay
	Cluster [16]byte       // whose guests are let through; zero: nobody's
	Trunks  TrunkConfig    // zero: UDP alone
	OnPeer  func(Peer)     // a peer or a credential that came over the network was accepted; called from the read loop, must not block; nil: nobody cares
}

// Underlay is a node's one UDP socket. Above it peers are identities: QUIC (through the
// connection that QUIC returns) and sealed packets (through Send and Handle) go to a NodeID, and
// the path core picks the address.
//
// A datagram's way:
//
//	        ┌────────────── socket ◀───────────────┐
//	        ▼ read by quic-go                      │
//	first byte ──0x40──▶ bound to a peer? ──▶ quic-go ──▶ identity ──▶ route ──┘
//	  │    │                guest? else dropped
//	  │    └──0x81──▶ guests
//	  └───────0x80──▶ core ──▶ replies, challenges ──▶ socket
//	                    └────▶ handlers of channels
//
// The read loop is quic-go's: nothing is received, sealed packets included, until a
// quic.Transport (or somebody else, one goroutine) reads from QUIC().
//
// All methods may be called from several goroutines.
type Underlay struct {
	env    micronet.Env
	conn   net.PacketConn
	local  netip.AddrPort
	start  time.Time
	onPeer func(Peer)
	socket socket
	packet net.PacketConn // for quic-go

	handlers [256]Receive // set before Run
	dir      *directory
	guests   *guests
	drops    drops
	traffic  traffic
	pieces   *pieces
	trunks   *trunks
	inlet    *inlet
	pool     sync.Pool // of *effects
	wakeup   chan struct{}
	surveys  chan struct{} // the turn of one survey
	closed   atomic.Bool

	mu    sync.Mutex // not held while sending, nor while calling anybody but Verify; before directory.mu
	core  *core
	armed time.Time // when Run looks at the agenda next, zero: not planned
}

// traffic counts datagrams and bytes. GSO batches count as one.
type traffic struct {
	sealedIn, sealedOut, quicIn, quicOut, bytesIn, bytesOut atomic.Uint64
}

// socket is the system's side: a kernel socket, or any other PacketConn.
type socket interface {
	// write sends one datagram, or a batch that oob tells how to cut. source names our address.
	write(b, oob, source []byte, addr netip.AddrPort, udp *net.UDPAddr) error
	// source makes the control message that names our address, nil where that is not possible.
	source(netip.Addr) []byte
	// segment is the size at which oob has a batch cut, 0 for none.
	segment(oob []byte) int
	// buffers returns the sizes of the socket's buffers in bytes, 0 where they are not known.
	buffers() (receive, send int)
}

// maxWaiters bounds the Pings in progress to one peer.
const maxWaiters = 64

// NewUnderlay makes an Underlay over a socket. It starts nothing; Run keeps the paths alive.
func NewUnderlay(c UnderlayConfig) (*Underlay, error) {
	const op = "tunnel.underlay"
	if c.Conn == nil || c.Verify == nil {
		return nil, micronet.E(op, micronet.Invalid, "it needs a socket and a verifier")
	}
	local, err := addrPortOf(c.Conn.LocalAddr())
	if err != nil {
		return nil, micronet.E(op, micronet.Invalid, "address of the socket: %w", err)
	}
	env := c.Env.EnsureDefaults()
	u := &Underlay{
		env: env, conn: c.Conn, local: local, start: time.Now(), onPeer: c.OnPeer,
		dir: newDirectory(), guests: newGuests(c.Cluster), drops: drops{events: env.Events},
		wakeup: make(chan struct{}, 1), surveys: make(chan struct{}, 1), pieces: newPieces(), inlet: newInlet(c.Conn),
	}
	u.trunks = newTrunks(u, c.Trunks)
	u.Handle(channelPieces, u.takePiece)
	u.pool.New = func() any { return new(effects) }
	if u.core, err = newCore(u.start, vantageOf(local), env.Entropy, c.Verify, u.dir); err != nil {
		return nil, micronet.E(op, micronet.Internal, "%w", err)
	}
	if u.socket, u.packet, err = openSocket(u, c.Conn); err != nil {
		return nil, micronet.E(op, micronet.Internal, "%w", err)
	}
	u.core.source, u.core.behind, u.core.trunks = u.socket.source, u.trunks.end, c.Trunks.TLS != nil
	return u, nil
}

func addrPortOf(a net.Addr) (netip.AddrPort, error) {
	if udp, ok := a.(*net.UDPAddr); ok && udp != nil {
		return clean(udp.AddrPort()), nil
	}
	if a == nil {
		return netip.AddrPort{}, net.ErrClosed
	}
	ap, err := netip.ParseAddrPort(a.String())
	return clean(ap), err
}

// QUIC returns the connection to hand to quic-go: what it reads and writes there is QUIC only,
// and peers have their identity addresses. Over a kernel socket it keeps batches, GSO and ECN.
func (u *Underlay) QUIC() net.PacketConn { return u.packet }

// LocalAddr returns the address the socket is bound to.
func (u *Underlay) LocalAddr() netip.AddrPort { return u.local }

// WantedBuffer is the size, in bytes, that a socket's buffers should have for bulk transfers.
const WantedBuffer = 7 << 20

// Buffers returns the sizes of the socket's buffers in bytes, as the system reports them; 0
// where it does not tell.
func (u *Underlay) Buffers() (receive, send int) { return u.socket.buffers() }

// Handle sets who takes the packets of a channel. It is called before Run and before anybody
// reads from QUIC.
func (u *Underlay) Handle(ch Channel, r Receive) { u.handlers[ch] = r }

// Handler returns who takes the packets of a channel, nil for nobody. Who wants to see them first puts
// himself in the place of it.
func (u *Underlay) Handler(ch Channel) Receive { return u.handlers[ch] }

// ServeLanes sets who serves lanes, on the listener of trunks. It is called before Run.
func (u *Underlay) ServeLanes(l Lanes) { u.trunks.lanes = l }

// SetLocal replaces this node's own side of sealed packets.
func (u *Underlay) SetLocal(l Local) {
	l.Credential = bytes.Clone(l.Credential)
	u.do(func(now time.Time, c *core, out *effects) { c.setLocal(now, l, out) })
}

// AddPeer tells of a node, or replaces what is known of it. What is not possible (a peer that
// is this node, or one too many) is reported to Events.
func (u *Underlay) AddPeer(p Peer) {
	var err error
	u.do(func(now time.Time, c *core, out *effects) { err = c.addPeer(now, p, out) })
	if err != nil {
		u.env.Events.BackgroundError("tunnel.add-peer",
			micronet.E("tunnel.add-peer", micronet.Refused, "%w", err).WithPeer(p.ID))
	}
}

// RemovePeer forgets a node. Its packets are dropped until it is added or says hello again.
func (u *Underlay) RemovePeer(id micronet.NodeID) {
	u.do(func(_ time.Time, c *core, out *effects) {
		if p := c.peers[id]; p != nil {
			c.removePeer(p, out)
		}
	})
	u.trunks.hangUpOn(id)
}

// Peer returns what is known of a node.
func (u *Underlay) Peer(id micronet.NodeID) (Peer, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	p := u.core.peers[id]
	if p == nil {
		return Peer{}, false
	}
	known := p.Peer
	known.Credential, known.Endpoints = bytes.Clone(p.Credential), slices.Clone(p.Endpoints)
	return known, true
}

// Send sends a packet of at most MaxPacket bytes to a peer, best effort and without waiting for
// it. Errors are NotFound for a node that is not known, Unreachable when no address of it can be
// tried, Overloaded when an address that never answered has got all it may get, Refused before
// this node has joined, and Invalid.
func (u *Underlay) Send(to micronet.NodeID, ch Channel, payload []byte) error {
	const op = "tunnel.send"
	switch {
	case u.closed.Load():
		return micronet.E(op, micronet.Closed, "the node is stopping")
	case len(payload) > MaxPacket:
		return micronet.E(op, micronet.Invalid, "a packet of %d bytes is longer than %d", len(payload), MaxPacket)
	}
	var err error
	u.do(func(now time.Time, c *core, out *effects) {
		p, e := c.known(op, to)
		if e != nil {
			err = e
			return
		}
		err = c.send(now, p, ch, payload, out)
	})
	return err
}

// Ping asks a peer for a sign of life and waits for it until ctx ends. RTT is that of this one
// round trip.
func (u *Underlay) Ping(ctx context.Context, id micronet.NodeID) (PathInfo, error) {
	const op = "tunnel.ping"
	if u.closed.Load() {
		return PathInfo{}, micronet.E(op, micronet.Closed, "the node is stopping")
	}
	w := &waiter{reply: make(chan PathInfo, 1)}
	var err error
	u.do(func(now time.Time, c *core, out *effects) {
		p, e := c.known(op, id)
		if e != nil {
			err = e
			return
		}
		w.from = now
		err = c.ping(now, p, w, out)
	})
	if err != nil {
		return PathInfo{}, err
	}
	select {
	case i := <-w.reply:
		return i, nil
	case <-ctx.Done():
		u.forgetWaiter(id, w)
		return PathInfo{}, micronet.E(op, micronet.Timeout, "no reply: %w", context.Cause(ctx)).WithPeer(id).
			WithFix("is %s port %d open between the hosts?", u.transports(), u.local.Port())
	}
}

// transports are those of which one has to pass between hosts.
func (u *Underlay) transports() string {
	if u.trunks.config.TLS == nil {
		return "UDP"
	}
	return "UDP or TCP"
}

func (u *Underlay) forgetWaiter(id micronet.NodeID, w *waiter) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if p := u.core.peers[id]; p != nil {
		p.waiters = slices.DeleteFunc(p.waiters, func(x *waiter) bool { return x == w })
	}
}

// Path tells how packets to a peer travel now.
func (u *Underlay) Path(id micronet.NodeID) (PathInfo, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	p := u.core.peers[id]
	if p == nil {
		return PathInfo{}, false
	}
	return p.info(u.start, time.Now()), true
}

// Paths tells the same of all peers, sorted by id.
func (u *Underlay) Paths() []PathInfo {
	u.mu.Lock()
	defer u.mu.Unlock()
	now, out := time.Now(), make([]PathInfo, 0, len(u.core.peers))
	for _, p := range u.core.peers {
		out = append(out, p.info(u.start, now))
	}
	slices.SortFunc(out, func(a, b PathInfo) int { return a.Peer.Compare(b.Peer) })
	return out
}

// Heard returns when the last authenticated frame came from a peer, zero for never. It takes no
// lock that is ever held for long.
func (u *Underlay) Heard(id micronet.NodeID) time.Time {
	if f := u.dir.byNode(id); f != nil {
		return instant(u.start, f.heard.Load())
	}
	return time.Time{}
}

// Arrived returns when the last packet of any kind came from an address of a peer, zero for
// never. Nothing has authenticated QUIC's packets here: this is a hint, Heard is proof.
func (u *Underlay) Arrived(id micronet.NodeID) time.Time {
	if f := u.dir.byNode(id); f != nil {
		return instant(u.start, max(f.heard.Load(), f.arrived.Load()))
	}
	return time.Time{}
}

// IdentityOf tells which peer an address of QUIC's connection stands for; false for the real
// address of a guest.
func (u *Underlay) IdentityOf(addr net.Addr) (micronet.NodeID, bool) {
	udp, ok := addr.(*net.UDPAddr)
	if !ok || udp == nil {
		return micronet.NodeID{}, false
	}
	f := u.dir.byIdentity(udp.AddrPort().Addr())
	if f == nil {
		return micronet.NodeID{}, false
	}
	return f.id, true
}

// AllowGuest lets QUIC talk with the member at a real address, to ask it whether this node may
// join its cluster. It lasts until nothing was sent there for two minutes.
func (u *Underlay) AllowGuest(addr netip.AddrPort, cluster [16]byte) {
	u.guests.allow(time.Now(), clean(addr), cluster)
}

// Observed returns this node's addresses as its peers see them, newest first, at most 8. Each
// peer has one voice.
func (u *Underlay) Observed() []netip.AddrPort {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.core.observed(time.Now())
}

// Counters returns what was carried and dropped since the start, by name.
func (u *Underlay) Counters() map[string]uint64 {
	m := make(map[string]uint64, int(dropReasons)+8)
	u.drops.snapshot(m)
	t := &u.traffic
	m["sealed_received"], m["sealed_sent"] = t.sealedIn.Load(), t.sealedOut.Load()
	m["quic_received"], m["quic_sent"] = t.quicIn.Load(), t.quicOut.Load()
	m["trunks_open"] = uint64(u.trunks.count())
	m["relayed_packets"], m["relayed_bytes"] = u.relayed()
	m["ways_grey"] = u.greys()
	m["bytes_received"], m["bytes_sent"] = t.bytesIn.Load(), t.bytesOut.Load()
	return m
}
