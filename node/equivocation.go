package node

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/node/api"
)

const (
	// signedTwice is the warning's code.
	signedTwice = "signed-twice"
	// offenceMemory is how long it is told that a node did what no honest one does.
	offenceMemory = 24 * time.Hour
	// maxOffenders bounds the nodes that are remembered for one kind of that; further ones are counted only.
	maxOffenders = 64
)

// offenders remembers who did something that an honest node does only when its key lives twice, or its data folder
// was rolled back or altered. It is safe for concurrent use.
type offenders struct {
	tell func(...micronet.NodeID) api.Warning // what they did, and what to do about it
	mu   sync.Mutex
	last map[micronet.NodeID]time.Time
}

func newOffenders(tell func(...micronet.NodeID) api.Warning) *offenders {
	return &offenders{tell: tell, last: map[micronet.NodeID]time.Time{}}
}

// note remembers a node. It reports whether that is news.
func (o *offenders) note(now time.Time, id micronet.NodeID) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for other, at := range o.last {
		if now.Sub(at) >= offenceMemory {
			delete(o.last, other)
		}
	}
	_, known := o.last[id]
	if !known && len(o.last) >= maxOffenders {
		return false
	}
	o.last[id] = now
	return !known
}

// list returns those who are remembered, sorted.
func (o *offenders) list(now time.Time) (ids []micronet.NodeID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for id, at := range o.last {
		if now.Sub(at) < offenceMemory {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, micronet.NodeID.Compare)
	return ids
}

// offended learns of one more offender, and logs it when that is news.
func (l *life) offended(among *offenders, id micronet.NodeID) {
	if among.note(time.Now(), id) {
		w := among.tell(id)
		l.env.Log.Error(w.Text, "code", w.Code, "peer", id.Short(), "fix", w.Fix)
	}
}

// equivocated learns that a node signed two records of one version: it tells some one thing and others another.
func (l *life) equivocated(id micronet.NodeID) { l.offended(l.liars, id) }

// equivocationWarning names nodes that signed twice.
func (l *life) equivocationWarning(ids ...micronet.NodeID) api.Warning {
	return api.Warning{
		Code: signedTwice,
		Text: "different records of one version were signed with the key of " + l.named(ids) +
			": it lives twice, was rolled back, or tells some nodes one thing and others another",
		Fix: "stop copies of that node's data folder; if somebody else may have its key: `micro-net node revoke NAME`",
	}
}

// named lists nodes with their names and ids.
func (l *life) named(ids []micronet.NodeID) string {
	words := make([]string, len(ids))
	for i, id := range ids {
		words[i] = fmt.Sprintf("%s (%s)", l.node.nameOf(id), id.Short())
	}
	return strings.Join(words, ", ")
}
