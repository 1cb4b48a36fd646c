package swim

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
)

const (
	// maxMembers bounds the nodes that are known, dead ones included; more are refused.
	maxMembers = 4096
	// forgetAfter is how long a dead or left node stays listed.
	forgetAfter = 72 * time.Hour
	// maxLives bounds the starts of one node within lifeWindow: each is a member of its own to
	// memberlist until it is reaped.
	maxLives   = 32
	lifeWindow = 5 * time.Minute
	// suspectLimit ends a suspicion of which nothing more was heard. memberlist decides sooner
	// in every profile.
	suspectLimit = 2 * time.Minute
	// goodbyeFresh is how long a goodbye that came in a packet explains that a member is gone.
	goodbyeFresh = 5 * time.Second
)

// table is what this node believes of the others: one entry per node, its newest life. It is a
// pure core; Swim guards it.
//
//	          join              suspect
//	(none) ─────────▶ alive ──────────────▶ suspect
//	                   ▲ ▲                    │  │
//	                   │ └────────────────────┘  │ gone
//	                   │   join, refuted         ▼
//	                   └──────────────────  dead or left ──expire──▶ (none)
type table struct {
	self    life
	entries map[micronet.NodeID]*entry
	serving int // entries that are alive or suspect

	members []gossip.Member // of snapshot, nil after a change
}

type entry struct {
	gossip.Member
	incarnation uint32    // the highest one seen in a claim about this life
	goodbye     time.Time // when a packet brought this life's goodbye, zero for never
	lives       int       // starts since window
	window      time.Time
}

func newTable(self life) *table {
	return &table{self: self, entries: make(map[micronet.NodeID]*entry)}
}

// admits reports why a life may not join, before its credential is looked at.
func (t *table) admits(now time.Time, l life) error {
	if l.id == t.self.id {
		if l.epoch > t.self.epoch {
			return fmt.Errorf("another process speaks as this node, with epoch %d", l.epoch)
		}
		return errFormerLife
	}
	e := t.entries[l.id]
	switch {
	case e == nil && len(t.entries) >= maxMembers:
		return fmt.Errorf("the table of %d members is full", maxMembers)
	case e == nil:
		return nil
	case l.epoch < e.Epoch:
		return errFormerLife
	case l.epoch > e.Epoch && e.lives >= maxLives && now.Sub(e.window) < lifeWindow:
		return fmt.Errorf("the node started %d times within %v", e.lives, lifeWindow)
	}
	return nil
}

// join notes that a life was listed by memberlist. It reports whether Members changed.
func (t *table) join(now time.Time, l life, credential []byte) bool {
	e := t.entries[l.id]
	if e == nil {
		e = &entry{window: now, Member: gossip.Member{ID: l.id}}
		t.entries[l.id] = e
	}
	if l.epoch < e.Epoch {
		return false
	}
	if l.epoch > e.Epoch {
		e.begin(now, l.epoch)
	}
	e.Credential, t.members = bytes.Clone(credential), nil
	t.enter(now, e, micronet.Alive)
	return true
}

// begin makes a newer life the current one.
func (e *entry) begin(now time.Time, epoch uint64) {
	if now.Sub(e.window) >= lifeWindow {
		e.window, e.lives = now, 0
	}
	e.lives++
	e.Epoch, e.incarnation, e.goodbye, e.Since = epoch, 0, time.Time{}, now
}

// update notes another credential.
func (t *table) update(l life, credential []byte) bool {
	e := t.current(l)
	if e == nil || bytes.Equal(e.Credential, credential) {
		return false
	}
	e.Credential, t.members = bytes.Clone(credential), nil
	return true
}

// gone notes that memberlist gave a life up.
func (t *table) gone(now time.Time, l life) bool {
	e := t.current(l)
	if e == nil {
		return false
	}
	if !e.goodbye.IsZero() && now.Sub(e.goodbye) < goodbyeFresh {
		return t.enter(now, e, micronet.Left)
	}
	return t.enter(now, e, micronet.Dead)
}

// heardGoodbye notes a goodbye that is on its way to memberlist, which may yet ignore it.
func (t *table) heardGoodbye(now time.Time, l life) {
	if e := t.current(l); e != nil {
		e.goodbye = now
	}
}

// believed notes a claim that memberlist spreads, and therefore believes. It reports whether
// Members changed.
func (t *table) believed(now time.Time, l life, c claim) bool {
	e := t.current(l)
	if e == nil || c.incarnation < e.incarnation {
		return false
	}
	newer := c.incarnation > e.incarnation
	e.incarnation = c.incarnation
	switch {
	case c.kind == kindSuspect && e.Status == micronet.Alive:
		return t.enter(now, e, micronet.Suspect)
	case c.kind == kindAlive && e.Status == micronet.Suspect && newer:
		return t.enter(now, e, micronet.Alive)
	case c.kind == kindDead && c.isGoodbye() && e.Status == micronet.Dead:
		return t.enter(now, e, micronet.Left)
	case c.kind == kindDead && !c.isGoodbye() && e.Status == micronet.Left:
		return t.enter(now, e, micronet.Dead)
	}
	return false
}

// expire forgets who is gone for long, and ends suspicions that nobody decided.
func (t *table) expire(now time.Time) bool {
	changed := false
	for id, e := range t.entries {
		switch age := now.Sub(e.Since); {
		case e.Status == micronet.Suspect && age > suspectLimit:
			changed = t.enter(now, e, micronet.Alive)
		case !e.Status.Serving() && age > forgetAfter:
			delete(t.entries, id)
			t.members, changed = nil, true
		}
	}
	return changed
}

// enter puts an entry into a status; every change of status goes through here.
func (t *table) enter(now time.Time, e *entry, s micronet.NodeStatus) bool {
	if e.Status == s {
		return false
	}
	if e.Status.Serving() {
		t.serving--
	}
	if s.Serving() {
		t.serving++
	}
	e.Status, e.Since, t.members = s, now, nil
	return true
}

// current returns the entry of a life unless a newer one took its place.
func (t *table) current(l life) *entry {
	if e := t.entries[l.id]; e != nil && e.Epoch == l.epoch {
		return e
	}
	return nil
}

// suspects reports whether anybody is suspect.
func (t *table) suspects() bool {
	for _, e := range t.entries {
		if e.Status == micronet.Suspect {
			return true
		}
	}
	return false
}

// accused returns the suspects, sorted by id, each with the incarnation it has to refute.
func (t *table) accused() []accusation {
	var all []accusation
	for _, e := range t.entries {
		if e.Status == micronet.Suspect {
			all = append(all, accusation{life{e.ID, e.Epoch}, e.incarnation})
		}
	}
	slices.SortFunc(all, func(a, b accusation) int { return bytes.Compare(a.life.id[:], b.life.id[:]) })
	return all
}

// snapshot returns the members, sorted by id. Credentials are replaced and never changed, so that they
// need no copy.
func (t *table) snapshot() []gossip.Member {
	if t.members == nil {
		t.members = make([]gossip.Member, 0, len(t.entries))
		for _, e := range t.entries {
			t.members = append(t.members, e.Member)
		}
		slices.SortFunc(t.members, func(a, b gossip.Member) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	}
	return slices.Clone(t.members)
}
