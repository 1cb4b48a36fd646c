package router

import (
	"math/bits"
	"math/rand/v2"
	"sync/atomic"
)

// dice is a stream of random numbers for many goroutines without a lock: the n-th number is a
// hash of seed and n (SplitMix64, Steele et al., OOPSLA 2014). One goroutine with one seed
// always sees the same numbers.
type dice struct {
	seed uint64
	n    atomic.Uint64
}

const golden = 0x9e3779b97f4a7c15

func (d *dice) start(r *rand.Rand) {
	if r != nil {
		d.seed = r.Uint64()
	}
}

func (d *dice) roll() roll { return roll(d.seed + d.n.Add(1)*golden*golden) }

// roll is the state of one decision, which may draw several numbers.
type roll uint64

func (r *roll) next() uint64 {
	*r += golden
	z := uint64(*r)
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	return z ^ (z >> 31)
}

// below returns a number in [0, n), 0 for 0. The bias of at most n/2⁶⁴ is far below what the
// sums of weights here can show.
func (r *roll) below(n uint64) uint64 {
	hi, _ := bits.Mul64(r.next(), n)
	return hi
}

// unit returns a number in [0, 1).
func (r *roll) unit() float64 { return float64(r.next()>>11) / (1 << 53) }
