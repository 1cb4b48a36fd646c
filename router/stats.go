package router

import (
	"math"
	"sync/atomic"
	"time"

	micronet "github.com/micro/micro-net"
)

// stats is what this node has seen of one instance. It outlives the tables that point to it.
//
// Pick reads the atomics without a lock; they may belong to different moments, which costs at
// most one choice that is slightly off.
type stats struct {
	inFlight atomic.Int64
	pulse    atomic.Uint64 // average latency and when it was taken, see pack
	until    atomic.Int64  // ejected until then, Unix nanoseconds; 0: not ejected
	moved    atomic.Int64  // when packets began to take the way they take, Unix nanoseconds; 0: always have

	// guarded by Router.mu
	strikes int   // ejections in a row
	struck  int64 // when the last one began, Unix nanoseconds
	seen    int64 // when a table last held the instance, Unix nanoseconds
	way     way
}

// way is what packets to an instance take.
type way struct {
	path      micronet.PathKind
	transport micronet.TransportKind
	relay     micronet.NodeID
}

func wayOf(r *micronet.Route) way { return way{r.Path, r.Transport, r.Relay} }

// followLocked forgets the latency when packets take another way: it has the round trips of the former one
// in it, and those of calls that were under way have the change as well.
func (s *stats) followLocked(nanos int64, to way) {
	if s.way == to {
		return
	}
	if s.way != (way{}) {
		s.moved.Store(nanos)
		s.pulse.Store(0)
	}
	s.way = to
}

// tickBits makes a tick of 2^20 ns, about a millisecond. 32 bits of ticks are 52 days; of an
// age beyond half of that only the sign is wrong, and a negative age counts as none.
const tickBits = 20

// pack puts an average (float32 nanoseconds) and its tick into one word, so that both change
// together.
func pack(latency float64, nanos int64) uint64 {
	return uint64(math.Float32bits(float32(latency)))<<32 | uint64(uint32(nanos>>tickBits))
}

func unpack(word uint64, nanos int64) (latency float64, age time.Duration) {
	ticks := int32(uint32(nanos>>tickBits) - uint32(word))
	return float64(math.Float32frombits(uint32(word >> 32))), time.Duration(ticks) << tickBits
}

// latency returns the expected latency in nanoseconds.
func (s *stats) latency(nanos int64) float64 {
	word := s.pulse.Load()
	if word == 0 {
		return unknownLatency
	}
	average, age := unpack(word, nanos)
	return math.Max(average*fade(age), latencyFloor)
}

func (s *stats) observe(nanos int64, sample time.Duration) {
	for {
		old := s.pulse.Load()
		average, age := unpack(old, nanos)
		next := pack(peakEWMA(average, float64(sample), age), nanos)
		if s.pulse.CompareAndSwap(old, next) {
			return
		}
	}
}

func (s *stats) ejected(nanos int64) bool { return s.until.Load() > nanos }
