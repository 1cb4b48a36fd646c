package node

import "sync"

// broadcast wakes all who wait for the next change. It is safe for concurrent use.
type broadcast struct {
	mu   sync.Mutex
	ch   chan struct{}
	over bool
}

func newBroadcast() *broadcast { return &broadcast{ch: make(chan struct{})} }

// wait returns a channel that is closed at the next change.
func (b *broadcast) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ch
}

func (b *broadcast) fire() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.over {
		close(b.ch)
		b.ch = make(chan struct{})
	}
}

// close fires for the last time; every later wait returns at once.
func (b *broadcast) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.over {
		b.over = true
		close(b.ch)
	}
}

func (b *broadcast) closed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.over
}
