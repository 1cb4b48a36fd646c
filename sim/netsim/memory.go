package netsim

import "time"

// sweepEvery is how often a full memory looks for what it may forget.
const sweepEvery = time.Second

// memory is what a NAT or a firewall remembers of others: when each was seen last. It is bounded:
// when it is full of what is still fresh, nothing new is taken in.
type memory[K comparable] struct {
	seen  map[K]time.Duration
	swept time.Duration // when it was full last
}

// see remembers k, for ttl at least. It returns false when there is no room.
func (m *memory[K]) see(k K, now, ttl time.Duration, limit int) bool {
	if m.seen == nil {
		m.seen = map[K]time.Duration{}
	}
	if _, known := m.seen[k]; !known && len(m.seen) >= limit && !m.sweep(now, ttl) {
		return false
	}
	m.seen[k] = now
	return true
}

// sweep forgets what is older than ttl, and reports whether that made room.
func (m *memory[K]) sweep(now, ttl time.Duration) bool {
	if m.swept > 0 && now-m.swept < sweepEvery {
		return false
	}
	m.swept = max(now, 1)
	before := len(m.seen)
	for k, at := range m.seen {
		if now-at >= ttl {
			delete(m.seen, k)
		}
	}
	return len(m.seen) < before
}

// fresh reports whether k was seen within ttl.
func (m *memory[K]) fresh(k K, now, ttl time.Duration) bool {
	at, known := m.seen[k]
	return known && now-at < ttl
}
