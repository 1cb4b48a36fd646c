package node

import (
	"context"
	"sync/atomic"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
)

const (
	// renewTimeout bounds the first synchronisation of a renewed membership. Whom it does not reach
	// is looked for like any lost peer.
	renewTimeout = 5 * time.Second
	// renewSeeds is how many members a renewed membership synchronises with.
	renewSeeds = 3
)

// membership is the node's membership, which can be renewed: a new one under a higher epoch takes the
// place of the former one, and the rest of the node does not notice. Until the new one knows the mesh,
// what the former one knew still counts.
type membership struct {
	// next returns the next one, under an epoch above all before.
	next   func() (gossip.Membership, error)
	pick   func(from []micronet.NodeID, n int) []micronet.NodeID // a few at random
	met    func()                                                // a new one has met the mesh, or has tried
	report func(op string, err error)

	poisoned chan struct{} // capacity 1: the present one is not believed any more
	pair     atomic.Pointer[pair]
}

// pair is the membership that counts, and the one before as long as that one knows more.
type pair struct{ now, former gossip.Membership }

var _ gossip.Membership = (*membership)(nil)

// hold makes the first membership the one that counts.
func (m *membership) hold(first gossip.Membership) { m.pair.Store(&pair{now: first}) }

func (m *membership) current() gossip.Membership { return m.pair.Load().now }

// renew asks for a renewal. It does not block.
func (m *membership) renew() { poke(m.poisoned) }

// Run runs one membership after the other.
func (m *membership) Run(ctx context.Context) error {
	var spaced renewals
	for {
		one := newGroup(ctx)
		one.run(m.current().Run)
		one.run(m.introduce)
		m.wait(one.ctx, &spaced)
		err := one.err()
		one.stop()
		if err != nil || ctx.Err() != nil {
			return err
		}
	}
}

// wait returns when ctx has ended or another membership counts.
func (m *membership) wait(ctx context.Context, spaced *renewals) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.poisoned:
		}
		if !micronet.Pause(ctx, time.Until(spaced.next(time.Now()))) || m.replace() {
			return
		}
	}
}

// replace makes the next membership the one that counts. Where that fails it is tried again later, and
// the present one goes on: the node is still heard by its own signs of life.
func (m *membership) replace() bool {
	next, err := m.next()
	if err != nil {
		m.report("node.renew", err)
		m.renew()
		return false
	}
	m.pair.Store(&pair{now: next, former: m.current()})
	return true
}

// introduce synchronises a renewed membership with members that the former one knew, and then
// forgets that one.
func (m *membership) introduce(ctx context.Context) error {
	p := m.pair.Load()
	if p.former == nil {
		return nil
	}
	var serving []micronet.NodeID
	for _, o := range p.former.Members() {
		if o.Status.Serving() {
			serving = append(serving, o.ID)
		}
	}
	if len(serving) > 0 {
		ctx, cancel := context.WithTimeout(ctx, renewTimeout)
		defer cancel()
		_, err := p.now.Join(ctx, m.pick(serving, renewSeeds)...)
		m.report("node.renew", err)
	}
	m.pair.CompareAndSwap(p, &pair{now: p.now})
	m.met()
	return nil
}

// Members implements gossip.Membership.
func (m *membership) Members() []gossip.Member {
	p := m.pair.Load()
	if p.former == nil {
		return p.now.Members()
	}
	return union(p.now.Members(), p.former.Members())
}

// union adds to a list of members those that only another one has. Both are sorted by id, and so is
// the result.
func union(list, more []gossip.Member) []gossip.Member {
	out := make([]gossip.Member, 0, max(len(list), len(more)))
	for len(list) > 0 && len(more) > 0 {
		switch c := list[0].ID.Compare(more[0].ID); {
		case c > 0:
			out, more = append(out, more[0]), more[1:]
		case c == 0:
			more = more[1:]
		default:
			out, list = append(out, list[0]), list[1:]
		}
	}
	return append(append(out, list...), more...)
}

// Join implements gossip.Membership.
func (m *membership) Join(ctx context.Context, seeds ...micronet.NodeID) (int, error) {
	return m.current().Join(ctx, seeds...)
}

// Broadcast implements gossip.Membership.
func (m *membership) Broadcast(key string, msg []byte) { m.current().Broadcast(key, msg) }

// SetCredential implements gossip.Membership.
func (m *membership) SetCredential(credential []byte) { m.current().SetCredential(credential) }

// Leave implements gossip.Membership.
func (m *membership) Leave(ctx context.Context) error { return m.current().Leave(ctx) }

// HandlePacket gives a packet to a membership that takes packets.
func (m *membership) HandlePacket(from micronet.NodeID, payload []byte, at time.Time) {
	if h, ok := m.current().(PacketHandler); ok {
		h.HandlePacket(from, payload, at)
	}
}

// streams returns who takes streams, if anybody does.
func (m *membership) streams() (StreamHandler, bool) {
	h, ok := m.current().(StreamHandler)
	return h, ok
}
