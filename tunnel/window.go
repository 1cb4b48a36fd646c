package tunnel

// windowSize is how far, in counters, a frame may arrive behind the newest of its session.
// Gossip bursts hold tens of packets and reordering spans milliseconds; 256 bytes per peer pay
// for a margin of an order of magnitude. Envelopes of bulk over a relay, 30,000 a second, leave 70 ms.
const windowSize = 2048

// window remembers which counters of one session were seen (RFC 4303 section 3.4.3 describes
// the technique). Bit counter mod windowSize stands for that counter. The zero window has seen
// nothing.
type window struct {
	highest uint64
	floor   uint64 // counters below are refused
	bits    [windowSize / 64]uint64
}

// accept reports whether counter is new, and remembers it. Counter 0 is never used.
func (w *window) accept(counter uint64) bool {
	if counter == 0 || counter < w.floor {
		return false
	}
	if counter > w.highest {
		w.advance(counter)
		w.set(counter)
		return true
	}
	if w.highest-counter >= windowSize || w.has(counter) {
		return false
	}
	w.set(counter)
	return true
}

func (w *window) advance(to uint64) {
	if to-w.highest >= windowSize {
		w.bits = [windowSize / 64]uint64{}
	} else {
		for c := w.highest + 1; c <= to; c++ {
			w.bits[c%windowSize/64] &^= 1 << (c % 64)
		}
	}
	w.highest = to
}

func (w *window) set(c uint64)      { w.bits[c%windowSize/64] |= 1 << (c % 64) }
func (w *window) has(c uint64) bool { return w.bits[c%windowSize/64]&(1<<(c%64)) != 0 }
