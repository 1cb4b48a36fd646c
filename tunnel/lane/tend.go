package lane

import (
	"cmp"
	"context"
	"slices"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
)

// tend looks after lanes until ctx ends.
func (t *Tunnel) tend(ctx context.Context) {
	timer := time.NewTicker(tick + t.env.Phase)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			t.look(time.Now())
		}
	}
}

// look asks whether those in use still answer, ends those that do not or that nobody needs, and dials what is missing.
func (t *Tunnel) look(now time.Time) {
	ids, ways := t.ways()
	t.mu.Lock()
	end, ping := t.judgeLocked(now, ways)
	for _, id := range ids {
		end = append(end, t.lookAtLocked(id, ways[id], now)...)
	}
	orphans := t.orphansLocked(now)
	t.mu.Unlock()
	for _, c := range end {
		c.end()
	}
	for _, c := range ping {
		c.utter(shortFrame(kindPing, 0, 0))
	}
	for _, s := range orphans {
		s.end(micronet.E("tunnel.stream", micronet.Unreachable, "the peer fell silent").WithPeer(s.peer))
	}
}

// judgeLocked tells which carriers are to be ended, and which asked for a sign of life.
func (t *Tunnel) judgeLocked(now time.Time, ways map[micronet.NodeID]tunnel.PathInfo) (end, ping []*carrier) {
	carriers, _ := t.allLocked((*carrier).isLane, func(*session) bool { return false })
	for _, c := range carriers {
		switch {
		case c.deaf():
			end = append(end, c)
			if c.of != nil {
				end = append(end, c.of.distrust(now)...)
			}
		case c.useless(now, ways[c.peer]):
			end = append(end, c)
		case c.asks():
			c.asked.Store(true)
			ping = append(ping, c)
		}
	}
	return end, ping
}

// lookAtLocked sees to the lanes to one peer, and returns those that are to be ended.
func (t *Tunnel) lookAtLocked(id micronet.NodeID, way tunnel.PathInfo, now time.Time) []*carrier {
	l := t.peers[id]
	if l == nil {
		return nil // Disconnect came
	}
	spent := l.spent(now)
	if addr, ok := l.suits(way, now); ok {
		t.fillLocked(id, l, addr, now)
	}
	t.promoteLocked(l, now)
	if l.unused(now) {
		delete(t.peers, id)
	}
	return spent
}

// orphansLocked are the sessions of peers that these have not gone on with, oldest first.
func (t *Tunnel) orphansLocked(now time.Time) (out []*session) {
	for _, s := range t.sessions {
		if !s.ours && s.orphaned(now) {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b *session) int { return cmp.Compare(a.number, b.number) })
	return out
}

func (s *session) orphaned(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.carrier == nil && !s.over && now.Sub(s.lost) > orphanTime
}

// ways are the peers that this node has lanes to, sorted, and the paths to them.
func (t *Tunnel) ways() ([]micronet.NodeID, map[micronet.NodeID]tunnel.PathInfo) {
	t.mu.Lock()
	ids := make([]micronet.NodeID, 0, len(t.peers))
	for id := range t.peers {
		ids = append(ids, id)
	}
	t.mu.Unlock()
	slices.SortFunc(ids, micronet.NodeID.Compare)
	ways := make(map[micronet.NodeID]tunnel.PathInfo, len(ids))
	for _, id := range ids {
		ways[id], _ = t.paths.Path(id) // of one that is not known nothing is confirmed
	}
	return ids, ways
}

// useless reports whether a lane leads elsewhere than the path, takes nothing, or is not needed.
func (c *carrier) useless(now time.Time, way tunnel.PathInfo) bool {
	switch {
	case c.stuck() > 2*deafAfter:
		return true
	case c.ours && c.life == 0:
		return now.Sub(c.since) > dialTime // no hello
	case c.ours:
		return c.session != nil && !straight(way) // of those in no use see lanes.spent
	case c.session != nil:
		return c.silence() > 2*deafAfter
	}
	return now.Sub(c.used) > guestFor
}

// deaf reports whether a lane of ours leads nowhere: it is in use, and nothing has come for long.
func (c *carrier) deaf() bool {
	return c.ours && c.session != nil && c.silence() > deafAfter
}

// asks reports whether a sign of life is to be asked for.
func (c *carrier) asks() bool {
	return c.ours && c.session != nil && c.silence() > pingAfter && !c.asked.Load()
}
