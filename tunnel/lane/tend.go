package lane

import (
	"context"
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
	ways := t.ways()
	t.mu.Lock()
	var end, ping []*carrier
	carriers, sessions := t.allLocked(func(*carrier) bool { return true }, func(s *session) bool { return !s.ours })
	for _, c := range carriers {
		switch {
		case c.deaf():
			end = append(append(end, c), t.peers[c.peer].distrust(now)...)
		case c.useless(now, ways[c.peer]):
			end = append(end, c)
		case c.asks():
			c.asked.Store(true)
			ping = append(ping, c)
		}
	}
	for id, l := range t.peers {
		end = append(end, l.spent(now)...)
		if way, ok := ways[id]; ok {
			if addr, ok := l.suits(way, now); ok {
				t.fillLocked(id, l, addr, now)
				t.promoteLocked(l, now)
			}
		}
		if l.busy == 0 && l.dialling == 0 && len(l.idle) == 0 && now.Sub(l.wanted) > againMost {
			delete(t.peers, id)
		}
	}
	t.mu.Unlock()
	for _, c := range end {
		c.end()
	}
	for _, c := range ping {
		t.spawn(func() { c.say(shortFrame(kindPing, 0, 0)) })
	}
	for _, s := range sessions {
		s.orphaned(now)
	}
}

// ways are the paths to those that this node has lanes to.
func (t *Tunnel) ways() map[micronet.NodeID]tunnel.PathInfo {
	t.mu.Lock()
	ids := make([]micronet.NodeID, 0, len(t.peers))
	for id := range t.peers {
		ids = append(ids, id)
	}
	t.mu.Unlock()
	ways := make(map[micronet.NodeID]tunnel.PathInfo, len(ids))
	for _, id := range ids {
		if p, ok := t.paths.Path(id); ok {
			ways[id] = p
		}
	}
	return ways
}

// useless reports whether a carrier leads nowhere, or is not needed.
func (c *carrier) useless(now time.Time, way tunnel.PathInfo) bool {
	busy := c.session != nil
	switch {
	case !c.isLane():
		return false // the tunnel below looks after it
	case c.ours && busy:
		return !straight(way)
	case c.ours:
		return false // see lanes.spent
	case busy:
		return c.silence() > 2*deafAfter
	}
	return now.Sub(c.used) > guestFor
}

// deaf reports whether a lane of ours leads nowhere: it is in use, and nothing has come for long.
func (c *carrier) deaf() bool {
	return c.ours && c.isLane() && c.session != nil && c.silence() > deafAfter
}

// asks reports whether a sign of life is to be asked for.
func (c *carrier) asks() bool {
	return c.ours && c.isLane() && c.session != nil && c.silence() > pingAfter && !c.asked.Load()
}

// orphaned ends a session that its peer does not go on with.
func (s *session) orphaned(now time.Time) {
	s.mu.Lock()
	lost := s.carrier == nil && !s.over && now.Sub(s.lost) > orphanTime
	s.mu.Unlock()
	if lost {
		s.end(micronet.E("tunnel.stream", micronet.Unreachable, "the peer fell silent").WithPeer(s.peer))
	}
}
