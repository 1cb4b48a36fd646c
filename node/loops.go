package node

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/micro/micro-net/node/api"
)

// stuckAfter is how long a loop may not have come round: each comes every ten seconds at least. One that waits for a lock
// that nobody gives back never does.
const stuckAfter = 45 * time.Second

// loops knows when each of the loops that the node lives by came round last. It is safe for concurrent use.
type loops struct {
	mu   sync.Mutex // a leaf
	last map[string]time.Time
}

func newLoops() *loops { return &loops{last: map[string]time.Time{}} }

// round says that a loop is about to wait for its next turn.
func (l *loops) round(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last[name] = time.Now()
}

// stuck lists the loops that have not come round for too long, sorted.
func (l *loops) stuck(now time.Time) (names []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, at := range l.last {
		if now.Sub(at) > stuckAfter {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// warning tells of loops that are stuck; false when all go round.
func (l *loops) warning(now time.Time) (api.Warning, bool) {
	names := l.stuck(now)
	if len(names) == 0 {
		return api.Warning{}, false
	}
	return api.Warning{
		Code: "stuck", Text: fmt.Sprintf("parts of this program have stood still for more than %s: %s", stuckAfter, strings.Join(names, ", ")),
		Fix: "please send SIGQUIT to the daemon, report what it prints, and start it again",
	}, true
}
