//go:build linux

package lab

import (
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestE2EFrozenDaemon: a daemon stands still until it is taken for dead, as on a host that sleeps. Streams to it end with an error within the
// bound that docs/networking.md names, its own end when it goes on, and nobody has to do anything for it to be back.
func TestE2EFrozenDaemon(t *testing.T) {
	t.Run("over QUIC", func(t *testing.T) { testFrozen(t, "off", 4*time.Second) })
	t.Run("over lanes", func(t *testing.T) { testFrozen(t, "auto", 11*time.Second) })
}

func testFrozen(t *testing.T, lane string, bound time.Duration) {
	all := cluster(t, 3, "--lane", lane)
	sleeper, awake := all[0], all[1]
	in := accepted(sleeper.listen(t, "127.0.0.1:7000"))
	to := offered(all, "desk")
	out := accepted(awake.listen(t, "127.0.0.1:7000"))
	away := offered([]*daemon{awake, sleeper}, "cloud")
	if lane == "auto" { // the first streams go over QUIC
		pairOf(t, awake, to, in)
		pairOf(t, sleeper, away, out)
		for _, d := range []*daemon{awake, sleeper} {
			eventually(t, 10*time.Second, "there are lanes", func() bool { return strings.Contains(d.must("connections", "-o", "json"), `"lanes"`) })
		}
	}
	toSleeper, ofSleeper := pairOf(t, awake, to, in)
	fromSleeper, atAwake := pairOf(t, sleeper, away, out)
	for _, c := range []net.Conn{toSleeper, ofSleeper, fromSleeper, atAwake} {
		_ = c.SetDeadline(time.Now().Add(time.Minute))
	}

	sleeper.p.Signal(syscall.SIGSTOP)
	defer sleeper.p.Signal(syscall.SIGCONT)
	begin := time.Now()
	failWithin(t, begin, bound, map[string]net.Conn{"the stream to the sleeper": toSleeper, "the stream that the sleeper opened": atAwake})
	awake.sees(sleeper.Name, "dead", 20*time.Second)

	sleeper.p.Signal(syscall.SIGCONT)
	begin = time.Now()
	for _, d := range all[1:] {
		d.sees(sleeper.Name, "alive", 5*time.Second)
		sleeper.sees(d.Name, "alive", 5*time.Second)
	}
	awake.awaitService("desk", 1, "passing")
	pairOf(t, awake, to, in)
	pairOf(t, sleeper, away, out)
	if got := awake.pathTo(sleeper.Name); got != "direct" {
		t.Errorf("the path is %q", got)
	}
	t.Logf("back after %v", time.Since(begin))
	failWithin(t, begin, bound, map[string]net.Conn{"at the sleeper, the stream of another": ofSleeper, "at the sleeper, its own stream": fromSleeper})
}

// failWithin reads until connections end, which is to be soon after begin, with an error and not by our deadline.
func failWithin(t *testing.T, begin time.Time, bound time.Duration, all map[string]net.Conn) {
	t.Helper()
	var reading sync.WaitGroup
	for what, c := range all {
		reading.Go(func() {
			_, err := io.Copy(io.Discard, c)
			if took := time.Since(begin); err == nil || os.IsTimeout(err) || took > bound {
				t.Errorf("%s: %v after %v, want an error within %v", what, err, took, bound)
			} else {
				t.Logf("%s: %v after %v", what, err, took)
			}
		})
	}
	reading.Wait()
}
