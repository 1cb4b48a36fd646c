package tunnel

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	micronet "github.com/micro/micro-net"
)

const (
	maxTrunks      = 256                    // of a node; further ones are refused
	maxTrunksEach  = 2                      // of one peer: both may dial at once
	maxGreetings   = 64                     // connections whose other end is not proven yet; further ones are closed
	maxGreetEach   = 8                      // of them from one IPv4 address, or one IPv6 network of 64 bits
	trunkGreeting  = 5 * time.Second        // until the other end has to be proven
	maxCalls       = 16                     // calls that wait; further ones are dropped
	maxCallTargets = 4                      // addresses of a peer that are tried at once
	trunkLinger    = 100 * time.Millisecond // for what is said last
	trunkDeaf      = 3 * time.Second        // a trunk over which nothing came for so long leads nowhere
	trunkLively    = time.Second            // one over which something came since then does not give way
)

// TrunkConfig says how an Underlay gets through where UDP does not.
type TrunkConfig struct {
	TLS      TLS          // nil: no trunks
	Listener net.Listener // for those of others; nil: they cannot dial this node. It is closed when Run ends
	Guest    Guest        // serves those who come there to join; nil: nobody joins over TCP
}

// Lanes serves those who come over TCP to use it for more than datagrams. *lane.Tunnel does.
type Lanes interface {
	// LaneServer is what they are answered with; nil before this node is a member.
	LaneServer() *tls.Config
	// ServeLane serves one until it ends, and closes it. wire is below conn, conf what conn was made with.
	ServeLane(ctx context.Context, conn *tls.Conn, wire *Gather, conf *tls.Config, peer micronet.NodeID)
}

// hangup asks for the end of a trunk over which nothing came for a while.
type hangup struct {
	addr    netip.AddrPort
	silence time.Duration // 0: in any case
}

// call asks for a trunk to a peer.
type call struct {
	to    micronet.NodeID
	addrs []netip.AddrPort
}

// trunks are the trunks of an Underlay. Its goroutines are those of run: one that accepts, two for each trunk, one for
// each guest, and some for each that is dialled or greeted.
type trunks struct {
	u      *Underlay
	config TrunkConfig
	lanes  Lanes // nil: none are served
	calls  chan call
	group  sync.WaitGroup

	mu        sync.Mutex // a leaf
	open      map[netip.AddrPort]*trunk
	last      uint64 // number of the address given out last
	full      bool   // run has ended: none is added
	greeted   map[netip.Prefix]int
	greetings int // the sum of these

	guests Crowd
}

// trunkEnd is the other end of a trunk.
type trunkEnd struct {
	peer   micronet.NodeID
	remote netip.AddrPort
	ours   bool // we dialled
}

func newTrunks(u *Underlay, c TrunkConfig) *trunks {
	return &trunks{
		u: u, config: c, open: map[netip.AddrPort]*trunk{}, calls: make(chan call, maxCalls), greeted: map[netip.Prefix]int{},
	}
}

// run accepts and dials trunks until ctx ends, and returns when all of them have.
func (t *trunks) run(ctx context.Context) {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer t.group.Wait()
	defer t.closeAll()
	defer end()
	if ln := t.config.Listener; ln != nil {
		defer func() { _ = ln.Close() }()
		t.group.Go(func() { t.accept(ctx, life, ln) })
	}
	for {
		select {
		case <-ctx.Done():
			if t.count() > 0 {
				micronet.Pause(life, trunkLinger)
			}
			return
		case c := <-t.calls:
			t.group.Go(func() { t.dial(life, c) })
		}
	}
}

// count tells how many are open.
func (t *trunks) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.open)
}

// call queues a call; false when there are too many.
func (t *trunks) call(c call) bool {
	select {
	case t.calls <- c:
		return true
	default:
		return false
	}
}

// accept takes connections until the listener is closed, which is no error once ctx has ended.
func (t *trunks) accept(ctx, life context.Context, ln net.Listener) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			t.u.env.Events.BackgroundError("tunnel.accept-trunk", micronet.E("tunnel.accept-trunk", micronet.Internal, "%w", err))
			if errors.Is(err, net.ErrClosed) || !micronet.Pause(ctx, time.Second) {
				return
			}
			continue
		}
		from := micronet.PrefixOf(conn.RemoteAddr(), 32, 64)
		if !t.enter(from) {
			t.u.drops.count(dropTrunkCrowd, micronet.NodeID{})
			_ = conn.Close()
			continue
		}
		t.group.Go(func() { t.greet(life, conn, from) })
	}
}

// enter takes a place for a connection whose other end is not proven; false when there is none.
func (t *trunks) enter(from netip.Prefix) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.greetings >= maxGreetings || t.greeted[from] >= maxGreetEach {
		return false
	}
	t.greetings++
	t.greeted[from]++
	return true
}

func (t *trunks) leave(from netip.Prefix) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.greetings--
	if t.greeted[from]--; t.greeted[from] == 0 {
		delete(t.greeted, from)
	}
}

// greet proves who dialled, and serves the trunk or the guest.
func (t *trunks) greet(ctx context.Context, conn net.Conn, from netip.Prefix) {
	wire := &Gather{Conn: conn}
	p := &proven{}
	p.conn = tls.Server(wire, t.listenTLS(p))
	err := t.handshake(ctx, p)
	t.leave(from)
	switch {
	case err != nil:
		_ = conn.Close()
	case p.guest:
		t.serveGuest(ctx, p.conn)
	case p.lane:
		t.lanes.ServeLane(ctx, p.conn, wire, p.conf, p.id)
	default:
		t.serve(ctx, p, false)
	}
}

// proven is a connection whose other end is known, or that of a guest, who is nobody yet.
type proven struct {
	id    micronet.NodeID
	conn  *tls.Conn
	conf  *tls.Config
	guest bool
	lane  bool
}

// listenTLS picks the TLS side by what the caller offers, and notes the choice. Who offers to join is a guest or nothing,
// whatever else it offers and whatever certificate it has: it never becomes a trunk.
func (t *trunks) listenTLS(p *proven) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, SessionTicketsDisabled: true,
		NextProtos: []string{"none"}, // where no side is chosen, the handshake ends for want of a common one
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			p.guest = slices.Contains(hello.SupportedProtos, ALPNJoin)
			p.lane = !p.guest && t.lanes != nil && slices.Contains(hello.SupportedProtos, ALPNLane)
			switch {
			case p.guest:
				p.conf = t.joinServer()
			case p.lane:
				p.conf = t.lanes.LaneServer()
			default:
				p.conf = t.config.TLS.Server()
			}
			return p.conf, nil
		},
	}
}

// joinServer is what guests are answered with; nil where nobody can join.
func (t *trunks) joinServer() *tls.Config {
	if t.config.Guest == nil {
		return nil
	}
	return Harden(t.config.Guest.JoinServer(), ALPNJoin)
}

// holds reports whether the other end would be accepted now too: it may have been revoked meanwhile.
func (p *proven) holds() bool {
	return p.conf.VerifyConnection == nil || p.conf.VerifyConnection(p.conn.ConnectionState()) == nil
}

// handshake proves who is at the other end of a connection. The error of a stranger is nobody's business here.
func (t *trunks) handshake(ctx context.Context, p *proven) error {
	ctx, cancel := context.WithTimeout(ctx, trunkGreeting)
	defer cancel()
	err := p.conn.HandshakeContext(ctx)
	if err == nil && !p.guest {
		p.id, err = t.config.TLS.PeerID(p.conn.ConnectionState())
	}
	return err
}

// dial tries all addresses of a call at once and keeps the first that leads to the peer.
func (t *trunks) dial(ctx context.Context, c call) {
	one, cancel := context.WithTimeout(ctx, trunkGreeting)
	defer cancel()
	found := make(chan *proven)
	var tries sync.WaitGroup
	for _, a := range c.addrs[:min(len(c.addrs), maxCallTargets)] {
		tries.Go(func() { t.try(one, c.to, a, found) })
	}
	go func() {
		tries.Wait()
		close(found)
	}()
	first := <-found
	cancel()
	for late := range found {
		_ = late.conn.NetConn().Close()
	}
	if first != nil {
		t.serve(ctx, first, true)
	}
}

// try dials one address, and hands over the connection if the peer is there.
func (t *trunks) try(ctx context.Context, to micronet.NodeID, addr netip.AddrPort, found chan<- *proven) {
	conf := t.config.TLS.Client(to)
	if conf == nil {
		return // no member yet
	}
	conn, err := t.u.env.Net.Dial(ctx, netip.Addr{}, addr)
	if err != nil {
		return
	}
	p := &proven{conn: tls.Client(conn, conf), conf: conf}
	if err := t.handshake(ctx, p); err != nil || p.id != to {
		_ = conn.Close()
		return
	}
	found <- p
}

// serve carries datagrams over a trunk until it ends.
func (t *trunks) serve(ctx context.Context, p *proven, ours bool) {
	k, spare := t.add(p, ours)
	if spare != nil {
		spare.close()
	}
	if k == nil {
		t.u.drops.count(dropTrunkCrowd, p.id)
		_ = p.conn.NetConn().Close()
		return
	}
	// Who is revoked from here on is hung up on.
	if p.holds() {
		t.u.do(func(now time.Time, c *core, out *effects) { c.trunkUp(now, k, out) })
		k.run(ctx, t.u.inlet)
	}
	k.close()
	t.remove(k)
	t.u.do(func(now time.Time, c *core, out *effects) { c.trunkDown(now, k, out) })
}

// add gives a connection an address; nil when there are too many. spare is the peer's that is one too many.
func (t *trunks) add(p *proven, ours bool) (added, spare *trunk) {
	t.mu.Lock()
	defer t.mu.Unlock()
	spare, full := t.spareLocked(p.id)
	if t.full || full || (spare == nil && len(t.open) >= maxTrunks) {
		return nil, nil
	}
	t.last++
	k := newTrunk(trunkAddr(t.last), p.id, p.conn, ours)
	t.open[k.addr] = k
	return k, spare
}

// spareLocked is the trunk of a peer that gives way to a new one, nil for none: the one over which nothing came for
// longest. full: the peer has as many as it may have, and all of them are in use.
func (t *trunks) spareLocked(id micronet.NodeID) (spare *trunk, full bool) {
	n := 0
	for _, k := range t.open {
		if k.peer != id {
			continue
		}
		if n++; spare == nil || k.before(spare) {
			spare = k
		}
	}
	switch {
	case n < maxTrunksEach:
		return nil, false
	case spare.silence() < trunkLively:
		return nil, true
	}
	return spare, false
}

// before orders trunks by when something came over them.
func (t *trunk) before(other *trunk) bool {
	return cmp.Or(cmp.Compare(other.silence(), t.silence()), t.addr.Compare(other.addr)) < 0
}

func (t *trunks) remove(gone *trunk) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.open, gone.addr)
}

// closeAll ends all trunks, and lets none in any more.
func (t *trunks) closeAll() {
	t.mu.Lock()
	t.full = true
	all := slices.SortedFunc(maps.Values(t.open), func(a, b *trunk) int { return a.addr.Compare(b.addr) })
	t.mu.Unlock()
	for _, k := range all {
		k.close()
	}
}

func (t *trunks) at(a netip.AddrPort) *trunk {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.open[a]
}

// end tells what an address stands for; false when it is that of no trunk, or of one that has ended.
func (t *trunks) end(a netip.AddrPort) (trunkEnd, bool) {
	k := t.at(a)
	if k == nil {
		return trunkEnd{}, false
	}
	return trunkEnd{k.peer, k.remote, k.ours}, true
}

// hangUp ends a trunk.
func (t *trunks) hangUp(h hangup) {
	if k := t.at(h.addr); k != nil && k.silence() >= h.silence {
		k.close()
	}
}

// hangUpOn ends all trunks of a peer.
func (t *trunks) hangUpOn(id micronet.NodeID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, k := range t.open {
		if k.peer == id {
			k.close()
		}
	}
}

// writeTrunk sends a datagram, or a batch, over a trunk. What finds no room is lost, as on any link.
func (u *Underlay) writeTrunk(b, oob []byte, to netip.AddrPort, peer micronet.NodeID) {
	k := u.trunks.at(to)
	if k == nil {
		u.drops.count(dropTrunkGone, peer)
		return
	}
	for one := range u.packets(b, oob) {
		if !k.send(one) {
			u.drops.count(dropTrunkFull, peer)
		}
	}
}
