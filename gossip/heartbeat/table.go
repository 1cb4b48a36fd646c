package heartbeat

import (
	"time"

	micronet "github.com/micro/micro-net"
)

const (
	opAnchor  = "heartbeat.anchor"
	opChain   = "heartbeat.chain"
	opReceive = "heartbeat.receive"
	opTrack   = "heartbeat.track"
)

// Table is one node's knowledge of when the others were last alive.
type Table struct {
	self     micronet.NodeID
	owners   map[micronet.NodeID]*owner
	prefixes map[uint64]*owner // the first of those with a prefix
	order    []*owner
	cursor   int // where the rotation through order goes on

	own, former *Chain
	replaced    time.Time // when own took the place of former

	strangers budget // of all senders that are not tracked
	packets   uint64 // chosen and received, numbers both
	news      []micronet.NodeID
	peers     []*owner // of tracked
	stats     Stats
}

// NewTable returns the table of a node that knows nobody.
func NewTable(self micronet.NodeID) *Table {
	return &Table{self: self, owners: make(map[micronet.NodeID]*owner), prefixes: make(map[uint64]*owner)}
}

// Own sets this node's chain. The former one is told along with it for a while.
func (t *Table) Own(now time.Time, c *Chain) {
	t.own, t.former, t.replaced = c, t.own, now
}

// Track makes the table follow an owner's chain. The anchor comes from the owner's verified
// document. A newer generation takes the place of an older one; the same or an older one, and the
// node's own, changes nothing. Errors: Invalid for an anchor out of bounds, Overloaded for an owner
// above MaxOwners.
func (t *Table) Track(now time.Time, id micronet.NodeID, a Anchor) error {
	if err := a.check(); err != nil {
		return err
	}
	o := t.owners[id]
	switch {
	case id == t.self:
		return nil
	case o == nil && len(t.order) >= MaxOwners:
		t.stats.Untracked++
		return micronet.E(opTrack, micronet.Overloaded, "%d nodes are tracked already", MaxOwners).WithPeer(id)
	case o == nil:
		o = t.add(id)
	case a.Generation <= o.chain.anchor.Generation:
		return nil
	}
	o.chain = newProof(now, id, a)
	o.estimate = newEstimate(now)
	o.told = 0
	o.behind = now // who has just started has heard of nobody yet
	return nil
}

func (t *Table) add(id micronet.NodeID) *owner {
	o := &owner{id: id, at: len(t.order), next: t.prefixes[prefixOf(id)]}
	t.owners[id] = o
	t.prefixes[prefixOf(id)] = o
	t.order = append(t.order, o)
	return o
}

// Forget drops an owner and all that is known of it.
func (t *Table) Forget(id micronet.NodeID) {
	o := t.owners[id]
	if o == nil {
		return
	}
	delete(t.owners, id)
	o.teller = nil // or those that were forgotten kept each other
	t.unlink(o)
	last := len(t.order) - 1
	t.order[o.at] = t.order[last]
	t.order[o.at].at = o.at
	t.order[last] = nil
	t.order = t.order[:last]
}

func (t *Table) unlink(o *owner) {
	prefix := prefixOf(o.id)
	if first := t.prefixes[prefix]; first != o {
		for first.next != o {
			first = first.next
		}
		first.next = o.next
		return
	}
	t.prefixes[prefix] = o.next
	if o.next == nil {
		delete(t.prefixes, prefix)
	}
}

// Heard returns when the owner was last alive, by this node's clock: when it made the newest beat
// that arrived here, or when a packet of its own arrived. It is not ok for an owner that is not
// tracked or was never heard.
func (t *Table) Heard(id micronet.NodeID) (at time.Time, ok bool) {
	o := t.owners[id]
	if o == nil {
		return time.Time{}, false
	}
	at = o.heard()
	return at, !at.IsZero()
}

// Direct says that an authenticated packet of the owner itself arrived now. Receive says it of its
// sender. Owners that are not tracked are not remembered.
func (t *Table) Direct(now time.Time, id micronet.NodeID) {
	if o := t.owners[id]; o != nil {
		o.direct = later(o.direct, now)
	}
}
