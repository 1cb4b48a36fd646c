package lane

import (
	"context"
	"slices"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
)

// beginBelow begins a session over a stream, until there is a lane for it. enlist has counted it.
func (t *Tunnel) beginBelow(ctx context.Context, s *session) error {
	out, err := t.below.Open(ctx, s.peer, tunnel.Opening{Purpose: tunnel.PurposeCarrier})
	var c *carrier
	if err == nil {
		c = newStream(t, s.peer, out, true)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil && t.running && t.peers[s.peer] == s.below {
		t.keepLocked(c)
		t.addLocked(s)
		t.joinLocked(s, c, 1)
		t.awaitLocked(s.below, s)
		t.group.Go(func() { c.read(&reading{in: out}); t.lose(c) })
		return nil
	}
	t.leaveBelowLocked(s)
	if err == nil {
		out.Abort()
		err = micronet.E("tunnel.open", micronet.Closed, "the connection was closed here").WithPeer(s.peer)
	}
	return err
}

// await has a session that is on a stream wait for a lane.
func (t *Tunnel) await(s *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l := t.peers[s.peer]; l != nil && t.sessions[s.key] == s && !s.waits {
		t.awaitLocked(l, s)
		t.promoteLocked(l, time.Now())
	}
}

func (t *Tunnel) awaitLocked(l *lanes, s *session) {
	s.waits = true
	l.waiting = append(l.waiting, s)
}

// promoteLocked gives lanes that nobody uses to sessions that wait for one, once the path has been near for a while.
func (t *Tunnel) promoteLocked(l *lanes, now time.Time) {
	may := l.quick && now.Sub(l.since) >= settled && t.running
	l.waiting = slices.DeleteFunc(l.waiting, func(s *session) bool {
		if t.sessions[s.key] != s {
			return true // it is over
		}
		if may && len(l.idle) > 0 && t.promoteOneLocked(l, s, now) {
			s.waits = false
		}
		return !s.waits
	})
}

// promoteOneLocked takes one session to a lane, unless it cannot move now.
func (t *Tunnel) promoteOneLocked(l *lanes, s *session, now time.Time) bool {
	c := l.next(now)
	if c == nil {
		return false
	}
	turn := c.turn + 1
	old, frame := s.move(c, turn)
	if old == nil {
		return false
	}
	l.takes(c)
	old.session = nil
	c.carriesLocked(s, turn)
	t.leaveBelowLocked(s)
	t.group.Go(func() { c.say(frame); old.finish() })
	return true
}

// leaveBelowLocked discounts a session that began on a stream.
func (t *Tunnel) leaveBelowLocked(s *session) {
	if s.below != nil {
		s.below.below--
		s.below = nil
	}
}

// move takes a session to a lane of which the peer does not know yet, and returns its carrier until now with what asks the
// peer; nil when it stays: it is looking for a carrier, is about to end, or the peer has not said anything yet.
func (s *session) move(c *carrier, turn byte) (*carrier, []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.carrier
	if old == nil || old.isLane() || s.over || s.due.any() || !s.heard {
		return nil, nil
	}
	s.carrier, s.turn, s.asking = c, turn, true
	return old, s.questionLocked(turn)
}
