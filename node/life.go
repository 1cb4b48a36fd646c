package node

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/gossip/swim"
	"github.com/micro/micro-net/gossip/wire"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/internal/policy"
	"github.com/micro/micro-net/proxy"
	"github.com/micro/micro-net/router"
	"github.com/micro/micro-net/tunnel"
	"github.com/micro/micro-net/tunnel/lane"
	"github.com/micro/micro-net/tunnel/quic"
)

// life is the node as a member of one cluster, from the opening of its sockets to their closing.
//
//	base    underlay, tunnel                     started first, ended last: goodbyes travel on it
//	mesh    membership, catalog, view, streams
//	front   DNS, proxies, API                    started last, ended first: nobody new comes in
type life struct {
	// constant
	node      *Node
	env       micronet.Env
	config    *Config
	listeners *listeners
	gate      *gate
	keys      identity.Keys
	self      micronet.NodeID
	under     *tunnel.Underlay
	tun       tunnel.Tunnel
	lanes     *lane.Tunnel  // the same, nil where there are none
	ready     chan struct{} // closed once
	stop      context.CancelCauseFunc

	// constant after join
	pass       *passport
	name       string
	epoch      uint64
	mesh       netip.AddrPort
	members    *membership
	statements *statements
	records    *records
	pulse      *pulse
	twin       *twin
	damping    *damping   // of the goroutine that makes views
	liars      *offenders // who signed two records of one version
	jumpers    *offenders // whose records are numbered far ahead
	holders    *holders   // of the goroutine that makes views
	contacts   *contacts
	router     Router
	flows      *proxy.Flows
	guard      *guard
	attest     *attestor
	dialer     *proxy.Dialer
	receiver   *proxy.Receiver
	shares     *shares
	poison     *poison
	loops      *loops
	front      *front
	vips       *vips // nil in a program; constant once the listeners are open

	// shared
	fileFaults atomic.Pointer[[]string] // what is wrong in services.d
	parted     atomic.Bool              // said goodbye
	view       atomic.Pointer[view]
	outcasts   atomic.Pointer[outcasts]
	heir       atomic.Pointer[heir]         // the root that goes on; nil where there was only one
	rotating   chan struct{}                // a lock that may be held while the root is replaced
	leftover   atomic.Bool                  // a root key that was given up is still in its file
	names      atomic.Pointer[policy.Names] // nil where everybody may offer everything
	announced  chan struct{}                // capacity 1: what this node offers has changed
	diverged   chan micronet.NodeID         // capacity 1: who holds another catalog
	unequal    chan micronet.NodeID         // capacity unequalQueue: who may hold other statements
	restating  chan struct{}                // a lock that may be held while effects are waited for
	poking     chan struct{}                // capacity maxPokes: who is being poked
	looked     chan struct{}                // capacity 1: the view must be made anew
	reissued   chan struct{}                // capacity 1: this node has another certificate
	remapped   chan struct{}                // capacity 1: the router's port is another one, or gone
	voided     chan struct{}                // capacity 1: others refuse the certificate of this node
	views      *broadcast                   // fires when the view was made anew
	address    *self
	mapper     *mapper

	roots [][]byte // that restate has seen; owned by it
	grace grace    // of become, then of keepCertificate

	// owned by whoever makes views: serve, then keepView
	told   map[micronet.NodeID]micronet.NodeStatus // what was reported of other nodes
	toldAt uint64                                  // how often anybody had changed by then
	room   []micronet.Node                         // for the next view's list
}

// live runs one life. It returns nil when ctx ended, errMoved or errLeft when the node chose to
// end it, and otherwise why it failed.
func (n *Node) live(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	keys, fresh, err := loadKeys(n.env, n.disk)
	if err != nil {
		return err
	}
	poison := newPoison(n.env)
	l := &life{
		node: n, env: n.env, config: &n.config, keys: keys, self: keys.ID(), stop: stop, ready: make(chan struct{}),
		announced: make(chan struct{}, 1), diverged: make(chan micronet.NodeID, 1), unequal: make(chan micronet.NodeID, unequalQueue), restating: make(chan struct{}, 1), poking: make(chan struct{}, maxPokes), looked: make(chan struct{}, 1), reissued: make(chan struct{}, 1), remapped: make(chan struct{}, 1), voided: make(chan struct{}, 1),
		views: newBroadcast(), gate: &gate{env: n.env, quiet: newLimiter(), poison: poison},
		shares: newShares(), poison: poison, loops: newLoops(), rotating: make(chan struct{}, 1),
	}
	l.env.Events = micronet.Tee(l.env.Events, &micronet.Events{TunnelChanged: l.tunnelled})
	l.front = newFront(l)
	if l.listeners, err = openListeners(ctx, n.env, &n.config, l.front.dns, l.front.outbound); err != nil {
		return err
	}
	// A start that is refused leaves no keys behind.
	if err = l.check(ctx); err == nil && fresh {
		err = keepKeys(n.disk, keys)
	}
	if err == nil {
		n.id.Store(&l.self)
		l.mesh = micronet.AddrPortOf(l.listeners.mesh.LocalAddr())
		err = l.run(ctx, fresh)
	}
	n.current.Store(nil)
	n.lives.fire()
	return withClosed(n.env, err, l.listeners.close(context.WithoutCancel(ctx)))
}

// check makes what needs nothing of the cluster, and finds what can be wrong with it: a port, the
// VIPs, the token's form. Nothing is founded, joined or kept before.
func (l *life) check(ctx context.Context) error {
	if l.config.Join != "" {
		if _, err := identity.ParseToken(l.config.Join, identity.JoinToken); err != nil {
			return err
		}
	}
	return l.assembleFront(ctx)
}

// run lives. The keys are fresh where there were none before.
func (l *life) run(ctx context.Context, fresh bool) error {
	pass, err := loadPassport(l.env, l.node.disk, l.keys)
	if err != nil {
		return err
	}
	token, err := l.token(pass)
	if err != nil {
		return err
	}
	if pass == nil && token == nil {
		if pass, err = l.found(fresh); err != nil {
			return err
		}
	}
	cluster := [16]byte{}
	if pass != nil {
		cluster = pass.trust.Cluster()
	} else {
		cluster = token.Cluster
	}
	// The base must outlive ctx: goodbyes are said after it has ended.
	base := newGroup(context.WithoutCancel(ctx))
	defer base.stop()
	if err := l.startBase(base, cluster); err != nil {
		return err
	}
	if token != nil {
		if pass, l.contacts, err = l.join(ctx, *token); err != nil {
			return err
		}
	}
	if err := l.become(pass); err != nil {
		return err
	}
	return l.serve(ctx, base)
}

// found makes a new cluster, unless the keys may belong to another one.
func (l *life) found(fresh bool) (*passport, error) {
	if !fresh {
		if err := l.node.disk.missesMembership(); err != nil {
			return nil, err
		}
	}
	pass, err := found(l.env, l.node.disk, l.keys, l.config.Cluster, l.wish().Name)
	if err != nil {
		return nil, err
	}
	l.env.Log.Info("founded a cluster", "cluster", l.config.Cluster, "node", pass.member().Name)
	return pass, nil
}

// token reads the join token that counts: none when the data folder belongs to that cluster
// already.
func (l *life) token(pass *passport) (*identity.Token, error) {
	if l.config.Join == "" {
		return nil, nil
	}
	token, err := identity.ParseToken(l.config.Join, identity.JoinToken)
	if err != nil {
		return nil, err
	}
	if pass == nil {
		return &token, nil
	}
	if pass.trust.Cluster() != token.Cluster {
		return nil, micronet.E("join", micronet.Refused, "%s belongs to the cluster %q (%s) already, the token is for %q (%s)",
			l.config.DataDir, pass.member().ClusterName, pass.trust.Cluster(), token.ClusterName, token.Cluster).
			WithFix("start it without --join; run `micro-net join @token` if no other node is in its cluster, else `micro-net leave` and then `micro-net up --join @token`; or use another --data-dir")
	}
	if l.needsToken(pass, token) {
		return &token, nil
	}
	l.env.Log.Info("the token is not used: this data folder has a membership already", "cluster", token.ClusterName)
	return nil, nil
}

// needsToken reports whether a node that cannot renew its certificate itself has to join anew, as that has ended or
// others refuse it: with a token that is still good it is back at once. Without one an ended certificate is
// as good as any for as long as an authority renews it.
func (l *life) needsToken(pass *passport, token identity.Token) bool {
	if issuer, err := pass.issuer(l.env); issuer != nil && err == nil {
		return false
	}
	now := l.env.Wall()
	switch good := !now.After(token.Expires); {
	case pass.refused(l.env) != nil:
		return good
	case now.After(pass.member().NotAfter):
		return good || now.After(pass.member().NotAfter.Add(l.config.ExpiredGrace))
	}
	return false
}

func (l *life) wish() identity.Wish {
	if l.config.Name != "" {
		return identity.Wish{Name: l.config.Name, Explicit: true}
	}
	return identity.Wish{Name: micronet.Label(l.env.Host.Name)}
}

// startBase starts what carries packets and streams. The read loop belongs to the tunnel's QUIC.
func (l *life) startBase(base *group, cluster [16]byte) error {
	var err error
	l.under, err = tunnel.NewUnderlay(tunnel.UnderlayConfig{
		Env: l.env, Conn: l.listeners.mesh, Verify: l.gate.verify, Cluster: cluster, OnPeer: l.learned, Trunks: l.trunks(),
	})
	if err != nil {
		return err
	}
	l.under.Handle(tunnel.ChannelMembership, l.poison.packets("membership", func(from micronet.NodeID, payload []byte, at time.Time) {
		if l.started() {
			l.members.HandlePacket(from, payload, at)
		}
	}))
	l.under.Handle(tunnel.ChannelHeartbeat, l.poison.packets("heartbeat", l.takeBeats))
	l.under.Handle(tunnel.ChannelStatement, l.poison.packets("ledger", func(_ micronet.NodeID, payload []byte, _ time.Time) {
		if l.started() {
			l.statements.received(payload)
		}
	}))
	reset := sha256.Sum256(append([]byte("micro-net/quic-reset/1\x00"), l.keys.Sign.Seed()...))
	l.tun, err = l.config.newTunnel(quic.Config{Env: l.env, Self: l.self, Socket: l.under, TLS: l.gate, Guest: l.gate, ResetKey: &reset})
	if err != nil {
		return err
	}
	if err := l.addLanes(); err != nil {
		return err
	}
	base.run(l.under.Run)
	base.run(l.tun.Run)
	if !readsSocket(l.tun) {
		base.run(func(ctx context.Context) error { return readSocket(ctx, l.under.QUIC()) })
	}
	r, ok := l.tun.(Readier)
	if !ok {
		return nil
	}
	select {
	case <-r.Ready():
		return nil
	case <-base.ctx.Done():
		return base.err()
	}
}

// addLanes has streams of programs go over TCP where that is better. A tunnel that was replaced gets lanes only if they were
// asked for.
func (l *life) addLanes() error {
	_, isQUIC := l.tun.(*quic.Tunnel)
	if l.config.NoTCP || l.config.Lane == LaneOff || (!isQUIC && l.config.Lane != LaneAuto) {
		return nil
	}
	lanes, err := lane.New(lane.Config{Env: l.env, Self: l.self, Below: l.tun, Paths: l.under, TLS: gateOf{l.gate, identity.ALPNLane}})
	if err != nil {
		return err
	}
	l.under.ServeLanes(lanes)
	l.tun, l.lanes = lanes, lanes
	return nil
}

// lanesTo is how many lanes there are to a node.
func (l *life) lanesTo(id micronet.NodeID) int {
	if l.lanes == nil {
		return 0
	}
	return l.lanes.Lanes(id)
}

// trunks is how the underlay gets through where UDP does not.
func (l *life) trunks() tunnel.TrunkConfig {
	if l.config.NoTCP {
		return tunnel.TrunkConfig{}
	}
	if no := l.listeners.noTCP; no != nil {
		l.env.Log.Warn("no TCP for the mesh: hosts whose UDP is blocked cannot dial this one", "addr", l.mesh, "reason", no.words, "err", no.err,
			"fix", "free the TCP port, or choose another with --tcp-addr")
	}
	return tunnel.TrunkConfig{TLS: gateOf{l.gate, identity.ALPNTrunk}, Listener: l.listeners.tcp, Guest: l.gate}
}

// started reports whether become has finished: before that, the fields it sets are not to be read.
func (l *life) started() bool { return l.node.current.Load() == l }

// join asks for a membership and keeps it, in place of what the data folder had before.
func (l *life) join(ctx context.Context, token identity.Token) (*passport, *contacts, error) {
	guests, ok := below(l.tun).(GuestDialer)
	if !ok {
		return nil, nil, micronet.E("join", micronet.Invalid, "this node's tunnel cannot join a cluster")
	}
	r, err := l.joiner(guests).join(ctx, token)
	if err != nil {
		return nil, nil, err
	}
	pass, err := newPassport(l.keys, r.Membership)
	if err != nil {
		return nil, nil, err
	}
	if err := pass.install(l.env, l.node.disk); err != nil {
		return nil, nil, err
	}
	l.env.Log.Info("joined a cluster", "cluster", r.Membership.ClusterName, "node", r.Membership.Name)
	if wish := l.wish(); token.Name == "" && wish.Name != r.Membership.Name {
		l.env.Log.Warn("another node has the name of this host", "name", wish.Name, "node", r.Membership.Name,
			"fix", fmt.Sprintf("if that node is gone: `micro-net leave` here, and join again with a token of `micro-net invite --name %s`", wish.Name))
	}
	c, err := loadContacts(l.env, l.node.disk, pass)
	if err != nil {
		return nil, nil, err
	}
	c.introduce(r.Credentials)
	c.save()
	return pass, c, nil
}

// joiner is what asks for the membership.
func (l *life) joiner(guests GuestDialer) *joiner {
	j := &joiner{env: l.env, keys: l.keys, wish: l.wish()}
	conf := func(token identity.Token) *tls.Config { return identity.JoinClient(token, l.env.Wall, l.env.Entropy) }
	j.dial = func(ctx context.Context, addr netip.AddrPort, token identity.Token) (tunnel.GuestConn, error) {
		l.under.AllowGuest(addr, token.Cluster)
		return guests.DialGuest(ctx, addr, conf(token))
	}
	if !l.config.NoTCP {
		j.dialTCP = func(ctx context.Context, addr netip.AddrPort, token identity.Token) (tunnel.GuestConn, error) {
			return tunnel.DialGuest(ctx, l.env.Net, addr, conf(token))
		}
	}
	return j
}

// become puts together all that needs a passport.
func (l *life) become(pass *passport) error {
	var err error
	if l.epoch, err = nextEpoch(l.node.disk); err != nil {
		return err
	}
	l.pass, l.name = pass, pass.member().Name
	if err = l.assembleStatements(); err != nil {
		return err
	}
	if l.contacts == nil {
		if l.contacts, err = loadContacts(l.env, l.node.disk, pass); err != nil {
			return err
		}
	}
	if l.pulse, err = newPulse(l.env, l.self, l.epoch); err != nil {
		return err
	}
	a, err := l.assembleAuthority()
	if err != nil {
		return err
	}
	l.damping, l.twin = newDamping(), &twin{born: time.Now()}
	l.liars, l.jumpers = newOffenders(l.equivocationWarning), newOffenders(l.jumpWarning)
	l.holders = newHolders()
	l.mapper = newMapper(l)
	l.address = newSelf(l)
	l.records = newRecords(l.env, gossip.CatalogConfig{
		Self: l.self, Epoch: l.epoch, Key: l.keys.Sign, Cluster: pass.trust.Cluster(), Codec: wire.New(), Admit: l.mayPublish,
	}, effects{spread: l.spread, changed: l.look, behind: l.behind, rival: l.rivalled, lied: l.equivocated, jumped: l.jumped})
	l.router = l.config.newRouter(router.Config{Rand: l.env.Rand("router"), Ejected: l.env.Events.InstanceEjected})
	credential, err := l.address.credential()
	if err != nil {
		return err
	}
	l.members = l.assembleMembership(credential)
	l.gate.pass.Store(pass)
	l.gate.authority.Store(a)
	l.under.SetLocal(l.address.local(credential))
	l.lookGrace()
	for _, p := range l.contacts.peers() {
		l.addPeer(p)
	}
	l.assembleProxy()
	l.restate()
	return nil
}

// assembleStatements reads what the authorities have said, before anything of the cluster is sent, taken or
// believed.
func (l *life) assembleStatements() error {
	if l.statements = l.pass.stated; l.statements == nil {
		var err error
		if l.statements, err = readStatements(l.env, l.node.disk, l.pass.trust); err != nil {
			return err
		}
	}
	s := l.statements
	s.spread, s.changed, s.strayed, s.poison, s.loops = l.spread, l.restate, l.strayed, l.poison, l.loops
	l.roots = l.pass.trust.Roots()
	l.outcasts.Store(&outcasts{}) // none was cast out yet: restate does it
	return nil
}

// assembleAuthority makes this node's authority; nil when it has no key to sign with. One that was off for
// weeks begins with a certificate that holds.
func (l *life) assembleAuthority() (*authority, error) {
	if l.pass.trust.Revoked(l.self) {
		return nil, nil // it starts to say so, and to give up its root key
	}
	issuer, err := l.pass.issuer(l.env)
	if issuer == nil || err != nil {
		return nil, l.mayNotSign(err)
	}
	a, err := l.newAuthority(issuer)
	if err != nil || l.env.Wall().Before(l.pass.member().RenewAfter()) {
		return a, err
	}
	m, err := a.renew(l.self, l.name, false)
	if err != nil {
		l.report("node.certificate", err) // it is tried again
		return a, nil
	}
	return a, l.pass.adopt(context.Background(), l.node.disk, m)
}

// assembleMembership makes the membership of this start.
func (l *life) assembleMembership(credential []byte) *membership {
	rng := l.env.Rand("renewal")
	m := &membership{next: l.nextMembership, met: l.announce, report: l.report, poisoned: make(chan struct{}, 1)}
	m.pick = func(from []micronet.NodeID, n int) []micronet.NodeID {
		rng.Shuffle(len(from), func(i, j int) { from[i], from[j] = from[j], from[i] })
		return from[:min(len(from), n)]
	}
	m.hold(l.newMembership(l.epoch, credential))
	return m
}

func (l *life) newMembership(epoch uint64, credential []byte) gossip.Membership {
	return l.config.newMembership(swim.Config{
		Env: l.env, Self: l.self, Epoch: epoch, Transport: carrier{l.under, l.tun}, Credential: credential,
		Delegate: delegate{records: l.records, statements: l.statements, admit: l.admit, changed: l.look, poison: l.poison}, Poisoned: l.poisoned,
	})
}

// assembleProxy makes the parts that carry programs' connections.
func (l *life) assembleProxy() {
	var from proxy.LocalFrom
	if l.vips != nil {
		from = func(c micronet.Caller) netip.Addr { return l.vips.ofNode(c.Node) }
	}
	l.flows = proxy.NewFlows(l.env.Events)
	l.guard = newGuard(l.env.Events, l.self, l.name, l.origin())
	l.attest = newAttestor(l.env, func() []speaker { return l.node.registry.speakers(l.env.Host.UID) })
	l.dialer = proxy.NewDialer(proxy.DialerConfig{
		Env: l.env, Self: l.self, Routes: routes{l.router, l.whyNobody}, Opener: opener{l.tun, l.fresh}, LocalFrom: from, Flows: l.flows, Guard: l.guard,
		Attest: l.attested,
	})
	l.receiver = proxy.NewReceiver(proxy.ReceiverConfig{
		Env: l.env, Self: l.self, Locals: l.locals, LocalFrom: from, Flows: l.flows, Guard: l.guard,
	})
}

// freshWithin is how recently a peer must have been heard for payload to be sent unasked.
const freshWithin = 2 * time.Second

func (l *life) fresh(id micronet.NodeID) bool {
	// A path in use is probed every few seconds only: while QUIC flows, its packets speak for the
	// peer. They are not authenticated here; the worst a forger gains is a reset after a second.
	return time.Since(l.under.Heard(id)) < freshWithin || time.Since(l.under.Arrived(id)) < freshWithin
}

// spread sends a catalog message to all members.
func (l *life) spread(key string, msg []byte) { l.members.Broadcast(key, msg) }

// locals lists this node's instances of a service.
func (l *life) locals(service string) []micronet.Instance {
	out, err := l.node.registry.of(service)
	if err != nil {
		return nil
	}
	return out
}

// look asks for a new view; announce asks for a new record of this node.
func (l *life) look()     { poke(l.looked) }
func (l *life) announce() { poke(l.announced) }

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
