package node

import (
	"context"
	"math/rand/v2"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/tunnel"
)

const (
	// syncEvery is how often the whole catalog is compared with a random member's.
	syncEvery = 30 * time.Second
	// syncTime bounds one synchronisation.
	syncTime = 20 * time.Second
	// fetchTime bounds one fetch.
	fetchTime = 5 * time.Second
	// fetchPatience gathers wishes: a delta that comes a moment later may fulfil them.
	fetchPatience = 150 * time.Millisecond
	// fetchHelpers is how many other members are asked when the owner does not answer.
	fetchHelpers = 2
)

// fetchWanted fetches documents that are known to exist. It is apart from the comparison, so that
// a member that stalls one does not hold up the other.
func (l *life) fetchWanted(ctx context.Context) error {
	rng := l.env.Rand("fetch")
	for {
		select {
		case <-ctx.Done():
			return nil
		case w := <-l.records.wants:
			if !micronet.Pause(ctx, fetchPatience) {
				return nil
			}
			l.fetch(ctx, rng, l.records.wanted(w))
		}
	}
}

// synchronise compares the whole catalog with a random member's from time to time, and with those
// that say they hold another one.
func (l *life) synchronise(ctx context.Context) error {
	rng := l.env.Rand("synchronise")
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case peer := <-l.diverged:
			l.report("catalog.sync", l.syncWith(ctx, peer))
		case <-t.C:
			if peer, ok := choose(rng, l.alive()); ok {
				l.report("catalog.sync", l.syncWith(ctx, peer))
			}
			t.Reset(syncEvery + time.Duration(rng.Int64N(int64(syncEvery/3))) + l.env.Phase)
		}
	}
}

func choose(rng *rand.Rand, ids []micronet.NodeID) (micronet.NodeID, bool) {
	if len(ids) == 0 {
		return micronet.NodeID{}, false
	}
	return ids[rng.IntN(len(ids))], true
}

// fetch asks for documents: somebody we talk with anyway, as that costs no handshake; then their owners,
// as they have the newest; then others.
func (l *life) fetch(ctx context.Context, rng *rand.Rand, owners []micronet.NodeID) {
	owners = l.fetchNear(ctx, rng, owners)
	missing := owners
	if len(owners) <= fetchHelpers {
		missing = nil
		for _, id := range owners {
			if id == l.self || !l.isAlive(id) || l.fetchFrom(ctx, id, []micronet.NodeID{id}) != nil {
				missing = append(missing, id)
			}
		}
	}
	for range fetchHelpers {
		peer, ok := choose(rng, l.alive())
		if len(missing) == 0 || !ok {
			return
		}
		if l.fetchFrom(ctx, peer, missing) == nil {
			return
		}
	}
}

// fetchNear asks one of the peers that there is a connection to, and returns the owners whose documents
// it did not have.
func (l *life) fetchNear(ctx context.Context, rng *rand.Rand, owners []micronet.NodeID) []micronet.NodeID {
	linker, ok := below(l.tun).(Linker)
	if !ok {
		return owners
	}
	peer, ok := choose(rng, linker.Linked())
	if !ok {
		return owners
	}
	before := l.records.versions(owners)
	if l.fetchFrom(ctx, peer, owners) != nil {
		return owners
	}
	var missing []micronet.NodeID
	for i, v := range l.records.versions(owners) {
		if v == before[i] {
			missing = append(missing, owners[i])
		}
	}
	return missing
}

func (l *life) fetchFrom(ctx context.Context, peer micronet.NodeID, ids []micronet.NodeID) error {
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	return l.withCatalogStream(ctx, peer, func(s tunnel.Stream) error {
		_, err := gossip.FetchClient(s, l.records, ids, gossip.SyncLimits{})
		return err
	})
}

// syncWith compares the whole catalog with a peer's, and in front of that what the authorities have said: it
// decides whose records count.
func (l *life) syncWith(ctx context.Context, peer micronet.NodeID) error {
	l.report("ledger.sync", l.agreeWith(ctx, peer))
	var stats gossip.SyncStats
	err := l.withCatalogStream(ctx, peer, func(s tunnel.Stream) (err error) {
		stats, err = gossip.SyncClient(s, l.records, gossip.SyncLimits{})
		return err
	})
	l.records.compared(peer, err == nil && stats.Sent+stats.Received > stats.Refused)
	if err != nil {
		return err
	}
	l.records.setSynced()
	if stats.Refused > 0 {
		l.report("catalog.vouch", l.askVouchers(ctx, peer))
	}
	return nil
}

func (l *life) withCatalogStream(ctx context.Context, peer micronet.NodeID, f func(tunnel.Stream) error) error {
	return l.withStream(ctx, peer, tunnel.PurposeCatalog, syncTime, f)
}

// withStream opens a stream for f, which has a time for what it does there.
func (l *life) withStream(ctx context.Context, peer micronet.NodeID, p tunnel.Purpose, most time.Duration, f func(tunnel.Stream) error) error {
	if l.poison.shuns(peer, partOf(p)) {
		return micronet.E("node.open", micronet.Refused, "this node has failed on what came from there, and asks again in a while").WithPeer(peer)
	}
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	s, err := l.tun.Open(ctx, peer, tunnel.Opening{Purpose: p})
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, s.Abort)
	defer stop()
	if err := l.poison.guard(peer, partOf(p), func() error { return f(s) }); err != nil {
		s.Abort()
		return err
	}
	return s.Close()
}

// serveCatalog answers a peer's synchronisation.
func (l *life) serveCatalog(ctx context.Context, in tunnel.Inbound) {
	l.serveStream(ctx, in, syncTime, "catalog.serve", func() error {
		_, err := gossip.SyncServer(in, l.records, gossip.SyncLimits{})
		if err == nil {
			l.records.setSynced()
		}
		return err
	})
}

// serveStream accepts a stream for f, which has a time for its answer.
func (l *life) serveStream(ctx context.Context, in tunnel.Inbound, most time.Duration, op string, f func() error) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	stop := context.AfterFunc(ctx, in.Abort)
	defer stop()
	if in.Accept() != nil {
		return
	}
	if err := f(); err != nil {
		l.report(op, err)
		in.Abort()
		return
	}
	l.report(op, in.Close())
}
