package node

import (
	"context"
	"sync"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
)

// loneliness is how long a node whose remembered peers all stay silent waits before it calls
// itself ready: it may be the first of them to come back.
const loneliness = 10 * time.Second

// redial looks for peers that were lost, for ever: memberlist alone forgets them. It is also how
// a node finds its cluster again after a restart, and for the first time after joining.
func (l *life) redial(ctx context.Context) error {
	core := gossip.NewRedial(l.env.Rand("redial"))
	results, turn := make(chan dialled), make(chan struct{}, 1)
	var wg sync.WaitGroup
	defer wg.Wait()
	begin := time.Now()
	t := time.NewTimer(0)
	defer t.Stop()
	turns := l.view.Load().turns
	core.Update(begin, l.lost(l.view.Load()))
	for {
		changed := l.views.wait()
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		case <-changed:
			if l.view.Load().turns == turns {
				continue
			}
		case r := <-results:
			core.Result(time.Now(), r.id, r.ok)
		}
		now := time.Now()
		if v := l.view.Load(); v.turns != turns {
			turns = v.turns
			core.Update(now, l.lost(v))
		}
		ids, at := core.Next(now)
		for _, id := range ids {
			wg.Go(func() {
				r := dialled{id, l.dialLost(ctx, id, now.Sub(begin) < loneliness, turn)}
				select {
				case results <- r:
				case <-ctx.Done():
				}
			})
		}
		if now.Sub(begin) > loneliness {
			l.records.setSynced()
		}
		t.Reset(untilRedial(now, at))
	}
}

// untilRedial is how long to wait until at, which is zero when nobody is lost. Changes of the view
// wake the loop as well.
func untilRedial(now, at time.Time) time.Duration {
	if at.IsZero() {
		return gossip.RedialInterval
	}
	return min(max(at.Sub(now), time.Millisecond), gossip.RedialInterval)
}

type dialled struct {
	id micronet.NodeID
	ok bool
}

// calm is what a node waits after it met a lost peer before it calls on another one: membership tells
// it of all that come back with the first.
const calm = time.Second

// dialLost synchronises membership and catalog with one peer, if it answers at all: a packet that
// nobody hears costs less than a handshake. Many that were lost together answer together; they are taken in
// turn, and those that came back meanwhile are left alone. A node that is new calls on all at once.
func (l *life) dialLost(ctx context.Context, id micronet.NodeID, isNew bool, turn chan struct{}) (ok bool) {
	one, cancel := context.WithTimeout(ctx, gossip.AttemptTimeout)
	defer cancel()
	if _, err := l.under.Ping(one, id); err != nil {
		return false
	}
	if isNew {
		return l.meet(one, id)
	}
	select {
	case turn <- struct{}{}:
	case <-one.Done():
		return false
	}
	defer func() { <-turn }()
	if m := l.view.Load().members[id]; m != nil && m.Status == micronet.Alive {
		return true
	}
	ok = l.meet(one, id)
	if ok {
		micronet.Pause(one, calm) // cut short when the node ends
	}
	return ok
}

// meet synchronises with one peer: first what the authorities have said, then who is there, then what they
// offer.
func (l *life) meet(ctx context.Context, id micronet.NodeID) bool {
	l.report("ledger.sync", l.agreeWith(ctx, id))
	n, err := l.members.Join(ctx, id)
	if err != nil || n == 0 {
		l.remind(id)
		return false
	}
	l.report("catalog.sync", l.syncWith(ctx, id))
	return true
}

// lost lists what Redial chooses from: all who are remembered, with what is believed of them.
func (l *life) lost(v *view) []gossip.RedialPeer {
	now, remembered := time.Now(), l.contacts.remembered()
	out := make([]gossip.RedialPeer, 0, len(remembered))
	for i := range remembered {
		p := &remembered[i]
		if p.Revoked || p.ID == l.self {
			continue
		}
		status := micronet.NodeStatus("") // when it is no member yet
		if m := v.members[p.ID]; m != nil {
			status = m.Status
		}
		if n := v.byID[p.ID]; n != nil && n.Status == micronet.Left && l.records.version(p.ID).Epoch != 0 {
			status = micronet.Left
		} else if status == micronet.Left {
			// Only the signed goodbye counts; without it the peer is looked for as if dead. So is one whose
			// goodbye is from before this start: it may be back.
			status = micronet.Dead
		}
		out = append(out, gossip.RedialPeer{ID: p.ID, Heard: l.lastHeard(now, p), Status: status, Near: l.contacts.place(p.ID)})
	}
	return out
}

// lastHeard is when a peer was heard: in this life, or else as the address book has it.
func (l *life) lastHeard(now time.Time, p *gossip.KnownPeer) time.Time {
	if at := l.under.Heard(p.ID); !at.IsZero() {
		return at
	}
	return now.Add(-max(0, l.env.Wall().Sub(p.Heard)))
}
