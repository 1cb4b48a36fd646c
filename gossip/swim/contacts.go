package swim

import (
	"time"

	micronet "github.com/micro/micro-net"
)

const (
	// maxContacts bounds those who are known without being members; further ones are not
	// remembered until others are forgotten.
	maxContacts = 1024
	// contactFor is how long somebody who was heard, or named as a seed, may be answered.
	contactFor = time.Minute
)

// contacts are the nodes that are not members yet but may be sent to: joiners that were heard,
// and seeds. memberlist's pings name the node to answer or to probe; only members and contacts
// are, so that nobody can be made a target by a message. It is a pure core; Swim guards it.
type contacts map[micronet.NodeID]time.Time

// add remembers a node.
func (c contacts) add(now time.Time, id micronet.NodeID) {
	if _, known := c[id]; known || len(c) < maxContacts {
		c[id] = now
	}
}

// has reports whether a node was added within contactFor.
func (c contacts) has(now time.Time, id micronet.NodeID) bool {
	at, ok := c[id]
	return ok && now.Sub(at) < contactFor
}

// expire forgets the old ones.
func (c contacts) expire(now time.Time) {
	for id, at := range c {
		if now.Sub(at) >= contactFor {
			delete(c, id)
		}
	}
}
