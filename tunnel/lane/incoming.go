package lane

// incoming are the bytes of a session that have come and wait for its user. It is pure, and guarded by the session's lock.
type incoming struct {
	chunks   []piece
	received uint64 // the end counts as one
	consumed uint64 // of these, what the user has taken
	told     uint64 // of these, what the peer has been told of
	fin      bool   // the end has come
	turned   bool   // nobody reads: what comes is thrown away
}

// waits is how many bytes lie here.
func (i *incoming) waits() int { return int(i.received - i.consumed) }

// put adds n bytes of a buffer, which it keeps, and the end. A short one goes behind the one before.
func (i *incoming) put(p piece) {
	i.received += uint64(p.n)
	if p.fin {
		i.fin = true
		i.received++
	}
	if i.turned || p.n == 0 {
		if p.buf != nil {
			p.buf.free()
		}
		i.settle()
		return
	}
	if n := len(i.chunks); n > 0 && p.n <= smallBuffer {
		if last := &i.chunks[n-1]; len(last.buf.b)-last.from-last.n >= p.n {
			copy(last.buf.b[last.from+last.n:], p.buf.b[p.from:p.from+p.n])
			last.n += p.n
			p.buf.free()
			return
		}
	}
	i.chunks = append(i.chunks, p)
}

// take moves bytes to p.
func (i *incoming) take(p []byte) (n int) {
	for len(i.chunks) > 0 && n < len(p) {
		c := &i.chunks[0]
		m := copy(p[n:], c.buf.b[c.from:c.from+c.n])
		n += m
		c.from += m
		c.n -= m
		if c.n > 0 {
			break
		}
		c.buf.free()
		i.chunks = behindFirst(i.chunks)
	}
	i.consumed += uint64(n)
	i.settle()
	return n
}

// settle counts the end as taken once nothing is before it.
func (i *incoming) settle() {
	if len(i.chunks) == 0 && (i.fin || i.turned) {
		i.consumed = i.received
	}
}

// turn throws away what is here and what comes.
func (i *incoming) turn() {
	i.turned = true
	for _, c := range i.chunks {
		c.buf.free()
	}
	i.chunks = nil
	i.settle()
}

// ended reports whether the end was taken.
func (i *incoming) ended() bool { return i.fin && i.consumed == i.received }

// owes reports whether the peer should be told of what was taken, even if there is nothing else to say: a good part of its
// window, or everything when it waits for that.
func (i *incoming) owes(last bool) bool {
	new := i.consumed - i.told
	return new >= ackEvery || (new > 0 && last && i.ended())
}
