package swim

import (
	"bytes"
	"cmp"
	"math"
	"slices"

	"github.com/micro/micro-net/gossip"
)

// maxBroadcasts bounds the messages that wait to be spread. When there are more, one of the lowest
// priority that was sent most often is dropped.
const maxBroadcasts = 1024

// outbox holds the messages that this node spreads: each is sent a number of times, those of the highest
// priority first, of these the least sent, and a newer one of the same key takes the place of the older. It is a pure core;
// Swim guards it.
//
// memberlist has a queue for this, but it mixes up messages of equal length when the only one
// that waits is replaced (it starts its numbering again while the other is still in it), and
// then loses one of the two.
type outbox struct {
	items []*outItem // ordered by priority, times sent and age
}

type outItem struct {
	key      string
	msg      []byte
	priority gossip.Priority
	sent     int
}

// put queues a message and reports whether another one had to go.
func (o *outbox) put(key string, msg []byte) (dropped bool) {
	o.items = slices.DeleteFunc(o.items, func(i *outItem) bool { return i.key == key })
	if len(o.items) >= maxBroadcasts {
		o.items = o.items[:maxBroadcasts-1]
		dropped = true
	}
	o.items = append(o.items, &outItem{key: key, msg: bytes.Clone(msg), priority: gossip.PriorityOf(msg)})
	o.sort()
	return dropped
}

// take returns messages that fit into limit bytes with their overhead each, and counts them as
// sent. Those that were sent times often are done. The slices must not be changed.
func (o *outbox) take(overhead, limit, times int) [][]byte {
	var taken [][]byte
	for _, i := range o.items {
		if need := overhead + len(i.msg); need <= limit {
			limit -= need
			i.sent++
			taken = append(taken, i.msg)
		}
	}
	if taken != nil {
		o.items = slices.DeleteFunc(o.items, func(i *outItem) bool { return i.sent >= times })
		o.sort()
	}
	return taken
}

func (o *outbox) sort() {
	slices.SortStableFunc(o.items, func(a, b *outItem) int {
		return cmp.Or(cmp.Compare(b.priority, a.priority), cmp.Compare(a.sent, b.sent))
	})
}

// retransmits is how often a node sends a message in a cluster of n (SWIM, section 4.1).
func retransmits(mult, n int) int {
	return mult * int(math.Ceil(math.Log10(float64(n+1))))
}
