package lane

import (
	"sync"
	"sync/atomic"
)

// The sizes of buffers. Most of what programs say to each other fits the first.
const (
	tinyBuffer  = 1 << 10
	smallBuffer = 4 << 10
	midBuffer   = 16 << 10
	largeBuffer = 64 << 10
)

// buffer is memory that is lent and given back. Whoever reads it outside of the session's lock holds it.
type buffer struct {
	b    []byte
	refs atomic.Int32
	home *sync.Pool
}

// store lends buffers of a few sizes.
type store struct{ tiny, small, mid, large sync.Pool }

// take lends a buffer of at least n bytes, at most largeBuffer.
func (s *store) take(n int) *buffer {
	size, home := largeBuffer, &s.large
	switch {
	case n <= tinyBuffer:
		size, home = tinyBuffer, &s.tiny
	case n <= smallBuffer:
		size, home = smallBuffer, &s.small
	case n <= midBuffer:
		size, home = midBuffer, &s.mid
	}
	b, ok := home.Get().(*buffer)
	if !ok {
		b = &buffer{b: make([]byte, size), home: home}
	}
	b.refs.Store(1)
	return b
}

func (b *buffer) hold() { b.refs.Add(1) }

// free gives the buffer back once nobody holds it any more.
func (b *buffer) free() {
	if b.refs.Add(-1) == 0 {
		b.home.Put(b)
	}
}

// behindFirst takes the first one off a list. An empty list keeps its memory: what goes to and fro takes one at a time.
func behindFirst[T any](list []T) []T {
	var none T
	list[0] = none
	if len(list) == 1 {
		return list[:0]
	}
	return list[1:]
}
