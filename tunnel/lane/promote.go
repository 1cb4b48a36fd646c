package lane

import (
	"context"
	"io"
	"slices"
	"time"

	"github.com/micro/micro-net/tunnel"
)

// beginBelow begins a session over a stream, until there is a lane for it.
func (t *Tunnel) beginBelow(ctx context.Context, s *session) error {
	out, err := t.below.Open(ctx, s.peer, tunnel.Opening{Purpose: tunnel.PurposeCarrier})
	if err != nil {
		return err
	}
	c := newCarrier(t, s.peer, out, nil, true, out.Abort)
	t.mu.Lock()
	running := t.running
	if running {
		t.keepLocked(c)
	}
	t.mu.Unlock()
	if !running {
		out.Abort()
		return notRunning("tunnel.open")
	}
	t.begin(s, c)
	t.spawn(func() {
		c.read(&reading{in: out})
		t.lose(c)
	})
	t.await(s)
	return nil
}

// await has a session that is on a stream wait for a lane.
func (t *Tunnel) await(s *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l := t.peers[s.peer]; l != nil && t.sessions[s.key] == s && !s.waits {
		s.waits = true
		l.waiting = append(l.waiting, s)
		t.promoteLocked(l, time.Now())
	}
}

// promoteLocked gives lanes that nobody uses to sessions that wait for one, once the path has been near for a while.
func (t *Tunnel) promoteLocked(l *lanes, now time.Time) {
	if !l.quick || now.Sub(l.since) < settled || !t.running {
		return
	}
	l.waiting = slices.DeleteFunc(l.waiting, func(s *session) bool {
		if t.sessions[s.key] != s {
			return true // it is over
		}
		if len(l.idle) > 0 && t.promoteOneLocked(l, s, now) {
			s.waits = false
		}
		return !s.waits
	})
}

// promoteOneLocked takes one session to a lane, unless it cannot move now.
func (t *Tunnel) promoteOneLocked(l *lanes, s *session, now time.Time) bool {
	c := l.take(now)
	if c == nil {
		return false
	}
	old := s.move(c, c.turn+1)
	if old == nil {
		l.busy--
		l.idle = append(l.idle, c)
		return false
	}
	old.session = nil
	c.session, c.turn, c.used = s, c.turn+1, now
	t.group.Go(func() { t.promote(s, c, old) })
	return true
}

// move takes a session to a lane of which the peer does not know yet, and returns its carrier until now; nil when it stays:
// it is looking for a carrier, or the peer has not said anything yet.
func (s *session) move(c *carrier, turn byte) *carrier {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.carrier
	if old == nil || old.isLane() || s.over || s.due.open || s.due.reset || !s.heard {
		return nil
	}
	s.carrier, s.turn, s.asking = c, turn, true
	return old
}

// promote asks the peer to go on with a session over a lane. Its answer comes to the reader of the lane.
func (t *Tunnel) promote(s *session, c, old *carrier) {
	frame, ok := s.question(c.turnNow())
	if ok {
		c.say(frame)
	} else {
		t.complete(s, c, false)
	}
	old.end()
}

func (c *carrier) turnNow() byte {
	c.t.mu.Lock()
	defer c.t.mu.Unlock()
	return c.turn
}

// promoted takes the peer's answer.
func (t *Tunnel) promoted(c *carrier, h header, r *reading) error {
	b := r.scratch[headerSize : headerSize+h.length]
	if _, err := io.ReadFull(r.in, b); err != nil {
		return err
	}
	s := t.sessionOn(c, h.turn)
	if s == nil || !s.stopAsking(c) {
		return nil
	}
	over := true
	if h.kind == kindResumed {
		_, over = t.goOn(s, c, h, number(b))
	} else {
		_, over = t.isGone(s, c, b[0], number(b[1:]))
	}
	if over {
		t.complete(s, c, false)
		return nil
	}
	t.spawn(s.push)
	return nil
}

// stopAsking reports whether an answer was waited for on that carrier.
func (s *session) stopAsking(c *carrier) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asking && s.carrier == c
	s.asking = s.asking && !asked
	return asked
}
