package node

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/node/api"
)

const (
	// heldLong is how long a node must have offered a service for it to matter that another one begins to.
	heldLong = 10 * time.Minute
	// newFor is how long that is told.
	newFor = time.Hour
	// holdKept is how long a node that does not offer a service any more still counts as one that did:
	// it may only have started again.
	holdKept = time.Hour
	// maxHolders bounds the pairs of node and service that are remembered; of further ones it is not
	// known since when.
	maxHolders = 1 << 14
	// holdersEvery is how often holders that stay the same are looked at.
	holdersEvery = 30 * time.Second
)

// holder is a node that offers a service.
type holder struct {
	service string
	node    micronet.NodeID
}

// held is since when nodes offer services, as long as this daemon runs. It is never changed; nil knows
// nobody.
type held struct {
	since  map[holder]time.Time
	firsts map[string]firstHolder
}

// holders remembers who offers what, and since when. Only what this node has seen counts: what others say
// of the past could be a lie.
type holders struct {
	held  *held
	seen  map[holder]time.Time
	basis []basis // of the view that was looked at last
	at    time.Time
}

func newHolders() *holders {
	return &holders{held: newHeld(map[holder]time.Time{}), seen: map[holder]time.Time{}}
}

// take looks at a view, and returns since when nodes offer services.
func (h *holders) take(now time.Time, v *view) *held {
	if now.Sub(h.at) < holdersEvery && slices.Equal(h.basis, v.basis) {
		return h.held
	}
	h.basis, h.at = v.basis, now
	fresh := map[holder]time.Time{}
	for i := range v.placed {
		h.see(now, &v.placed[i], fresh)
	}
	for _, list := range v.withheld {
		for _, p := range list {
			h.see(now, p, fresh)
		}
	}
	h.change(now, fresh)
	return h.held
}

func (h *holders) see(now time.Time, p *placed, fresh map[holder]time.Time) {
	key := holder{p.instance.Service, p.node.ID}
	if _, known := h.held.since[key]; !known {
		if len(h.held.since)+len(fresh) >= maxHolders {
			return
		}
		fresh[key] = now
	}
	h.seen[key] = now
}

// change adds who is new and forgets who was not seen for long.
func (h *holders) change(now time.Time, fresh map[holder]time.Time) {
	var gone []holder
	for key, at := range h.seen {
		if now.Sub(at) >= holdKept {
			gone = append(gone, key)
		}
	}
	if len(gone)+len(fresh) == 0 {
		return
	}
	next := maps.Clone(h.held.since)
	maps.Copy(next, fresh)
	for _, key := range gone {
		delete(next, key)
		delete(h.seen, key)
	}
	h.held = newHeld(next)
}

// all is for looking at.
func (h *held) all() map[holder]time.Time {
	if h == nil {
		return nil
	}
	return h.since
}

// firstHolder is who has held a service longest.
type firstHolder struct {
	node    micronet.NodeID
	since   time.Time
	several bool // have held it as long
}

// newHeld takes who holds what, and finds who was first: that is asked for each service of a list.
func newHeld(since map[holder]time.Time) *held {
	h := &held{since: since, firsts: map[string]firstHolder{}}
	for key, at := range since {
		f, known := h.firsts[key.service]
		switch {
		case !known || at.Before(f.since):
			f = firstHolder{node: key.node, since: at}
		case at.Equal(f.since):
			f.several = true
		}
		h.firsts[key.service] = f
	}
	return h
}

// first returns who has held a service longest; false when several have as long, or nobody is known.
func (h *held) first(service string) (first micronet.NodeID, since time.Time, ok bool) {
	if h == nil {
		return first, since, false
	}
	f, known := h.firsts[service]
	return f.node, f.since, known && !f.several
}

// newHolder is a node that has begun to offer what another one had held for long.
type newHolder struct {
	holder
	at    time.Time
	since time.Time // when it was first held
}

// newHolders lists them, by service and node, as long as that is news.
func (v *view) newHolders(now time.Time) (out []newHolder) {
	for key, at := range v.held.all() {
		if _, since, _ := v.held.first(key.service); now.Sub(at) < newFor && at.Sub(since) >= heldLong {
			out = append(out, newHolder{key, at, since})
		}
	}
	slices.SortFunc(out, func(a, b newHolder) int {
		return cmp.Or(cmp.Compare(a.service, b.service), a.node.Compare(b.node))
	})
	return out
}

// text names a new holder to people.
func (n *newHolder) text(v *view, now time.Time) string {
	before := "others have"
	if id, _, ok := v.held.first(n.service); ok {
		before = v.nameOf(id) + " has"
	}
	return fmt.Sprintf("%s at %s, for %s (%s held it for %s)", n.service, v.nameOf(n.node), now.Sub(n.at).Round(time.Second), before, now.Sub(n.since).Round(time.Minute))
}

// nameOf names a node for people.
func (v *view) nameOf(id micronet.NodeID) string {
	if n := v.byID[id]; n != nil && n.Name != "" {
		return n.Name
	}
	return id.Short()
}

func newHolderWarning(v *view, now time.Time, news []newHolder) api.Warning {
	words := make([]string, len(news))
	for i := range news {
		words[i] = news[i].text(v, now)
	}
	return api.Warning{
		Code: "new-holder", Text: "nodes have begun to offer what others have held for long: " + shortList(words),
		Fix: "if one should not: `micro-net node revoke NAME`; to say who may offer what: `micro-net node names granted`",
	}
}

// tellHolders logs who is a new holder and was not before.
func (l *life) tellHolders(old, now *view) {
	if old == nil || old.held == now.held {
		return
	}
	words := map[micronet.NodeID][]string{}
	for _, n := range now.newHolders(now.made) {
		if _, known := old.held.all()[n.holder]; !known {
			words[n.node] = append(words[n.node], n.text(now, now.made))
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(words), micronet.NodeID.Compare) {
		l.env.Log.Warn("a node begins to offer what another one has held for long", "node", now.nameOf(id), "peer", id.Short(), "svc", shortList(words[id]))
	}
}
