package netsim

import (
	"syscall"
	"time"
)

const (
	// windowMax is how many bytes a writer may be ahead of the reader; then Write waits.
	windowMax = 256 << 10

	// segmentMax is the most payload of one segment, as segmentation offload hands it on.
	segmentMax = 16 << 10

	// creditMin is how much a reader takes before it tells the writer. With a quarter of the
	// window the writer never waits for credit that never comes.
	creditMin = windowMax / 4

	// A lost segment is sent again after about two round trips (RFC 8985, tail loss probe), then
	// after retryMin (Linux's minimum of RFC 6298), doubling up to retryMax. After retryTries
	// the connection has timed out, 924.6 s after the probe like Linux with tcp_retries2 = 15.
	probeMin   = 10 * time.Millisecond
	retryMin   = 200 * time.Millisecond
	retryMax   = 120 * time.Second
	retryTries = 17

	// drainMin is the least wait for a full queue.
	drainMin = time.Millisecond
)

// segment is what a stream sends. All kinds keep their order.
type segment struct {
	data   []byte
	end    bool // nothing follows
	credit int  // the reader took so many bytes
}

// inflow is the direction towards the owner.
type inflow struct {
	gate   gate
	chunks [][]byte
	size   int  // bytes in chunks
	taken  int  // bytes read that the writer was not told of
	ended  bool // the peer's end has arrived
}

// outflow is the direction away from the owner.
type outflow struct {
	gate   gate
	unread int           // bytes that the peer has not said it read
	last   time.Duration // when the last segment arrives
	queue  []segment     // waiting behind a lost one, or for the end of a stall; the payload is bounded by windowMax
	tries  int           // of the lost one; 0: nothing was lost
	ended  bool          // the end was sent
}

// retryDelay is the wait before a segment is sent again for the n-th time, n from 1.
func retryDelay(n int, latency time.Duration) time.Duration {
	if n == 1 {
		return max(probeMin, min(4*latency, retryMin))
	}
	if n-2 > 20 {
		return retryMax
	}
	return min(retryMin<<(n-2), retryMax)
}

// sendLocked sends a segment after all that were sent before.
func (c *stream) sendLocked(g segment) {
	switch {
	case c.err != nil || c.aborted || c.st.down:
	case len(c.out.queue) > 0:
		c.out.queue = append(c.out.queue, g)
	case c.st.host.afterStallLocked(c.retryLocked):
		c.out.queue = append(c.out.queue, g)
	default:
		c.tryLocked(g)
	}
}

// tryLocked hands a segment to the network. It returns false when it was lost: it then waits at
// the head of the queue.
func (c *stream) tryLocked(g segment) bool {
	p := c.packetLocked(len(g.data), g.data, func(p *packet) Why { return c.landLocked(p, g) })
	if g.end {
		p.closes = endsItsSide
	}
	at, ok := c.st.w.launchLocked(p)
	if !ok {
		c.stallLocked(g, at)
		return false
	}
	c.out.last = at
	return true
}

// packetLocked makes a packet to the peer.
func (c *stream) packetLocked(size int, data []byte, arrive func(*packet) Why) *packet {
	return &packet{
		proto: c.proto, from: c.st, src: c.src, dst: c.dst, size: size, data: data,
		after: c.out.last, arrive: arrive,
	}
}

// stallLocked keeps a lost segment and everything after it until the next try. One that found a
// full queue waits, at first, until the queue is empty: where a congestion control would arrive at
// in the end, a link that is never idle.
func (c *stream) stallLocked(g segment, drain time.Duration) {
	c.out.queue = append([]segment{g}, c.out.queue...)
	if c.out.tries++; c.out.tries > retryTries {
		c.failLocked(syscall.ETIMEDOUT)
		return
	}
	latency := c.st.w.linkLocked(c.st.host, c.peer.st.host).Latency
	wait := retryDelay(c.out.tries, latency)
	if drain > 0 && c.out.tries == 1 {
		wait = max(drainMin, drain)
	}
	c.st.w.afterLocked(wait, c.retryLocked)
}

// retryLocked sends the queue until something is lost again.
func (c *stream) retryLocked() {
	if c.err != nil || c.aborted || c.st.down || c.st.host.afterStallLocked(c.retryLocked) {
		return
	}
	queue := c.out.queue
	c.out.queue = nil
	for i, g := range queue {
		if !c.tryLocked(g) {
			c.out.queue = append(c.out.queue, queue[i+1:]...)
			return
		}
		c.out.tries = 0
	}
}

// landLocked runs where a segment arrives.
func (c *stream) landLocked(p *packet, g segment) Why {
	o, to := c.peer, p.to
	known := p.src == o.dst && p.dst == o.src // else a NAT has given it another port
	switch {
	case to.stack.down:
		c.lostInFlightLocked(g)
		return WhyDown
	case to != o.st.host || o.st.down || o.aborted || !known:
		c.resetByLocked(p, g)
		return WhyNoSocket
	case o.waiting != nil && !o.admitLocked():
		o.abortLocked()
		return WhyOverflow
	}
	o.receiveLocked(g)
	return ""
}

// lostInFlightLocked treats a segment that met a crashed host as lost: TCP goes on trying until
// the host answers again, with a reset, or time is up.
func (c *stream) lostInFlightLocked(g segment) {
	if c.err != nil || c.aborted || c.st.down {
		return
	}
	if c.out.tries > 0 {
		c.out.queue = append(c.out.queue, g)
		return
	}
	c.stallLocked(g, 0)
}

// resetByLocked makes a host that does not know this connection answer with a reset.
func (c *stream) resetByLocked(p *packet, g segment) {
	if sent := p.answerLocked(endsBoth, c.resetLocked); !sent {
		c.lostInFlightLocked(g)
	}
}

// admitLocked moves a new connection to its listener.
func (c *stream) admitLocked() bool {
	l := c.waiting
	c.waiting = nil
	return l.enqueueLocked(c)
}

// receiveLocked takes a segment in.
func (c *stream) receiveLocked(g segment) {
	if g.credit > 0 {
		c.out.unread -= g.credit
		c.out.gate.wakeLocked()
	}
	if len(g.data) > 0 {
		if c.closed { // nobody will ever read it
			c.abortLocked()
			return
		}
		c.in.chunks = append(c.in.chunks, g.data)
		c.in.size += len(g.data)
	}
	c.in.ended = c.in.ended || g.end
	c.in.gate.wakeLocked()
}

// takeLocked moves what has arrived to b and gives the writer credit.
func (c *stream) takeLocked(b []byte) int {
	n := 0
	for n < len(b) && len(c.in.chunks) > 0 {
		k := copy(b[n:], c.in.chunks[0])
		n += k
		if c.in.chunks[0] = c.in.chunks[0][k:]; len(c.in.chunks[0]) == 0 {
			c.in.chunks[0] = nil
			c.in.chunks = c.in.chunks[1:]
		}
	}
	c.in.size -= n
	if c.in.taken += n; c.in.taken >= creditMin {
		c.sendLocked(segment{credit: c.in.taken})
		c.in.taken = 0
	}
	return n
}

// endLocked sends the end, once.
func (c *stream) endLocked() {
	if c.out.ended {
		return
	}
	c.out.ended = true
	c.sendLocked(segment{end: true})
	c.out.gate.wakeLocked()
}

// abortLocked resets both directions: what waits is thrown away and the peer is told. If the
// word is lost, the peer learns it with the next segment it sends.
func (c *stream) abortLocked() {
	c.aborted = true
	if c.peer != nil && !c.st.down && c.err == nil {
		p := c.packetLocked(0, nil, c.peer.resetLocked)
		p.closes = endsBoth
		c.st.w.launchLocked(p)
	}
	c.closeLocked()
}

// resetLocked runs where a reset arrives.
func (c *stream) resetLocked(p *packet) Why {
	if p.to.stack != c.st || p.src != c.dst {
		return WhyNoSocket
	}
	c.failLocked(syscall.ECONNRESET)
	return ""
}

// failLocked ends the connection for its owner, who learns err.
func (c *stream) failLocked(err error) {
	if c.err != nil {
		return
	}
	c.err = err
	c.out.queue = nil
	delete(c.st.streams, c.id)
	c.in.gate.wakeLocked()
	c.out.gate.wakeLocked()
}

// shutLocked ends the connection and tells nobody outside the host.
func (c *stream) shutLocked(err error) {
	c.failLocked(err)
	c.in.gate.stopLocked()
	c.out.gate.stopLocked()
}

// closeLocked takes the stream away from its owner. What waits to be sent still is, unless it
// was aborted.
func (c *stream) closeLocked() {
	c.closed = true
	c.in.chunks, c.in.size = nil, 0
	for _, g := range []*gate{&c.in.gate, &c.out.gate} {
		g.stopLocked()
		g.wakeLocked()
	}
	if c.aborted {
		c.out.queue = nil
	}
	delete(c.st.streams, c.id)
}
