package swim

import (
	"encoding/binary"
	"time"
)

const (
	// accuseInterval is the time between two rounds of telling suspects that they are.
	accuseInterval = 500 * time.Millisecond
	// maxAccused bounds the suspects that are told per round; they are drawn at random.
	maxAccused = 3
)

// accusation is what a suspect has to refute.
type accusation struct {
	life        life
	incarnation uint32
}

// accuse tells suspects that they are suspected. memberlist tells them within the first second
// by gossip, and then only with its next probe, which may be later than the verdict: a host that
// was cut off for two seconds would learn of it when it is dead already.
func (s *Swim) accuse() {
	if !s.suspects.Load() {
		return
	}
	s.mu.Lock()
	accused := s.table.accused()
	s.rng.Shuffle(len(accused), func(i, j int) { accused[i], accused[j] = accused[j], accused[i] })
	s.mu.Unlock()
	for _, a := range accused[:min(maxAccused, len(accused))] {
		if err := s.config.Transport.Send(a.life.id, a.message(s.name)); err != nil {
			s.dropped("send", a.life.id)
		}
	}
}

// message encodes memberlist's suspect message: type, and a msgpack map of three fields.
func (a accusation) message(from []byte) []byte {
	b := []byte{kindSuspect, 0x80 | 3}
	b = appendText(b, []byte("Incarnation"))
	b = binary.BigEndian.AppendUint32(append(b, 0xce), a.incarnation)
	b = appendText(b, []byte("Node"))
	b = appendText(b, []byte(a.life.String()))
	b = appendText(b, []byte("From"))
	return appendText(b, from)
}

// appendText appends a msgpack string in the raw 16 form, which all versions of the format read.
func appendText(b, text []byte) []byte {
	b = binary.BigEndian.AppendUint16(append(b, 0xda), uint16(len(text)))
	return append(b, text...)
}
