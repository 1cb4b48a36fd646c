package node

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/gossip/heartbeat"
	"github.com/micro/micro-net/tunnel"
)

const (
	// seedSize is how many secret bytes a chain of heartbeats is made of.
	seedSize = 32
	// generationBits leaves room for the chains of one start below those of the next.
	generationBits = 24
)

// pulse tells others that this node lives, and passes on what it hears of others: signs of life that
// only their owners can make, for nodes that cannot hear them directly. It is safe for concurrent use.
type pulse struct {
	env  micronet.Env
	self micronet.NodeID

	mu     sync.Mutex
	epoch  uint64
	table  *heartbeat.Table
	chain  *heartbeat.Chain
	chains uint64 // made so far
	anchor []byte
	news   news
	looked time.Time // when it was asked who was heard directly
}

func newPulse(env micronet.Env, self micronet.NodeID, epoch uint64) (*pulse, error) {
	p := &pulse{env: env, self: self, epoch: epoch, table: heartbeat.NewTable(self), news: news{}}
	return p, p.renew(time.Now())
}

// renew begins a new chain. What it is anchored in has to be published.
func (p *pulse) renew(now time.Time) error {
	seed := make([]byte, seedSize)
	if _, err := io.ReadFull(p.env.Entropy, seed); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.chains++
	chain, err := heartbeat.NewChain(now, heartbeat.ChainConfig{
		Owner: p.self, Seed: seed, Generation: p.epoch<<generationBits | p.chains, Wall: p.env.Wall(),
	})
	if err != nil {
		return err
	}
	anchor, err := chain.Anchor().AppendBinary(nil)
	if err != nil {
		return err
	}
	p.chain, p.anchor = chain, anchor
	p.table.Own(now, chain)
	return nil
}

// raise begins a chain that counts above those of all former epochs.
func (p *pulse) raise(now time.Time, epoch uint64) error {
	p.mu.Lock()
	p.epoch = epoch
	p.mu.Unlock()
	return p.renew(now)
}

// due reports whether the chain should be renewed.
func (p *pulse) due(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.chain.Due(now, p.env.Wall())
}

// published is what goes into this node's document.
func (p *pulse) published() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.anchor
}

// track takes over what documents say of their owners' chains, and forgets whose are gone.
func (p *pulse) track(now time.Time, entries []gossip.Entry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.news.look(entries, func(d *gossip.Document) {
		if d.Owner == p.self || len(d.Heartbeat) == 0 {
			return
		}
		anchor, err := heartbeat.ParseAnchor(d.Heartbeat)
		if err == nil {
			err = p.table.Track(now, d.Owner, anchor)
		}
		if err != nil {
			p.env.Events.RecordRefused(micronet.RecordRefusal{Owner: d.Owner, Reason: "heartbeat"})
		}
	}, p.table.Forget)
}

// heard returns when a node was last alive, as far as any sign of life that came here tells.
func (p *pulse) heard(id micronet.NodeID) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	at, _ := p.table.Heard(id)
	return at
}

// fingerprintSize is how much of the fingerprints of its catalog and of its ledger a node tells with every
// packet.
const fingerprintSize = 8

// receive takes a packet of a peer, without the fingerprints in front. It reports whether a doubted
// node has shown a sign of life.
func (p *pulse) receive(now time.Time, from micronet.NodeID, payload []byte, doubted func(micronet.NodeID) bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	news, err := p.table.Receive(now, from, payload)
	if err != nil {
		p.env.Events.PacketDropped(micronet.PacketDrop{Where: "heartbeat", Why: "malformed", Peer: from})
		return false
	}
	for _, id := range news {
		if doubted(id) {
			return true
		}
	}
	return false
}

// round is what a round of packets is made from.
type round struct {
	peers   []micronet.NodeID               // all members, without this node
	doubted func(micronet.NodeID) bool      // nil: nobody is
	direct  func(micronet.NodeID) time.Time // when a packet of the node itself came
	rng     *rand.Rand
}

// beat is a packet for a peer.
type beat struct {
	to      micronet.NodeID
	payload []byte
}

// beats returns what to send now.
func (p *pulse) beats(now time.Time, r *round) []beat {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lookLocked(now, r)
	var out []beat
	for _, to := range p.table.Targets(now, r.peers, r.doubted, r.rng, heartbeat.Fanout) {
		if payload := p.table.Packet(now, to, r.doubted, heartbeat.PacketSize); payload != nil {
			out = append(out, beat{to, payload})
		}
	}
	return out
}

// lookEvery is how often is asked who was heard directly.
const lookEvery = time.Second

// lookLocked takes over whose own packets came since it looked last.
func (p *pulse) lookLocked(now time.Time, r *round) {
	if now.Sub(p.looked) < lookEvery {
		return
	}
	for _, id := range r.peers {
		if at := r.direct(id); at.After(p.looked) {
			p.table.Direct(at, id)
		}
	}
	p.looked = now
}

// beat sends signs of life, our own and those of others, until ctx ends.
func (l *life) beat(ctx context.Context) error {
	rng := l.env.Rand("heartbeat")
	t := time.NewTicker(heartbeat.Period + l.env.Phase)
	defer t.Stop()
	for {
		l.loops.round("signs of life")
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		now := time.Now()
		if l.pulse.due(now) {
			l.report("node.heartbeat", l.pulse.renew(now))
			l.announce()
		}
		v := l.view.Load()
		sums := l.fingerprints()
		for _, b := range l.pulse.beats(now, &round{peers: v.peers, doubted: v.doubts(), direct: l.under.Heard, rng: rng}) {
			if err := l.under.Send(b.to, tunnel.ChannelHeartbeat, slices.Concat(sums[:], b.payload)); err != nil {
				l.env.Events.PacketDropped(micronet.PacketDrop{Where: "heartbeat", Why: "send", Peer: b.to})
			}
		}
	}
}

// fingerprints are the first bytes of those of the catalog and of the ledger.
func (l *life) fingerprints() (sums [2 * fingerprintSize]byte) {
	catalog, ledger := l.records.fingerprint(), l.statements.held.Load().Fingerprint()
	copy(sums[:fingerprintSize], catalog[:])
	copy(sums[fingerprintSize:], ledger.Hash[:])
	return sums
}

// takeBeats takes a peer's signs of life, and what it says of its catalog and its ledger: the first bytes of
// their fingerprints, then a packet of heartbeats.
func (l *life) takeBeats(from micronet.NodeID, payload []byte, at time.Time) {
	if !l.started() {
		return
	}
	ours := l.fingerprints()
	if len(payload) < len(ours) {
		l.env.Events.PacketDropped(micronet.PacketDrop{Where: "heartbeat", Why: "malformed", Peer: from})
		return
	}
	theirs := payload[:len(ours)]
	if l.statements.differs(at, from, bytes.Equal(ours[fingerprintSize:], theirs[fingerprintSize:])) {
		l.unlike(from)
	}
	if l.pulse.receive(at, from, payload[len(ours):], l.view.Load().isDoubted) {
		l.look()
	}
	if l.records.diverges(at, from, bytes.Equal(ours[:fingerprintSize], theirs[:fingerprintSize])) {
		select {
		case l.diverged <- from:
		default: // another comparison is waiting
		}
	}
}
