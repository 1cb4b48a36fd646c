package swim

import (
	"time"

	micronet "github.com/micro/micro-net"
)

const (
	// defencesPerSecond bounds the alive messages that are sent to those who accuse us.
	defencesPerSecond = 32
	// refuteWithin is how long memberlist has to spread a refutation once we are accused.
	refuteWithin = 500 * time.Millisecond
)

// defence watches that accusations against us are refuted. Two things go wrong in memberlist:
//
//   - An accusation of a former incarnation is ignored, as a newer one has been spread already;
//     but who still accuses has not heard of that, and may not before its suspicion ends in a
//     verdict. It is answered with our newest alive message.
//   - A refutation is lost in memberlist's queue before it is sent even once: when the only
//     message that waits is replaced, and another one of the same length comes in, that one
//     takes its place (queue.go numbers anew when the queue is empty for a moment). Without a
//     remedy this was every false death at 30 % packet loss. If accusations go on, our alive
//     message is announced again, with a newer incarnation.
//
// It is a pure core; Swim guards it.
type defence struct {
	incarnation uint32
	alive       []byte // our newest alive message, as a packet; nil before it was sent once
	second      time.Time
	count       int
	accused     uint32 // the accusation that memberlist has to refute, and since when
	since       time.Time
}

// keep remembers an alive message about ourselves.
func (d *defence) keep(incarnation uint32, body []byte) {
	if incarnation > d.incarnation {
		d.incarnation = incarnation
		d.alive = append([]byte{kindAlive}, body...)
	}
}

// answer returns the packet that refutes an accusation, nil when memberlist will do it, and
// whether memberlist failed to and has to be told.
func (d *defence) answer(now time.Time, accused uint32) (packet []byte, announce bool) {
	if accused >= d.incarnation {
		return nil, d.overdue(now, accused)
	}
	if now.Sub(d.second) >= time.Second {
		d.second, d.count = now, 0
	}
	if d.count++; d.count > defencesPerSecond {
		return nil, false
	}
	return d.alive, false
}

func (d *defence) overdue(now time.Time, accused uint32) bool {
	if accused != d.accused {
		d.accused, d.since = accused, now
		return false
	}
	if now.Sub(d.since) < refuteWithin {
		return false
	}
	d.since = now
	return true
}

// defend reacts to an accusation against us.
func (s *Swim) defend(now time.Time, accuser micronet.NodeID, c claim) {
	var packet []byte
	var announce bool
	s.locked(func() { packet, announce = s.defence.answer(now, c.incarnation) })
	if announce {
		s.wake()
	}
	if packet == nil {
		return
	}
	if err := s.config.Transport.Send(accuser, packet); err != nil {
		s.dropped("send", accuser)
	}
}
