package netsim

import "time"

// slowMax is how many packets wait for a slow host, in and out together. More is dropped, but
// for what has arrived of streams, which is bounded by their windows.
const slowMax = 1024

// worker is the processor of a host, as far as the network sees it: it takes packets one after
// the other, in and out, each for the same time.
type worker struct {
	service time.Duration // per packet; 0: as fast as can be
	free    time.Duration // when all that waits will be done
}

// Slow makes the host slow: it handles at most one packet, in or out, per base × factor, and
// packets queue up for it. base is what a packet costs a host of usual speed, some microseconds.
// A factor of 0 makes it fast again, once the queue is done. It lasts across crashes.
func (h *Host) Slow(factor float64, base time.Duration) {
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	h.worker.service = max(0, time.Duration(factor*float64(base)))
}

// fullLocked reports whether too many packets wait.
func (k *worker) fullLocked(now time.Duration) bool {
	return k.service > 0 && (k.free-now)/k.service >= slowMax
}

// workLocked queues a packet and returns how long it takes until it is done. Packets leave in
// the order in which they came, also when the speed changes meanwhile.
func (k *worker) workLocked(now time.Duration) time.Duration {
	if k.service == 0 && k.free <= now {
		return 0
	}
	k.free = max(k.free, now) + k.service
	return k.free - now
}
