package swim

import (
	"time"

	micronet "github.com/micro/micro-net"
)

// defencesPerSecond bounds the alive messages that are sent to those who accuse us.
const defencesPerSecond = 32

// defence is what refutes accusations of former incarnations. memberlist ignores such an
// accusation, because it has spread a newer incarnation already; but who still accuses has not
// heard of that, and may not before its suspicion ends in a verdict. It is a pure core; Swim
// guards it.
type defence struct {
	incarnation uint32
	alive       []byte // our newest alive message, as a packet; nil before it was sent once
	second      time.Time
	count       int
}

// keep remembers an alive message about ourselves.
func (d *defence) keep(incarnation uint32, body []byte) {
	if incarnation > d.incarnation {
		d.incarnation = incarnation
		d.alive = append([]byte{kindAlive}, body...)
	}
}

// answer returns the packet that refutes an accusation, nil when memberlist will do it.
func (d *defence) answer(now time.Time, accused uint32) []byte {
	if accused >= d.incarnation || d.alive == nil {
		return nil
	}
	if now.Sub(d.second) >= time.Second {
		d.second, d.count = now, 0
	}
	if d.count++; d.count > defencesPerSecond {
		return nil
	}
	return d.alive
}

// defend answers who accuses us of a former incarnation.
func (s *Swim) defend(now time.Time, accuser micronet.NodeID, c claim) {
	s.mu.Lock()
	packet := s.defence.answer(now, c.incarnation)
	s.mu.Unlock()
	if packet == nil {
		return
	}
	if err := s.config.Transport.Send(accuser, packet); err != nil {
		s.dropped("send", accuser)
	}
}
