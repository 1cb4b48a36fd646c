package swim

import (
	"time"

	micronet "github.com/micro/micro-net"
)

const (
	// senderRate and senderBurst bound the packets of one sender, a second and at once. An honest one
	// sends about ten a second to a mesh of two, and fewer to each of more. The burst is half of what
	// waits for memberlist, so that nobody takes the place of all others.
	senderRate  = 100
	senderBurst = packetQueue / 2
	// maxSenders bounds the senders that are remembered; others are not listened to until some are
	// forgotten. Only certified nodes come this far.
	maxSenders = maxMembers + maxContacts
	// senderFor is how long a sender that is silent is remembered: by then its budget is full again.
	senderFor = 10 * time.Second
)

// senders are the budgets of those who send packets. It is a pure core; Swim guards it.
type senders map[micronet.NodeID]*budget

// budget is a token bucket.
type budget struct {
	tokens float64
	last   time.Time
}

// spend uses one packet of a sender's budget, or reports that there is none left.
func (s senders) spend(now time.Time, id micronet.NodeID) bool {
	b := s[id]
	if b == nil {
		if len(s) >= maxSenders {
			return false
		}
		b = &budget{tokens: senderBurst, last: now}
		s[id] = b
	}
	// A clock that goes back refills nothing.
	if d := now.Sub(b.last); d > 0 {
		b.tokens = min(senderBurst, b.tokens+senderRate*d.Seconds())
		b.last = now
	}
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// expire forgets those that have been silent.
func (s senders) expire(now time.Time) {
	for id, b := range s {
		if now.Sub(b.last) >= senderFor {
			delete(s, id)
		}
	}
}
