package gossip

import (
	"sync"

	micronet "github.com/micro/micro-net"
)

// hubQueue bounds what waits for one member of a Hub; newer things are dropped.
const hubQueue = 1024

// hubInbox holds what the loop of a HubMember has to tell its delegate, in order. What has the
// same kind and key as something that still waits takes its place.
type hubInbox struct {
	events *micronet.Events
	wake   chan struct{} // holds one: something waits

	mu      sync.Mutex
	waiting []hubItem
}

type hubItem struct {
	kind, key string
	deliver   func()
}

func newHubInbox(events *micronet.Events) *hubInbox {
	return &hubInbox{events: events, wake: make(chan struct{}, 1)}
}

// put queues an item. States are all different, the rest replaces its like.
func (b *hubInbox) put(kind, key string, deliver func()) {
	if !b.add(hubItem{kind, key, deliver}) {
		b.events.PacketDropped(micronet.PacketDrop{Where: "gossip", Why: "queue-full"})
		return
	}
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *hubInbox) add(item hubItem) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, w := range b.waiting {
		if item.kind != "state" && w.kind == item.kind && w.key == item.key {
			b.waiting[i] = item
			return true
		}
	}
	if len(b.waiting) >= hubQueue {
		return false
	}
	b.waiting = append(b.waiting, item)
	return true
}

// deliver hands out everything that waits.
func (b *hubInbox) deliver() {
	b.mu.Lock()
	waiting := b.waiting
	b.waiting = nil
	b.mu.Unlock()
	for _, item := range waiting {
		item.deliver()
	}
}
