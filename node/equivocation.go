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
	// equivocationMemory is how long it is told that a node signed two records of one version.
	equivocationMemory = 24 * time.Hour
	// maxEquivocations bounds the nodes that are remembered for it; further ones are counted only.
	maxEquivocations = 64
)

// equivocations remembers who signed two different records of one version: it tells some one thing and
// others another. An honest node does so only when its key lives twice, or its data folder was rolled
// back. It is safe for concurrent use.
type equivocations struct {
	mu   sync.Mutex
	last map[micronet.NodeID]time.Time
}

func newEquivocations() *equivocations {
	return &equivocations{last: map[micronet.NodeID]time.Time{}}
}

// note remembers a node. It reports whether that is news.
func (e *equivocations) note(now time.Time, id micronet.NodeID) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for other, at := range e.last {
		if now.Sub(at) >= equivocationMemory {
			delete(e.last, other)
		}
	}
	_, known := e.last[id]
	if !known && len(e.last) >= maxEquivocations {
		return false
	}
	e.last[id] = now
	return !known
}

// list returns those who are remembered, sorted.
func (e *equivocations) list(now time.Time) (ids []micronet.NodeID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for id, at := range e.last {
		if now.Sub(at) < equivocationMemory {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, micronet.NodeID.Compare)
	return ids
}

// equivocated learns that a node signed two records of one version.
func (l *life) equivocated(id micronet.NodeID) {
	if l.liars.note(time.Now(), id) {
		w := l.equivocationWarning(id)
		l.env.Log.Error(w.Text, "code", w.Code, "peer", id.Short(), "fix", w.Fix)
	}
}

// equivocationWarning names nodes that signed twice.
func (l *life) equivocationWarning(ids ...micronet.NodeID) api.Warning {
	words := make([]string, len(ids))
	for i, id := range ids {
		words[i] = fmt.Sprintf("%s (%s)", l.node.nameOf(id), id.Short())
	}
	return api.Warning{
		Code: signedTwice,
		Text: "different records of one version were signed with the key of " + strings.Join(words, ", ") +
			": it lives twice, was rolled back, or tells some nodes one thing and others another",
		Fix: "stop copies of that node's data folder; if somebody else may have its key: `micro-net node revoke NAME`",
	}
}
