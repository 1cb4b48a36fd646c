package lane

import (
	"context"
	"io"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
)

// resume finds another carrier for a session that this node has opened, and reads it to its end. The session has ended when
// there is none within resumeTime.
func (t *Tunnel) resume(s *session) {
	until := time.Now().Add(resumeTime)
	for time.Now().Before(until) && t.ctx.Err() == nil {
		c, r, ok := t.ask(s, until)
		switch {
		case c != nil:
			c.read(r)
			t.lose(c)
			return
		case ok:
			return // it is over
		}
		pause(t.ctx, resumePace)
	}
	err := micronet.E("tunnel.stream", micronet.Unreachable, "the peer fell silent").WithPeer(s.peer)
	s.breakWith(err, err)
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// ask asks the peer over a stream to go on with a session. It returns the carrier when the peer does, and true when the
// session is over instead.
func (t *Tunnel) ask(s *session, until time.Time) (*carrier, *reading, bool) {
	ctx, cancel := context.WithDeadline(t.ctx, until)
	defer cancel()
	out, err := t.below.Open(ctx, s.peer, tunnel.Opening{Purpose: tunnel.PurposeCarrier})
	if err != nil {
		return nil, nil, false
	}
	c := newCarrier(t, s.peer, out, nil, true, out.Abort)
	t.mu.Lock()
	t.keepLocked(c)
	t.mu.Unlock()
	drop := context.AfterFunc(t.ctx, c.end)
	frame, ok := s.question(1)
	if !ok {
		drop()
		t.lose(c)
		return nil, nil, true
	}
	c.say(frame)
	r := &reading{in: out}
	went, over := false, false
	if out.SetReadDeadline(time.Now().Add(wordTime)) == nil {
		went, over = t.answered(s, c, r)
	}
	drop()
	if !went || out.SetReadDeadline(time.Time{}) != nil {
		t.lose(c)
		return nil, nil, over
	}
	s.push()
	t.await(s)
	return c, r, false
}

// question is the frame with which a session goes on elsewhere; false when it is over.
func (s *session) question(turn byte) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return nil, false
	}
	s.in.told = s.in.consumed
	return resumeFrame(turn, s.id, s.in.received, s.in.consumed), true
}

// answered reads the peer's answer. went: the session goes on; over: it has ended.
func (t *Tunnel) answered(s *session, c *carrier, r *reading) (went, over bool) {
	for {
		h, err := readHeader(r.in, r.scratch[:headerSize])
		if err != nil {
			return false, false
		}
		c.heard.Store(int64(time.Since(c.since)))
		switch h.kind {
		case kindHello:
			if c.greeted(r) != nil {
				return false, false
			}
			continue
		case kindResumed:
			if _, err := io.ReadFull(r.in, r.scratch[:8]); err != nil {
				return false, false
			}
			return t.goOn(s, c, h, number(r.scratch[:8]))
		case kindGone:
			if _, err := io.ReadFull(r.in, r.scratch[:goneSize]); err != nil {
				return false, false
			}
			return t.isGone(s, c, r.scratch[0], number(r.scratch[1:]))
		}
		return false, false
	}
}

// goOn joins a session with its new carrier: the peer has received so many of its bytes.
func (t *Tunnel) goOn(s *session, c *carrier, h header, received uint64) (went, over bool) {
	s.mu.Lock()
	ok := !s.over && s.out.rewind(received) && s.out.acknowledge(widen(s.out.base, h.ack))
	s.heard = true
	s.due.open = false
	s.writable.Broadcast()
	s.mu.Unlock()
	if !ok {
		s.end(tunnel.ResetError("tunnel.stream", s.peer, "the peer lost what was sent"))
		return false, true
	}
	t.mu.Lock()
	t.useLocked(s, c, h.turn)
	t.mu.Unlock()
	return true, false
}

// isGone: the peer has no such session. One that it has not seen begin begins now, if it is still the same life.
func (t *Tunnel) isGone(s *session, c *carrier, was byte, life uint64) (went, over bool) {
	s.mu.Lock()
	fresh := was == neverWas && s.life != 0 && life == s.life && !s.heard && s.out.base == 0 && s.out.rewind(0)
	whole := was == endedWell && s.in.fin
	s.due.open = fresh
	s.mu.Unlock()
	if fresh {
		t.mu.Lock()
		t.useLocked(s, c, 1)
		t.mu.Unlock()
		return true, false
	}
	if whole {
		s.end(nil)
	} else {
		s.end(tunnel.ResetError("tunnel.stream", s.peer, ""))
	}
	return false, true
}

// end breaks the session with an error for both sides.
func (s *session) end(err error) {
	if err == nil {
		s.breakWith(io.EOF, s.closedHere("tunnel.write"))
		return
	}
	s.breakWith(err, err)
}

// resumed goes on with a session of a peer over another carrier.
func (t *Tunnel) resumed(c *carrier, h header, r *reading) error {
	b := r.scratch[:resumeSize]
	if _, err := io.ReadFull(r.in, b); err != nil {
		return err
	}
	if c.ours {
		return badFrame("a session was gone on with from the wrong side")
	}
	k := key{peer: c.peer, id: sessionID(b)}
	t.mu.Lock()
	s, was := t.sessions[k], t.past.of[k]
	t.mu.Unlock()
	if s == nil || !t.moveTo(s, c, h, number(b[len(k.id):])) {
		t.spawn(func() { c.say(goneFrame(h.turn, was, t.life)) })
		return nil
	}
	t.counts.moved.Add(1)
	t.spawn(s.push)
	return nil
}

// moveTo takes a session to another carrier; false when it cannot go on.
func (t *Tunnel) moveTo(s *session, c *carrier, h header, received uint64) bool {
	s.mu.Lock()
	old := s.carrier
	s.carrier = nil
	ok := !s.over && s.out.rewind(received) && s.out.acknowledge(widen(s.out.base, h.ack))
	if ok {
		s.due.resumed = true
		s.in.told = s.in.consumed
		s.writable.Broadcast()
	}
	s.mu.Unlock()
	t.mu.Lock()
	if old != nil && old.session == s {
		old.session = nil
	}
	if ok {
		t.useLocked(s, c, h.turn)
	}
	t.mu.Unlock()
	if old != nil {
		old.end() // the peer has given it up
	}
	return ok
}
