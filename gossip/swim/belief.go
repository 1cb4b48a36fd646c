package swim

import (
	"bytes"
	"time"
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
		if err == nil {
			s.believe(c)
		}
		return err
	})
	if err != nil {
		s.reporter.report("swim.observe", err)
	}
}

func (s *Swim) believe(c claim) {
	if bytes.Equal(c.node, s.name) {
		s.checkIncarnation(c)
		return
	}
	l, err := parseLife(string(c.node))
	if err != nil {
		return
	}
	now := time.Now()
	s.mu.Lock()
	changed := s.table.believed(now, l, c)
	s.mu.Unlock()
	s.changed(changed)
}

// checkIncarnation notices that our own incarnation nears its end or has wrapped: refuting the
// highest possible accusation makes it 0, and nobody believes us any more.
func (s *Swim) checkIncarnation(c claim) {
	if c.kind != kindAlive || c.incarnation > 0 && c.incarnation <= maxIncarnation {
		return
	}
	if s.poisoned.CompareAndSwap(false, true) && s.config.Poisoned != nil {
		s.config.Poisoned()
	}
}

// inspect reads a packet from a peer before memberlist does. It refuses what no honest member
// sends, and notes goodbyes, so that who leaves is not shown as dead first.
func (s *Swim) inspect(packet []byte) error {
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
		if c.isGoodbye() {
			s.noteGoodbye(c)
		}
		return nil
	})
}

func (s *Swim) noteGoodbye(c claim) {
	l, err := parseLife(string(c.node))
	if err != nil {
		return
	}
	s.mu.Lock()
	s.table.heardGoodbye(time.Now(), l)
	s.mu.Unlock()
}
