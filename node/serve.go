package node

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/tunnel"
)

const (
	// viewEvery is how often the view is made anew without being asked: ages and silence pass.
	// viewPerNode is added for each node, as a view of many costs more.
	viewEvery   = time.Second
	viewPerNode = 2 * time.Millisecond
	// settle gathers changes that come together into one view, settlePerNode more for each node: a
	// larger mesh has more changes, and a view of it costs more. Where making one takes long, it is
	// viewShare times as long: a storm of changes must not take a whole core.
	settle        = 20 * time.Millisecond
	settlePerNode = time.Millisecond
	viewShare     = 4
	// announceSettle gathers changes into one record. Others quarantine an owner that publishes
	// more than 64 times a second.
	announceSettle = 50 * time.Millisecond
	// lookAround is how often interfaces are read where changes cannot be watched.
	lookAround = 10 * time.Second
	// lookAroundFirst is how soon after the start it is done first: peers tell us early where they see us.
	lookAroundFirst = time.Second
	// refreshEvery is how often our record is signed anew, so that others know it still holds.
	refreshEvery = 10 * time.Minute
	// handOverTime and handOverPeers bound telling the goodbye to members one by one.
	handOverTime  = time.Second
	handOverPeers = 3
	// farewell bounds saying goodbye.
	farewell = 3 * time.Second
	// relayOnFor bounds how long the packets of others are forwarded after the goodbye; relayRest is how long none come
	// when they go another way, and relayLook how often that is looked at.
	relayOnFor = time.Second
	relayRest  = 200 * time.Millisecond
	relayLook  = 20 * time.Millisecond
	// drainFor bounds how long connections may go on after a polite stop.
	drainFor = 5 * time.Second
)

// serve runs everything above the base until ctx ends, then ends it in the order in which the
// parts rely on each other.
func (l *life) serve(ctx context.Context, base *group) error {
	mesh := newGroup(context.WithoutCancel(ctx))
	l.makeView()
	l.node.current.Store(l)
	mesh.run(l.members.Run)
	mesh.run(l.dialer.Run)
	mesh.run(l.acceptStreams)
	mesh.run(l.statements.keep)
	mesh.run(l.agree)
	mesh.run(l.fetchWanted)
	mesh.run(l.synchronise)
	mesh.run(l.keepView)
	mesh.run(l.keepAnnounced)
	mesh.run(l.mapper.keep)
	mesh.run(l.keepCertificate)
	mesh.run(l.redial)
	mesh.run(l.inquire)
	mesh.run(l.beat)
	mesh.run(func(ctx context.Context) error { return l.contacts.keep(ctx, l.isAlive) })
	front := newGroup(context.WithoutCancel(ctx))
	l.startFront(front)
	l.node.lives.fire()
	select {
	case <-ctx.Done():
	case <-base.ctx.Done():
	case <-mesh.ctx.Done():
	case <-front.ctx.Done():
	}
	err := l.outcome(ctx, base, mesh, front)
	if errors.Is(err, errMoved) {
		l.end(ctx, front, mesh)
		return err
	}
	begin := time.Now()
	l.env.Log.Info("stopping", "connections", l.flows.Active(), "wait", drainFor, "nodes", len(l.alive()))
	l.end(ctx, front, mesh)
	l.env.Log.Info("stopped", "dur", time.Since(begin).Round(time.Millisecond))
	return err
}

// outcome is why the life ends: the first fault from the bottom up, as faults above follow from
// those below; else what the node chose; nil when it was told to.
func (l *life) outcome(ctx context.Context, groups ...*group) error {
	for _, g := range groups {
		if err := g.err(); err != nil {
			return err
		}
	}
	for _, choice := range []error{errMoved, errLeft} {
		if errors.Is(context.Cause(ctx), choice) {
			return choice
		}
	}
	return nil
}

// end closes in the order in which others rely on us: first nobody new comes in, then those who
// are here may finish, then peers are told, and only then do the tunnels close.
func (l *life) end(ctx context.Context, front, mesh *group) {
	l.front.quiesce()
	l.node.web.CloseIdleConnections()
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainFor)
	if cut := l.flows.Drain(drain); cut > 0 {
		l.env.Log.Info("connections were cut at the end", "count", cut)
	}
	cancel()
	front.stop()
	bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	if !l.node.disk.keeps() {
		// This node never comes back: the next start is another one.
		l.giveBack(bye)
	}
	l.sayGoodbye(bye)
	l.relayOn(bye)
	cancel()
	mesh.stop()
}

// relayOn forwards the packets of others until they have found another way: they look for one since they know of the
// goodbye.
func (l *life) relayOn(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, relayOnFor)
	defer cancel()
	for l.under.Relaying(relayRest) {
		if !micronet.Pause(ctx, relayLook) {
			return
		}
	}
}

// sayGoodbye tells everybody that this node is gone until it comes back. It returns how many have
// said that they know.
func (l *life) sayGoodbye(ctx context.Context) (heard int) {
	l.parted.Store(true)
	l.report("node.goodbye", l.records.goodbye())
	heard = l.handOver(ctx)
	l.report("node.leave", l.members.Leave(ctx))
	return heard
}

// handOver gives the goodbye to a few members over streams: the broadcast that carries it to all
// others must not die with us. It returns how many have taken it.
func (l *life) handOver(ctx context.Context) int {
	ctx, cancel := context.WithTimeout(ctx, handOverTime)
	defer cancel()
	peers := l.alive()
	l.env.Rand("goodbye").Shuffle(len(peers), func(i, j int) { peers[i], peers[j] = peers[j], peers[i] })
	var heard atomic.Int32
	var wg sync.WaitGroup
	for _, id := range peers[:min(len(peers), handOverPeers)] {
		wg.Go(func() {
			err := l.syncWith(ctx, id)
			if err == nil {
				heard.Add(1)
			}
			l.report("node.goodbye", err)
		})
	}
	wg.Wait()
	return int(heard.Load())
}

// acceptStreams hands streams of peers to those they are for. It ends when all have ended.
func (l *life) acceptStreams(ctx context.Context) error {
	streams := newGroup(ctx)
	defer streams.stop()
	for {
		in, err := l.tun.Accept(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		l.share(streams, in, l.server(in))
	}
}

// server is what answers a stream.
func (l *life) server(in tunnel.Inbound) func(context.Context) {
	switch in.Opening().Purpose {
	case tunnel.PurposeService:
		return func(ctx context.Context) { _ = l.receiver.ServeInbound(ctx, inbound{in}) }
	case tunnel.PurposeMembership:
		return func(ctx context.Context) { l.handToMembership(ctx, in) }
	case tunnel.PurposeCatalog:
		return func(ctx context.Context) { l.serveCatalog(ctx, in) }
	case tunnel.PurposeLedger:
		return func(ctx context.Context) { l.serveLedger(ctx, in) }
	case tunnel.PurposeControl:
		return func(ctx context.Context) { l.serveControl(ctx, in) }
	}
	// A newer peer wants something we do not know: it learns so and goes on.
	return func(ctx context.Context) {
		l.env.Events.PacketDropped(micronet.PacketDrop{Where: "node", Why: "unknown-purpose", Peer: in.From()})
		refuse(ctx, in, micronet.Invalid, "this version does not know that purpose")
	}
}

// refuse answers a stream that nobody here takes. The answer may block: the peer decides how much
// it wants to receive.
func refuse(ctx context.Context, in tunnel.Inbound, kind micronet.Kind, reason string) {
	ctx, cancel := context.WithTimeout(ctx, refuseTime)
	defer cancel()
	stop := context.AfterFunc(ctx, in.Abort)
	defer stop()
	// A peer that does not hear the answer has gone, and needs none.
	_ = in.Refuse(kind, reason)
}

// handToMembership gives a stream to membership, which closes it.
func (l *life) handToMembership(ctx context.Context, in tunnel.Inbound) {
	h, ok := l.members.streams()
	if !ok {
		refuse(ctx, in, micronet.Invalid, "this node's membership takes no streams")
		return
	}
	stop := context.AfterFunc(ctx, in.Abort)
	err := in.Accept()
	if stop() && err == nil {
		h.HandleStream(in, in.From())
	}
}

// keepView makes the view anew after changes and as time passes, and feeds the router.
func (l *life) keepView(ctx context.Context) error {
	t := time.NewTimer(viewEvery + l.env.Phase)
	defer t.Stop()
	took := time.Duration(0)
	for {
		l.loops.round("view")
		nodes := time.Duration(len(l.view.Load().nodes))
		select {
		case <-ctx.Done():
			return nil
		case <-l.looked:
			if !micronet.Pause(ctx, max(settle+nodes*settlePerNode, viewShare*took)) {
				return nil
			}
		case <-t.C:
		}
		begin := time.Now()
		l.sweep()
		l.makeView()
		took = time.Since(begin)
		t.Reset(viewEvery + nodes*viewPerNode + l.env.Phase)
	}
}

func (l *life) makeView() {
	now := time.Now()
	old, before := l.view.Load(), met(nil)
	if old != nil {
		before = old.met
	}
	synced := l.records.isSynced() || len(l.contacts.remembered()) == 0
	entries := l.records.entries()
	l.pulse.track(now, entries)
	v := makeView(sight{
		now: now, self: l.address.node(now), members: l.members.Members(), entries: entries, name: l.contacts.name,
		silent: l.contacts.silent(), outcasts: *l.outcasts.Load(), wall: l.env.Wall(), path: l.under.Path, lanes: l.lanesTo, heard: l.pulse.heard, issued: l.issued,
		former: old, met: before, names: l.names.Load(), synced: synced, room: &l.room,
	})
	v.held = l.holders.take(now, v)
	l.damping.take(now, entries)
	v.damp(l.damping)
	v.count(old)
	if !v.sameCandidates(old) {
		l.router.Update(now, v.candidates(l.self))
	}
	l.view.Store(v)
	l.tellChanges(v)
	l.tellNamesakes(old, v)
	l.tellNames(old, v)
	if synced {
		l.becomeReady()
	}
	l.views.fire()
}

// becomeReady may be called often; only keepView's goroutine and serve call it, one after another.
func (l *life) becomeReady() {
	select {
	case <-l.ready:
	default:
		close(l.ready)
	}
}

// tellChanges reports what is different about other nodes, and cuts flows to those that are dead:
// a connection to a dead host would hang until TCP gives up. The status before is that of the last
// report, "" for a node that is reported for the first time.
func (l *life) tellChanges(now *view) {
	if l.told != nil && l.toldAt == now.turns {
		return
	}
	l.toldAt = now.turns
	told := make(map[micronet.NodeID]micronet.NodeStatus, len(now.nodes))
	defer func() { l.told = told }()
	for i := range now.nodes {
		n := &now.nodes[i]
		if n.Status == micronet.Left {
			l.contacts.parted(n.ID, n.Epoch)
		}
		before, known := l.told[n.ID]
		// A peer that is only remembered is not news: it was not alive to us before.
		if n.ID == l.self || (!known && n.Status != micronet.Alive) {
			continue
		}
		told[n.ID] = n.Status
		if before == n.Status {
			continue
		}
		l.under.SetParted(n.ID, n.Status == micronet.Left)
		l.env.Events.NodeChanged(micronet.NodeChange{Node: n.ID, Name: n.Name, From: before, To: n.Status})
		if n.Status == micronet.Dead {
			l.flows.CloseNode(n.ID)
		}
	}
}

// keepAnnounced publishes our record after changes, and signs it anew from time to time.
func (l *life) keepAnnounced(ctx context.Context) error {
	changed := l.env.Net.WatchInterfaces(ctx)
	pause := lookAroundFirst
	around := time.NewTimer(pause + l.env.Phase)
	defer around.Stop()
	again := time.NewTicker(refreshEvery + l.env.Phase)
	defer again.Stop()
	l.publish()
	for {
		l.loops.round("records")
		select {
		case <-ctx.Done():
			return nil
		case <-l.announced:
			if !micronet.Pause(ctx, announceSettle) {
				return nil
			}
			l.publish()
		case <-l.reissued:
			l.introduce()
			l.publish()
		case <-changed:
			l.mapper.look()
			l.moved()
		case <-l.remapped:
			l.moved()
		case <-around.C:
			pause = min(2*pause, lookAround)
			around.Reset(pause + l.env.Phase)
			l.mapper.look()
			l.moved()
			l.forget(l.records.expire(l.isAlive))
			l.statements.expire()
		case <-again.C:
			l.report("node.refresh", l.records.refresh())
		}
	}
}

// forget drops the nodes that said goodbye and whose records have expired: nobody looks for them
// any more.
func (l *life) forget(expired []micronet.NodeID) {
	v := l.view.Load()
	for _, id := range expired {
		if n := v.byID[id]; n != nil && n.Status == micronet.Left {
			l.contacts.forget(id)
		}
	}
}

func (l *life) report(op string, err error) {
	if err != nil {
		l.env.Events.BackgroundError(op, err)
	}
}

// publish announces what this node offers now.
func (l *life) publish() {
	if l.parted.Load() {
		return // the goodbye was the last word of this epoch
	}
	instances, err := l.node.registry.instances()
	if err == nil {
		err = l.records.publish(l.address.document(instances))
	}
	l.report("node.publish", err)
	l.look()
}

// behind learns that others hold a record of this node from a later epoch than this one: the data folder
// was restored from a backup, or there is a twin. Membership takes the node for its own past until it
// goes on above that.
func (l *life) behind() {
	l.env.Log.Warn("others know a later record of this node than its own; it goes on above that", "epoch", l.records.epoch())
	l.members.renew()
}

// poisoned learns that somebody has driven this node's incarnation so high that others may not believe
// it any more. Only a later epoch can be told from that.
func (l *life) poisoned() {
	l.env.Log.Warn("another node has driven this one's incarnation to its end; its membership goes on in a new epoch", "epoch", l.records.epoch())
	l.members.renew()
}

// nextMembership makes a membership in an epoch above all before. What this node offers is published in
// that epoch once others know of it, and its next start comes above.
func (l *life) nextMembership() (gossip.Membership, error) {
	before, _ := l.address.now()
	epoch, known, err := l.records.outgrow(before)
	if err == nil && known {
		// Of signs of life, too, only those above what others know count.
		err = l.pulse.raise(time.Now(), epoch)
	}
	if err != nil {
		return nil, err
	}
	l.report("node.epoch", raiseEpoch(l.node.disk, epoch))
	l.address.raise(epoch)
	credential, err := l.address.credential()
	if err != nil {
		return nil, err
	}
	l.under.SetLocal(l.address.local(credential))
	return l.newMembership(epoch, credential), nil
}

// moved looks whether our addresses changed, and tells everybody if so.
func (l *life) moved() {
	if l.address.refresh() {
		l.introduce()
		l.publish()
	}
}

// introduce tells everybody what this node says of itself now, and by what right.
func (l *life) introduce() {
	credential, err := l.address.credential()
	if err != nil {
		l.report("node.credential", err)
		return
	}
	l.under.SetLocal(l.address.local(credential))
	l.members.SetCredential(credential)
}

func (l *life) isAlive(id micronet.NodeID) bool {
	n := l.view.Load().byID[id]
	return n != nil && n.Status.Serving()
}

// mayBeAlive is isAlive for questions that can come before the first view.
func (l *life) mayBeAlive(id micronet.NodeID) bool { return l.view.Load() == nil || l.isAlive(id) }

// alive lists the other nodes that are alive.
func (l *life) alive() []micronet.NodeID {
	var out []micronet.NodeID
	v := l.view.Load()
	for i := range v.nodes {
		if v.nodes[i].Status == micronet.Alive && v.nodes[i].ID != l.self {
			out = append(out, v.nodes[i].ID)
		}
	}
	return out
}

// admit is membership's question about a member: it must hold a credential of our cluster for
// that very id and epoch. What it says becomes known to the path layer.
func (l *life) admit(id micronet.NodeID, epoch uint64, raw []byte) error {
	c, peer, err := l.pass.verify(l.env, raw)
	if err != nil {
		return err
	}
	if c.ID != id || c.Epoch != epoch {
		return micronet.E("node.admit", micronet.Unauthorized, "the credential is of %s, epoch %d", c.ID.Short(), c.Epoch).WithPeer(id)
	}
	if l.acquaint(c, raw) {
		l.addPeer(peer)
	}
	return nil
}

// acquaint takes a verified credential, and reports whether it is newer than what was known. The records of its owner
// that came before it, or were withheld until it came, are asked for.
func (l *life) acquaint(c identity.Credential, raw []byte) bool {
	void := l.isVoid(c.ID)
	if !l.contacts.learn(c, raw) {
		return false
	}
	if void {
		l.records.estrange(c.ID)
	}
	l.records.admitted(c.ID)
	return true
}

// learned takes a peer that spoke to us before membership told of it.
func (l *life) learned(p tunnel.Peer) {
	if !l.started() {
		return
	}
	if c, _, err := l.pass.verify(l.env, p.Credential); err == nil {
		l.acquaint(c, p.Credential)
	}
}

// introductions are the credentials that a guest begins with: ours, then those of live members.
func (l *life) introductions() [][]byte {
	credential, err := l.address.credential()
	if err != nil {
		l.report("node.credential", err)
		return nil
	}
	out := [][]byte{credential}
	// Who has only just joined is in the address book, and no member yet.
	for _, p := range l.contacts.remembered() {
		if p.ID != l.self && !p.Revoked && len(p.Credential) > 0 && l.mayBeAlive(p.ID) {
			out = append(out, p.Credential)
		}
	}
	return out
}
