package lane

// outgoing are the bytes that a session sends: those on their way and not acknowledged, and those that wait. The number of
// a byte counts from the beginning of the session; the end counts as one.
//
//	   base         sent          end
//	────┼────────────┼─────────────┼
//	    │ on the way │ to be sent  │
//
// It is pure, and guarded by the session's lock.
type outgoing struct {
	store  *store
	chunks []chunk // from base on
	base   uint64  // acknowledged
	sent   uint64  // handed to the carrier
	end    uint64
	fin    bool // the last of them is the end
}

// chunk is a part of what is kept. Its bytes have room for a header before them, so that a full one is sent as it lies.
type chunk struct {
	buf *buffer
	n   int // bytes, from headerSize on
}

// room is how many bytes may be added while most may be kept.
func (o *outgoing) room(most int) int {
	if o.fin {
		return 0
	}
	return max(0, most-int(o.end-o.base))
}

// add keeps a copy of p. Short writes share a chunk.
func (o *outgoing) add(p []byte) {
	o.end += uint64(len(p))
	for len(p) > 0 {
		if n := len(o.chunks); n == 0 || o.chunks[n-1].free() == 0 || (len(p) > smallBuffer && o.chunks[n-1].free() < len(p)) {
			o.chunks = append(o.chunks, chunk{buf: o.store.take(headerSize + min(len(p), maxPayload))})
		}
		last := &o.chunks[len(o.chunks)-1]
		n := copy(last.buf.b[headerSize+last.n:], p[:min(len(p), maxPayload-last.n)])
		last.n += n
		p = p[n:]
	}
}

func (c chunk) free() int { return min(len(c.buf.b)-headerSize, maxPayload) - c.n }

// finish adds the end.
func (o *outgoing) finish() {
	if !o.fin {
		o.fin = true
		o.end++
	}
}

// truncate forgets what was not sent, and ends there.
func (o *outgoing) truncate() {
	if !o.fin {
		o.end = o.sent
		o.trim()
		o.finish()
	}
}

// trim drops what is kept beyond the end.
func (o *outgoing) trim() {
	at := o.base
	for i := range o.chunks {
		c := &o.chunks[i]
		if left := int(o.end - at); left < c.n {
			c.n = left
			for _, d := range o.chunks[i+1:] {
				d.buf.free()
			}
			o.chunks = o.chunks[:i+1]
			return
		}
		at += uint64(c.n)
	}
}

// dataEnd is the number after the last byte, without the end.
func (o *outgoing) dataEnd() uint64 {
	if o.fin {
		return o.end - 1
	}
	return o.end
}

// piece is a part of what is sent, in a buffer that is held until it has been.
type piece struct {
	buf  *buffer // nil for the end alone
	from int     // where in buf
	n    int
	fin  bool // the end follows
}

// next tells what is to be sent next: at most most bytes. They count as sent. False when there is nothing.
func (o *outgoing) next(most int) (p piece, ok bool) {
	if o.sent == o.end {
		return piece{}, false
	}
	at := o.base
	for _, c := range o.chunks {
		if skip := int(o.sent - at); skip < c.n {
			c.buf.hold()
			p = piece{buf: c.buf, from: headerSize + skip, n: min(c.n-skip, most)}
			break
		}
		at += uint64(c.n)
	}
	o.sent += uint64(p.n)
	if p.fin = o.fin && o.sent == o.dataEnd(); p.fin {
		o.sent++
	}
	return p, true
}

// acknowledge drops what the peer has; false when it says to have what was not sent.
func (o *outgoing) acknowledge(upTo uint64) bool {
	if upTo > o.sent {
		return false
	}
	// A chunk of which the peer has a part stays whole.
	for len(o.chunks) > 0 && upTo >= o.base+uint64(o.chunks[0].n) {
		c := o.chunks[0]
		c.buf.free()
		o.chunks = behindFirst(o.chunks)
		o.base += uint64(c.n)
	}
	if upTo == o.end && o.fin {
		o.base = o.end
	}
	return true
}

// rewind has everything from a number on sent again; false when it is not kept any more, or was never sent.
func (o *outgoing) rewind(from uint64) bool {
	if from < o.base || from > o.end {
		return false
	}
	o.sent = from
	return true
}

// done reports whether the peer has everything, the end included.
func (o *outgoing) done() bool { return o.fin && o.base == o.end }

// drop forgets everything.
func (o *outgoing) drop() {
	for _, c := range o.chunks {
		c.buf.free()
	}
	o.chunks = nil
}
