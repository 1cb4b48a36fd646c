package netsim

import (
	"math/bits"
	"time"
)

const (
	// Without Link.Queue a bottleneck holds what it carries in queueTime, and queueMin at least:
	// two segments.
	queueTime = 100 * time.Millisecond
	queueMin  = 2 * (segmentMax + 1<<10)

	// mtuEthernet is the size of the packets that segmentation makes of a segment.
	mtuEthernet = 1500

	headerTCP = 20
	sizeICMP  = 56 // IPv4 and ICMP headers, and the beginning of the packet it is about
)

// pipe is the bottleneck of one direction between two hosts, with a queue that drops what does
// not fit (tail drop). Datagrams and segments share it.
type pipe struct {
	free time.Duration // when all that was let in has left
}

// admit lets a packet of so many bytes into a pipe of rate bytes per second, and returns how long
// it takes until its last byte has left. When the queue, of limit bytes, is full it returns false
// and how long the queue takes to drain. A packet that finds the pipe empty always fits.
func (q *pipe) admit(now time.Duration, size, rate, limit int) (time.Duration, bool) {
	if q.free > now && carried(q.free-now, rate)+size > limit {
		return q.free - now, false
	}
	q.free = max(q.free, now) + (time.Duration(size)*time.Second+time.Duration(rate)-1)/time.Duration(rate)
	return q.free - now, true
}

// carried returns how many bytes a rate in bytes per second carries in d.
func carried(d time.Duration, rate int) int {
	high, low := bits.Mul64(uint64(d), uint64(rate))
	n, _ := bits.Div64(high, low, uint64(time.Second))
	return int(n)
}

// queueBytes is the size of the link's queue.
func (l Link) queueBytes() int {
	if l.Queue > 0 {
		return l.Queue
	}
	return max(queueMin, carried(queueTime, l.Bandwidth))
}

func (w *World) pipeLocked(d direction) *pipe {
	q := w.pipes[d]
	if q == nil {
		q = &pipe{}
		w.pipes[d] = q
	}
	return q
}

// bytes is what the packet takes of a bandwidth: payload and headers, for a segment those of all
// the packets that it is cut into.
func (p *packet) bytes() int {
	switch p.proto {
	case UDP:
		return p.wireSize()
	case ICMP:
		return sizeICMP
	case Unix:
		return p.size
	}
	headers := headersIPv6 + headerTCP
	if p.dst.Addr().Is4() {
		headers = headersIPv4 + headerTCP
	}
	payload := mtuEthernet - headers
	return p.size + headers*max(1, (p.size+payload-1)/payload)
}
