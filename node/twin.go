package node

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/node/api"
)

const (
	// twinMemory is how long a twin counts as there after its last word. Two that outdo each other
	// speak every renewMax at the latest.
	twinMemory = 4 * renewMax
	// keyTwice is the warning's code.
	keyTwice = "key-twice"
)

// twin is another daemon with this node's key: somebody copied the data folder, or the machine. It shows
// by a record that is signed with the key, that this life did not publish, and that is younger than
// this life: one of a former life is older, and no honest node makes a record younger than it is. It is safe for concurrent use.
type twin struct {
	born time.Time // of this life; constant

	mu    sync.Mutex
	until time.Time // it counts as there until then
	at    []netip.AddrPort
}

// claimed takes a record that is not of this life, and how old it is. It reports whether a twin has
// appeared.
func (t *twin) claimed(now time.Time, d *gossip.Document, age time.Duration) bool {
	if now.Sub(t.born) < age {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	before := now.Before(t.until)
	t.until, t.at = now.Add(twinMemory), d.Endpoints
	return !before
}

// where is at which addresses the twin says it is; false when there is none.
func (t *twin) where(now time.Time) ([]netip.AddrPort, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.at, now.Before(t.until)
}

// warning says that a twin is there. own are this node's addresses, which may be the twin's as well.
func (t *twin) warning(now time.Time, own []netip.AddrPort) (api.Warning, bool) {
	at, there := t.where(now)
	if !there {
		return api.Warning{}, false
	}
	where := []string{}
	for _, a := range at {
		if !a.Addr().IsLoopback() && !slices.Contains(own, a) {
			where = append(where, a.String())
		}
	}
	place := "at an address of this node"
	if len(where) > 0 {
		place = "at " + strings.Join(where, ", ")
	}
	return api.Warning{
		Code: keyTwice,
		Text: fmt.Sprintf("another daemon runs with this node's key, %s: the two outdo each other, and callers reach one or the other", place),
		Fix:  "stop the copy, delete its data folder, and let it join with a token of `micro-net invite`; do not run `micro-net leave` there",
	}, true
}

// rivalled learns of a record that was signed with this node's key and is not of this life.
func (l *life) rivalled(d *gossip.Document, age time.Duration) {
	now := time.Now()
	if !l.twin.claimed(now, d, age) {
		return
	}
	if w, there := l.twin.warning(now, l.address.where()); there {
		l.env.Log.Error(w.Text, "code", w.Code, "fix", w.Fix)
	}
}
