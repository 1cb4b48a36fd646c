package netsim

import "time"

const (
	// burstSlots is how many slots of time a bad spell lasts in the mean, where spells are
	// measured in time.
	burstSlots = 16

	// burstPacketsMax bounds Burst.Packets, and so the work of finding a packet's state.
	burstPacketsMax = 10_000
)

// Burst is loss in bad spells: a chain of two states, a good one without loss and a bad one
// (Gilbert, Capacity of a burst-noise channel, 1960; Elliott, Estimates of error rates for codes
// on burst-noise channels, 1963). The zero Burst has no bad spells.
type Burst struct {
	Share   float64       // of all packets, or of all time, that is bad, 0 to 1
	Packets float64       // mean length of a bad spell in packets of the path; at least 1/(1-Share), at most 10,000
	Time    time.Duration // mean length of a bad spell, when set: then datagrams and streams meet the same spells
	Loss    float64       // share of packets lost in a bad spell, 0 to 1; 0: all of them
}

// loses reports whether the packet that h stands for is lost in a bad spell. spells names the
// path's chain, number counts its packets.
func (b Burst) loses(h, spells, number uint64, now time.Duration) bool {
	switch {
	case b.Share <= 0 || b.Loss > 0 && share(h, drawBurst) >= b.Loss:
		return false
	case b.Time > 0:
		slot := max(1, b.Time/burstSlots)
		return b.bad(spells, uint64(now/slot), burstSlots)
	}
	return b.bad(spells, number, min(b.Packets, burstPacketsMax))
}

// bad reports whether the n-th slot of a chain is bad, when spells last mean slots.
//
// Each slot draws one number u. The chain enters the bad state with a probability e and leaves it
// with l. With u < e the slot is bad and with u >= 1-l it is good, whatever was before; otherwise
// it is as the one before. So the state is found by looking back to the last slot that decides,
// about mean × (1-Share) slots, and nothing has to be remembered.
func (b Burst) bad(h, n uint64, mean float64) bool {
	if b.Share >= 1 {
		return true
	}
	leave := 1 / max(mean, 1/(1-b.Share))
	enter := leave * b.Share / (1 - b.Share)
	for ; n > 0; n-- {
		u := share(h, n)
		if u < enter || u >= 1-leave {
			return u < enter
		}
	}
	return share(h, 0) < b.Share
}
