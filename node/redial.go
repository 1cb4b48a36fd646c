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
	results := make(chan dialled)
	var wg sync.WaitGroup
	defer wg.Wait()
	begin := time.Now()
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		changed := l.views.wait()
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		case <-changed:
		case r := <-results:
			core.Result(time.Now(), r.id, r.ok)
		}
		now := time.Now()
		core.Update(now, l.lost())
		ids, at := core.Next(now)
		for _, id := range ids {
			wg.Go(func() { l.dialLost(ctx, id, results) })
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

// dialLost synchronises membership and catalog with one peer.
func (l *life) dialLost(ctx context.Context, id micronet.NodeID, results chan<- dialled) {
	one, cancel := context.WithTimeout(ctx, gossip.AttemptTimeout)
	defer cancel()
	n, err := l.members.Join(one, id)
	ok := err == nil && n > 0
	if ok {
		l.report("catalog.sync", l.syncWith(one, id))
	}
	select {
	case results <- dialled{id, ok}:
	case <-ctx.Done():
	}
}

// lost lists what Redial chooses from: all who are remembered, with what is believed of them.
func (l *life) lost() []gossip.RedialPeer {
	v := l.view.Load()
	members := map[micronet.NodeID]micronet.NodeStatus{}
	for _, m := range l.members.Members() {
		members[m.ID] = m.Status
	}
	var out []gossip.RedialPeer
	for _, p := range l.contacts.remembered() {
		if p.Revoked || p.ID == l.self {
			continue
		}
		status := members[p.ID] // "" when it is no member yet
		if n := v.byID[p.ID]; n != nil && n.Status == micronet.Left {
			status = micronet.Left
		} else if status == micronet.Left {
			// Only the signed goodbye counts; without it the peer is looked for as if dead.
			status = micronet.Dead
		}
		out = append(out, gossip.RedialPeer{ID: p.ID, Heard: l.under.Heard(p.ID), Status: status})
	}
	return out
}
