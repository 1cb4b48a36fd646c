package swim

import (
	"bytes"
	"time"

	micronet "github.com/micro/micro-net"
)

// observe reads a packet that memberlist is about to send. memberlist spreads every claim that
// it accepted, so what it sends is what it believes: who is suspect, who left rather than
// died, and which incarnation is its own. Its delegates tell none of these.
func (s *Swim) observe(packet []byte) {
	suspects := s.suspects.Load()
	err := walkPacket(packet, func(kind byte, body []byte) error {
		// Alive messages are many and long: they matter only about ourselves, or when they may
		// refute a suspicion.
		if !isClaim(kind) || kind == kindAlive && !suspects && !bytes.Contains(body, s.name) {
			return nil
		}
		c, err := parseClaim(kind, body)
		if err != nil {
			return err
		}
		if bytes.Equal(c.node, s.name) {
			s.ownClaim(c, body)
		} else {
			s.believe(c)
		}
		return nil
	})
	if err != nil {
		s.reporter.report("swim.observe", err)
	}
}

func (s *Swim) believe(c claim) {
	l, err := parseLife(string(c.node))
	if err != nil {
		return
	}
	now := time.Now()
	changed := false
	s.locked(func() { changed = s.table.believed(now, l, c) })
	s.changed(changed)
}

// ownClaim takes what memberlist says of ourselves. It keeps the newest alive message, and
// notices that our incarnation nears its end or has wrapped: refuting the highest possible
// accusation makes it 0, and nobody believes us any more.
func (s *Swim) ownClaim(c claim, body []byte) {
	if c.kind != kindAlive {
		return
	}
	if c.incarnation == 0 || c.incarnation > maxIncarnation {
		if s.poisoned.CompareAndSwap(false, true) && s.config.Poisoned != nil {
			s.config.Poisoned()
		}
		return
	}
	s.locked(func() { s.defence.keep(c.incarnation, body) })
}

// inspect reads a packet from a peer before memberlist does. It refuses what no honest member
// sends, notes goodbyes, so that who leaves is not shown as dead first, and defends us against
// accusations that memberlist takes for settled.
func (s *Swim) inspect(now time.Time, from micronet.NodeID, packet []byte) error {
	return walkPacket(packet, func(kind byte, body []byte) error {
		if !isClaim(kind) {
			return nil
		}
		c, err := parseClaim(kind, body)
		if err != nil {
			return err
		}
		if c.incarnation > maxIncarnation {
			return errIncarnation
		}
		switch {
		case c.isGoodbye():
			s.noteGoodbye(now, c)
		case c.kind == kindSuspect && bytes.Equal(c.node, s.name):
			s.defend(now, from, c)
		case c.kind == kindAlive && s.suspects.Load():
			s.hearSuspect(from, c)
		}
		return nil
	})
}

// hearSuspect takes a suspect's own word for it: memberlist believes it too, but may have done so
// before, and does not spread it again then.
func (s *Swim) hearSuspect(from micronet.NodeID, c claim) {
	if l, err := parseLife(string(c.node)); err == nil && l.id == from {
		s.believe(c)
	}
}

func (s *Swim) noteGoodbye(now time.Time, c claim) {
	l, err := parseLife(string(c.node))
	if err != nil {
		return
	}
	s.locked(func() { s.table.heardGoodbye(now, l) })
}
