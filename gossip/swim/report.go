package swim

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	micronet "github.com/micro/micro-net"
)

// reportBurst reports per reportWindow reach Events; the next one says how many did not.
const (
	reportBurst  = 10
	reportWindow = time.Minute
)

// reporter passes background errors on to Events, at a bounded rate: a peer that sends nonsense
// must not fill the log.
type reporter struct {
	events *micronet.Events

	mu         sync.Mutex
	window     time.Time
	count      int
	suppressed int
}

func (r *reporter) report(op string, err error) {
	suppressed, ok := r.allow(time.Now())
	if !ok {
		return
	}
	if suppressed > 0 {
		err = fmt.Errorf("%w (and %d more reports before)", err, suppressed)
	}
	r.events.BackgroundError(op, err)
}

func (r *reporter) allow(now time.Time) (suppressed int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.window) >= reportWindow {
		r.window, r.count = now, 0
	}
	if r.count >= reportBurst {
		r.suppressed++
		return 0, false
	}
	r.count++
	suppressed, r.suppressed = r.suppressed, 0
	return suppressed, true
}

// expectedLines are parts of memberlist's warnings about what belongs to normal life here:
// former lives, refutations, dead peers. Refusals by the alive delegate are reported there.
var expectedLines = []string{
	"ignoring alive message for",
	"Got ping for unexpected node",
	"Refuting a",
	"Was able to connect to",
	"Failed fallback TCP ping",
}

// logWriter is the sink of memberlist's log: errors and warnings become reports, the rest is
// dropped.
type logWriter struct {
	reporter *reporter
}

// Write takes one line per call, as log.Logger writes them.
func (w logWriter) Write(line []byte) (int, error) {
	if text, ok := reportable(string(line)); ok {
		w.reporter.report("swim.memberlist", errors.New(text))
	}
	return len(line), nil
}

func reportable(line string) (text string, ok bool) {
	for _, level := range []string{"[ERR]", "[ERROR]", "[WARN]"} {
		rest, found := strings.CutPrefix(strings.TrimSpace(line), level)
		if !found {
			continue
		}
		for _, expected := range expectedLines {
			if strings.Contains(rest, expected) {
				return "", false
			}
		}
		return strings.TrimPrefix(strings.TrimSpace(rest), "memberlist: "), true
	}
	return "", false
}
