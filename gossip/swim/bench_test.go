package swim

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/micro/micro-net/gossip/gossiptest"
)

// filled returns a Swim that is not running but knows n members.
func filled(n int) *Swim {
	s := New(Config{Self: testID(0), Epoch: 1, Delegate: &gossiptest.Delegate{}, Transport: port{}})
	for i := range n {
		s.table.join(time.Now(), life{testID(i + 1), 1}, make([]byte, 420))
	}
	return s
}

// compound is a full packet as gossip sends it in a storm of suspicions.
func compound(b *testing.B) []byte {
	msg := encode(b, kindSuspect, claimMessage{7, life{testID(5), 1}.String(), life{testID(6), 1}.String()})
	const count = 5
	packet := []byte{kindCompound, count}
	for range count {
		packet = binary.BigEndian.AppendUint16(packet, uint16(len(msg)))
	}
	for range count {
		packet = append(packet, msg...)
	}
	return packet
}

func BenchmarkInspect(b *testing.B) {
	s, packet := filled(100), compound(b)
	b.ReportAllocs()
	for b.Loop() {
		if err := s.inspect(time.Now(), testID(6), packet); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkObserveSuspicions(b *testing.B) {
	s, packet := filled(100), compound(b)
	b.ReportAllocs()
	for b.Loop() {
		s.observe(packet)
	}
}

func BenchmarkObserveAlive(b *testing.B) {
	s := filled(100)
	a := aliveOf(life{testID(5), 1})
	a.Meta = make([]byte, 420)
	packet := encode(b, kindAlive, a)
	b.ReportAllocs()
	for b.Loop() {
		s.observe(packet)
	}
}

func BenchmarkMembers100(b *testing.B) {
	s := filled(100)
	b.ReportAllocs()
	for b.Loop() {
		s.Members()
	}
}
