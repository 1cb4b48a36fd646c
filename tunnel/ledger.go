package tunnel

import (
	"sync/atomic"
	"time"
)

const (
	// suspectAfter is how many QUIC packets in a row must have got lost on a way whose probes are answered until others
	// are looked for, and packets go over them as well, maxCopies at most. It is no more than QUIC sends when it hears nothing.
	suspectAfter = 2
	maxCopies    = 3
	// strangeFor is how long after the peer has begun to send another way is asked about all that leaves.
	strangeFor = 2 * time.Second
	// greyAfter is how many must have until the way is left, and greyLeast, or three round trips, for how long after the first
	// loss was seen: a burst of packets may get lost as a whole, as where a queue is full. So many are not lost by chance
	// otherwise: of a link that loses every second packet, one time in 65536.
	greyAfter = 16
	greyLeast = 700 * time.Millisecond
	// greyRest is how long a grey way is left alone. Then copies of trialPackets QUIC packets go over it: if none arrives
	// it rests twice as long, up to greyMost; so it does when it turns grey again within greyMost.
	greyRest     = 15 * time.Second
	greyMost     = 4 * time.Minute
	trialPackets = 8
)

// tally counts the QUIC packets that left over a way. The lock-free side adds to it.
type tally struct {
	small atomic.Uint64 // those of a size that every path is asked to carry
	large atomic.Uint64 // larger ones, of a size that a test has found to pass lately
}

// add counts n packets of a size, unless they are larger than what is known to pass.
func (t *tally) add(n, size, wide int) {
	switch {
	case size <= safeSize:
		t.small.Add(uint64(n))
	case size <= wide:
		t.large.Add(uint64(n))
	}
}

func (t *tally) total() uint64 { return t.small.Load() + t.large.Load() }

// receipt is what the other end of a way had received of QUIC when a probe came to it, beside what had left by then.
type receipt struct {
	at           time.Time // when the probe left; zero: none yet
	small, large uint64
	took         uint64 // what it says, see core.took
}

// ledger compares what QUIC sends over a way with what the other end says that it has received over it. Where probes are
// answered and nothing that QUIC sends arrives, the way is grey:
//
//	          2 lost in a row               16 lost, 700 ms
//	carries ─────────────────▶ suspected ───────────────────▶ grey ◀──┐ none arrives: rests
//	   ▲                           │                           │ └────┘ twice as long
//	   └── something arrives ──────┴───────────────────────────┘
//
// It counts, and takes silence for nothing: who has no answer to give, who is stopped, and a packet that wants no answer
// look like a grey way to whoever waits for packets to come back. It is a pure core.
type ledger struct {
	left      *tally
	base      receipt   // the oldest of those that say the same
	last      receipt   // the newest
	first     time.Time // when that left which showed the first loss since base; zero: none has
	latest    time.Time // the same of the last loss
	asked     uint64    // how many had left when it was probed last
	untried   bool      // it took the place of one that failed, and nothing has shown yet that it carries more than probes
	suspected bool
	grey      bool
	rest      time.Time // until then it is left alone
	pause     time.Duration
	freed     time.Time // when it ceased to be grey
}

// reset forgets what was compared.
func (l *ledger) reset() {
	l.begin(receipt{})
	l.suspected, l.untried = false, false
}

// carries reports whether nothing speaks against a way.
func (l *ledger) carries() bool { return !l.doubted() && !l.untried }

// doubted reports whether packets were lost on it in a row.
func (l *ledger) doubted() bool { return l.grey || l.suspected }

// rested reports whether a grey way may be tried again. The trial begins with a reply, which says what had come until then.
func (l *ledger) rested(now time.Time) bool { return l.grey && !now.Before(l.rest) }

// onTrial reports whether it is being tried.
func (l *ledger) onTrial() bool { return l.grey && !l.base.at.Before(l.rest) }

// unchecked is how many packets QUIC has sent since the last probe.
func (l *ledger) unchecked() uint64 { return l.left.total() - l.asked }

// unproven is how many QUIC packets have left of which nothing is known yet.
func (l *ledger) unproven() uint64 { return l.left.total() - l.base.small - l.base.large }

// enter takes a receipt. used says that QUIC's packets go over the way, not only copies.
func (l *ledger) enter(now time.Time, r receipt, used bool) {
	switch {
	case r.at.Before(l.base.at):
	case l.base.at.IsZero(), r.took>>32 != l.base.took>>32: // the other end counts anew
		l.begin(r)
	case r.took != l.base.took:
		l.free(now, used)
		l.begin(r)
	case l.grey && !l.onTrial():
		l.begin(r)
	case r.at.After(l.last.at):
		l.lose(r)
	}
}

// begin compares with r from now on.
func (l *ledger) begin(r receipt) { l.base, l.last, l.first, l.latest = r, r, time.Time{}, time.Time{} }

// lose takes a receipt that says the same as those before.
func (l *ledger) lose(r receipt) {
	_, before := l.vanished()
	l.last = r
	if _, lost := l.vanished(); lost > before {
		l.latest = r.at
		if l.first.IsZero() {
			l.first = r.at
		}
	}
}

// free takes note that something has arrived. What comes late over a way that rests proves nothing.
func (l *ledger) free(now time.Time, used bool) {
	l.suspected, l.untried = false, false
	if l.grey && (used || l.onTrial()) {
		l.grey, l.freed = false, now
	}
}

// weigh decides by what has got lost. tested is when the last test of the path's size left that was answered: only where
// that was since the first loss, it is not their size that keeps large packets from arriving.
func (l *ledger) weigh(now, tested time.Time, rtt time.Duration) {
	small, all := l.vanished()
	switch {
	case l.onTrial() && all >= trialPackets:
		l.mark(now)
	case l.grey:
	case !l.first.IsZero() && !tested.Before(l.first):
		l.judge(now, all, rtt)
	default:
		l.judge(now, small, rtt)
	}
}

func (l *ledger) judge(now time.Time, lost uint64, rtt time.Duration) {
	l.suspected = lost >= suspectAfter
	if lost >= greyAfter && l.latest.Sub(l.first) >= max(greyLeast, 3*rtt) {
		l.mark(now)
	}
}

// vanished counts the packets in a row that have not arrived: small ones, and all.
func (l *ledger) vanished() (small, all uint64) {
	small = l.last.small - l.base.small
	return small, small + l.last.large - l.base.large
}

// mark makes the way grey, or has it rest again.
func (l *ledger) mark(now time.Time) {
	if !l.grey && now.Sub(l.freed) >= greyMost {
		l.pause = 0
	}
	l.pause = min(greyMost, max(greyRest, 2*l.pause))
	l.grey, l.suspected, l.untried, l.rest = true, false, false, now.Add(l.pause)
	l.begin(l.last)
}
