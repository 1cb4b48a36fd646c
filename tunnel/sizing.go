package tunnel

import (
	"slices"
	"sync"
	"time"
)

const (
	// safeSize is the size of QUIC packets that every path is asked to carry, in bytes.
	safeSize = 1200
	// While larger ones are sent, their size is tested once in testEvery. testMisses tests without an answer,
	// over a path that others get through, make it a narrow one; testAgain is how often that is
	// asked again. A test is given up after three round trips, and not before testWait.
	testEvery  = time.Second
	testAgain  = 5 * time.Second
	testMisses = 4
	testWait   = 150 * time.Millisecond
	// testFor is how long after the last large packet tests go on.
	testFor = 5 * time.Second
	// failMemory is how long a size that did not pass counts after packets of that size were sent last.
	failMemory = time.Minute
	// sizesKept is how many sizes are remembered to see which come again.
	sizesKept = 4
	// smallTest is the size of the test that asks whether the peer knows of tests.
	smallTest = 1
)

// sizes tells which large packets QUIC sends as a rule. Those whose size comes again are; single ones are
// its own tests of how wide the path is, which may be lost. It is safe for concurrent use.
type sizes struct {
	mu    sync.Mutex // a leaf
	last  [sizesKept]int
	next  int
	size  int       // the largest that came again within testFor
	at    time.Time // when a packet of that size was sent last
	large time.Time // when any was that came again
}

// sent takes note of a large packet. It reports whether it is the first one after a pause.
func (s *sizes) sent(now time.Time, size int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.last[:], size) {
		s.last[s.next] = size
		s.next = (s.next + 1) % sizesKept
		return false
	}
	if size >= s.size || now.Sub(s.at) > testFor {
		s.size, s.at = size, now
	}
	first := now.Sub(s.large) > testFor
	s.large = now
	return first
}

// largest is the size to test, and when a packet was sent last that may need it.
func (s *sizes) largest() (size int, large time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.size, s.large
}

// sizing finds out whether the path to a peer has become too narrow for the packets that QUIC sends. QUIC
// raises their size when it finds a path wider, and never lowers it: where a path becomes narrow
// and tells nobody, its connections would be stuck.
//
//	         large packet            4 × no answer
//	idle ─────────────────▶ wide ──────────────────▶ narrow
//	  ▲                      │ ▲         answer         │
//	  └── none for 5 s ──────┘ └────────────────────────┘
//
// It is a pure core.
type sizing struct {
	wanted int       // size of the large packets
	large  time.Time // when the last one was sent
	narrow bool
	able   bool // the peer knows of tests: it has answered a small one

	failed   int       // the size that did not pass when the path became narrow
	failedAt time.Time // when packets of that size were last known to be lost

	nonce  uint32
	tested int       // size of the last test
	sent   time.Time // when the test that is under way was sent, zero for none
	misses int
	at     time.Time // when the next test may be sent

	passed   int       // the size of the last test that was answered, 0: none on this way
	passedAt time.Time // when it was sent
}

// use takes note of the size of QUIC's packets.
func (s *sizing) use(size int, at time.Time) { s.wanted, s.large = size, at }

// need is the size that the path must carry to be wide. What failed lately counts until it is long out of
// use: a pause, or smaller packets for a while, do not make a path wide.
func (s *sizing) need(now time.Time) int {
	if s.narrow && now.Sub(s.failedAt) < failMemory {
		return max(s.wanted, s.failed)
	}
	return s.wanted
}

func (s *sizing) idle(now time.Time) bool { return s.wanted <= safeSize || now.Sub(s.large) > testFor }

// wait is how long an answer may take.
func (s *sizing) wait(rtt time.Duration) time.Duration { return max(testWait, 3*rtt) }

// next is when step wants to be called, zero for not before another large packet.
func (s *sizing) next(now time.Time, rtt time.Duration) time.Time {
	switch {
	case s.idle(now):
		return time.Time{}
	case !s.sent.IsZero():
		return s.sent.Add(s.wait(rtt))
	case s.at.Before(now):
		return now
	}
	return s.at
}

// step decides about a test that was not answered, and returns the size of the one to send now, 0 for
// none. heard is when anything came from the peer: where nothing does, size is not the trouble.
func (s *sizing) step(now, heard time.Time, rtt time.Duration) int {
	if s.idle(now) {
		s.sent, s.misses = time.Time{}, 0
		return 0
	}
	if !s.sent.IsZero() {
		if now.Sub(s.sent) < s.wait(rtt) {
			return 0
		}
		s.miss(now, heard.After(s.sent))
	}
	if now.Before(s.at) {
		return 0
	}
	s.nonce++
	s.sent, s.tested = now, s.need(now)
	if !s.able {
		s.tested = smallTest
	}
	return s.tested
}

// miss counts a test without an answer.
func (s *sizing) miss(now time.Time, alive bool) {
	s.sent, s.at = time.Time{}, now
	if alive && s.able {
		s.misses++
	}
	if !s.able {
		s.at = now.Add(testEvery)
	}
	if s.misses >= testMisses || s.narrow {
		if !s.narrow || s.wanted >= s.failed {
			s.failed, s.failedAt = s.tested, now
		}
		s.narrow, s.misses, s.at = true, 0, now.Add(testAgain)
	}
}

// hurry has a size tested at once, if none is under way.
func (s *sizing) hurry(now time.Time) {
	if s.sent.IsZero() && !s.narrow && now.Before(s.at) {
		s.at = now
	}
}

// leave forgets what is known of a way that is not in use any more, but not that it was narrow: most are the same for that.
func (s *sizing) leave() { s.sent, s.passed, s.passedAt = time.Time{}, 0, time.Time{} }

// answered takes an answer.
func (s *sizing) answered(now time.Time, nonce uint32) {
	if nonce != s.nonce || s.sent.IsZero() {
		return
	}
	s.able = true
	s.passed, s.passedAt = s.tested, s.sent
	s.misses, s.sent, s.at = 0, time.Time{}, now.Add(testEvery)
	switch {
	case s.tested == smallTest:
		s.at = now
	case s.tested >= s.need(now):
		s.narrow = false
	}
}
