package lane

import (
	"context"
	"io"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
)

// resume finds another carrier for a session that this node has opened. The session has ended when there is none within
// resumeTime, or when no byte gets on for as long over any that is found.
func (t *Tunnel) resume(s *session) {
	until, again := s.lostUntil()
	if again {
		micronet.Pause(t.ctx, resumePace)
	}
	for time.Now().Before(until) && !s.isOver() {
		if t.ctx.Err() != nil || t.ask(s, until) {
			return // stop ends it, or it goes on
		}
		micronet.Pause(t.ctx, resumePace)
	}
	s.end(micronet.E("tunnel.stream", micronet.Unreachable, "the peer fell silent").WithPeer(s.peer))
}

// lostUntil is until when a carrier is looked for, and whether one was found since the last byte got on.
func (s *session) lostUntil() (until time.Time, again bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	again = s.again
	s.again = true
	return s.lost.Add(resumeTime), again
}

func (s *session) isOver() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over
}

// ask asks the peer over a stream to go on with a session, and reads that to its end when the peer does; false when it is to
// be asked again.
func (t *Tunnel) ask(s *session, until time.Time) bool {
	ctx, cancel := context.WithDeadline(t.ctx, until)
	defer cancel()
	out, err := t.below.Open(ctx, s.peer, tunnel.Opening{Purpose: tunnel.PurposeCarrier})
	if err != nil {
		return false
	}
	c := newStream(t, s.peer, out, true)
	if !t.askOver(s, c) {
		out.Abort()
		return true // it has ended meanwhile
	}
	late := time.AfterFunc(min(wordTime, time.Until(until)), func() {
		if s.stillAsks(c) {
			c.end()
		}
	})
	defer late.Stop()
	c.read(&reading{in: out})
	t.lose(c) // looks for another one, if need be
	return true
}

// askOver sends the question.
func (t *Tunnel) askOver(s *session, c *carrier) bool {
	t.mu.Lock()
	s.mu.Lock()
	var frame []byte
	if t.running && !s.over && s.carrier == nil {
		s.carrier, s.turn, s.asking = c, 1, true
		frame = s.questionLocked(1)
		t.keepLocked(c)
		c.carriesLocked(s, 1)
	}
	s.mu.Unlock()
	t.mu.Unlock()
	if frame != nil {
		c.say(frame)
	}
	return frame != nil
}

// questionLocked is the frame with which a session goes on elsewhere. The caller holds mu.
func (s *session) questionLocked(turn byte) []byte {
	s.in.told = s.in.consumed
	s.moves++
	return resumption{s.id, s.in.received, s.moves}.frame(turn, s.in.consumed)
}

func (s *session) stillAsks(c *carrier) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asking && s.carrier == c
}

// answered takes the peer's answer to the question whether a session goes on over this carrier.
func (t *Tunnel) answered(c *carrier, h header, r *reading) error {
	b, err := r.few(h.length)
	if err != nil {
		return err
	}
	s := t.sessionOn(c, h.turn)
	if s == nil {
		return nil // it has ended meanwhile
	}
	if !s.stillAsks(c) {
		return badFrame("an answer to nothing")
	}
	if h.kind == kindResumed {
		err = s.goOn(c, h, number(b))
	} else {
		err = s.isGone(b[0], number(b[1:]))
	}
	if err != nil {
		s.end(err)
		t.complete(s, c, false)
		return nil
	}
	if !c.isLane() {
		t.await(s)
	}
	t.spawn(s.push)
	return nil
}

// goOn: the peer has so many of the session's bytes, and wants the rest here.
func (s *session) goOn(c *carrier, h header, received uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asking, s.heard, s.due.open = false, true, false
	if s.over || s.carrier != c || !s.out.rewind(received) || !s.out.acknowledge(widen(s.out.base, h.ack)) {
		return tunnel.ResetError("tunnel.stream", s.peer, "the peer lost what was sent")
	}
	s.writable.Broadcast()
	return nil
}

// isGone: the peer has no such session. One that it has not seen begin begins now, if it is still the same life.
func (s *session) isGone(was byte, life uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.over:
		return tunnel.ResetError("tunnel.stream", s.peer, "")
	case was == neverWas && s.life != 0 && life == s.life && !s.heard && s.out.base == 0 && s.out.rewind(0):
		s.asking, s.due.open = false, true
		return nil
	case was == endedWell && s.in.fin:
		return s.closedHere("tunnel.stream")
	}
	return tunnel.ResetError("tunnel.stream", s.peer, "")
}

// end breaks the session with an error for both sides.
func (s *session) end(err error) { s.breakWith(err, err) }

// resumed goes on with a session of a peer over another carrier.
func (t *Tunnel) resumed(c *carrier, h header, r *reading) error {
	b, err := r.few(resumeSize)
	if err != nil {
		return err
	}
	if c.ours {
		return badFrame("a session was gone on with from the wrong side")
	}
	q := parseResumption(b)
	k := key{peer: c.peer, id: q.id}
	t.mu.Lock()
	s, was := t.sessions[k], t.past.was(k, time.Now())
	t.mu.Unlock()
	if s == nil {
		c.utter(goneFrame(h.turn, was, t.life))
		return nil
	}
	switch t.moveTo(s, c, h, q) {
	case moved:
		t.counts.moved.Add(1)
		t.spawn(s.push)
	case cannot:
		s.end(tunnel.ResetError("tunnel.stream", s.peer, ""))
		c.utter(goneFrame(h.turn, endedBadly, t.life))
	case tooLate:
		return io.EOF // the peer has given this carrier up
	}
	return nil
}

// moving is how a move went.
type moving int

const (
	moved   moving = iota
	cannot         // what is to be sent again is not there
	tooLate        // the session has moved on
)

// moveTo takes a session to another carrier.
func (t *Tunnel) moveTo(s *session, c *carrier, h header, q resumption) moving {
	t.mu.Lock()
	old, how := s.moveLocked(q, h)
	var loser *session
	if how == moved {
		if old != nil && old.session == s {
			old.session = nil
		}
		loser = t.joinLocked(s, c, h.turn)
	}
	t.mu.Unlock()
	if how == moved && old != nil {
		old.end() // the peer has given it up
	}
	loser.superseded()
	return how
}

// moveLocked takes a session off its carrier, to go on with what the peer lacks. The caller holds Tunnel.mu.
func (s *session) moveLocked(q resumption, h header) (*carrier, moving) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case q.move <= s.moves:
		return nil, tooLate
	case s.over || !s.out.rewind(q.received) || !s.out.acknowledge(widen(s.out.base, h.ack)):
		return nil, cannot
	}
	old := s.carrier
	s.moves = q.move
	s.looseLocked()
	s.due.resumed = true
	s.in.told = s.in.consumed
	s.writable.Broadcast()
	return old, moved
}

// superseded ends a session whose carrier its peer uses for another one: that has given it up.
func (s *session) superseded() {
	if s != nil {
		s.end(tunnel.ResetError("tunnel.stream", s.peer, ""))
	}
}
