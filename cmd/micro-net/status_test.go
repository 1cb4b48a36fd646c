package main

import (
	"strings"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/node/api"
)

func TestWaitHolds(t *testing.T) {
	w := newWorld(t).start()
	for _, args := range [][]string{
		{"--wait", "ready"},
		{"--wait", "nodes=2"},
		{"--wait", "service=web"},
		{"--wait", "ready", "--wait", "nodes=1", "--wait", "service=web"},
	} {
		if r := w.run(append([]string{"status", "--timeout", "5s"}, args...)...); r.code != 0 || !strings.HasPrefix(r.out, "node ") {
			t.Errorf("%v: exit %d, %q", args, r.code, r.err)
		}
	}
}

func TestWaitTimesOut(t *testing.T) {
	w := newWorld(t).start()
	w.backend.status.Ready = false
	for wait, reason := range map[string]string{
		"ready": "the node is not ready", "nodes=3": "2 of 3 nodes are alive",
		"service=redis": `no instance of "redis" is healthy`, "service=nope": `no service "nope" in the mesh`,
	} {
		r := w.run("status", "--wait", wait, "--timeout", "300ms")
		if want := "micro-net: status: waited 300ms: " + reason + "\n"; r.code != micronet.ExitUnreachable || r.err != want || r.out != "" {
			t.Errorf("--wait %s: exit %d, %q, want 5, %q", wait, r.code, r.err, want)
		}
	}
	w.stop()
	r := w.run("status", "--wait", "ready", "--timeout", "300ms")
	if want := "micro-net: status: waited 300ms: no daemon answers on unix://$DIR/api.sock; start one with `micro-net up`, or name it with --api\n"; r.code != micronet.ExitUnreachable || r.err != want {
		t.Errorf("without a daemon: exit %d, %q, want 5, %q", r.code, r.err, want)
	}
}

// TestWaitGoesOn while nothing answers, and until the condition holds.
func TestWaitGoesOn(t *testing.T) {
	w := newWorld(t)
	w.backend.status.Ready = false
	done := make(chan result, 1)
	go func() {
		var out, errs output
		code := w.app(&out, &errs).run(t.Context(), []string{"status", "--wait", "ready", "--timeout", "20s"})
		done <- result{code, out.String(), errs.String()}
	}()
	time.Sleep(2 * waitEvery) // real sockets: nobody listens yet
	w.start()
	time.Sleep(2 * waitEvery)
	w.backend.change(func() { w.backend.status.Ready = true })
	if r := <-done; r.code != 0 {
		t.Errorf("exit %d, %s", r.code, r.err)
	}
}

// TestWaitEndsAtARefusal: nothing gets better by waiting.
func TestWaitEndsAtARefusal(t *testing.T) {
	w := newWorld(t).start()
	w.backend.fail = micronet.E("services", micronet.Refused, "no")
	if r := w.run("status", "--wait", "service=web", "--timeout", "1h"); r.code != micronet.ExitRefused {
		t.Errorf("exit %d, %s", r.code, r.err)
	}
}

func TestStatusScreenNotReady(t *testing.T) {
	w := newWorld(t)
	w.backend.status.Ready = false
	w.backend.status.Certificate = api.Certificate{Expires: wall.Add(-time.Minute)}
	golden(t, "status-not-ready", w.start().run("status").text())
}

func TestResolveAnswers(t *testing.T) {
	w := newWorld(t).start()
	for name, c := range map[string]struct {
		rcode, reason string
		answers       bool
		code          int
		err           string
	}{
		"answer":   {"NOERROR", "", true, 0, ""},
		"nodata":   {"NOERROR", "port 80 is held by nginx", false, 3, "resolve: web.micro.internal. has no record of type A: port 80 is held by nginx"},
		"nxdomain": {"NXDOMAIN", "", false, 3, "resolve: web.micro.internal.: NXDOMAIN"},
		"servfail": {"SERVFAIL", "not synchronised", false, 5, "resolve: web.micro.internal.: SERVFAIL: not synchronised"},
		"refused":  {"REFUSED", "", false, 4, "resolve: web.micro.internal.: REFUSED"},
	} {
		w.backend.resolution = newFakeBackend().resolution
		w.backend.resolution.Rcode, w.backend.resolution.Reason = c.rcode, c.reason
		if !c.answers {
			w.backend.resolution.Answers = nil
		}
		r := w.run("resolve", "web", "a")
		if c.err != "" {
			c.err = "micro-net: " + c.err + "\n"
		}
		if r.code != c.code || r.err != c.err {
			t.Errorf("%s: exit %d, %q, want %d, %q", name, r.code, r.err, c.code, c.err)
		}
	}
	if got := strings.Split(w.backend.noted(), "\n")[0]; got != "resolve web A" {
		t.Errorf("the daemon was asked %q", got)
	}
}

// TestPingCountsLoss: answers that do not come are counted; none at all is a failure.
func TestPingCountsLoss(t *testing.T) {
	w := newWorld(t).start()
	w.backend.fail = micronet.E("ping", micronet.Timeout, "no answer")
	r := w.run("ping", "b", "-c", "2", "-i", "1ms")
	if r.code != micronet.ExitUnreachable || !strings.HasSuffix(r.out, "b: 2 sent, 0 received, round trip min/avg/max 0.00/0.00/0.00 ms\n") {
		t.Errorf("exit %d, %q, %q", r.code, r.out, r.err)
	}
	w.backend.fail, w.backend.calls = micronet.E("node", micronet.NotFound, "no node"), nil
	if r := w.run("ping", "x", "-c", "3", "-i", "1h"); r.code != micronet.ExitNotFound || r.out != "" {
		t.Errorf("unknown node: exit %d, %q", r.code, r.out)
	}
}

func TestPingSums(t *testing.T) {
	var p pings
	for _, ms := range []float64{2, 1, 6} {
		p.add(&api.Pong{Node: "b", RTTMs: ms})
	}
	if p.MinMs != 1 || p.AvgMs != 3 || p.MaxMs != 6 || p.Received != 3 {
		t.Errorf("%+v", p)
	}
}

func TestUnits(t *testing.T) {
	for ms, want := range map[int64]string{
		0: "0.0s", 1500: "1.5s", 9999: "10.0s", 10_000: "10s", 119_000: "119s", 120_000: "2m", 7_199_000: "119m",
		7_200_000: "2h", 48 * 3_600_000: "2d", 400 * 24 * 3_600_000: "400d",
	} {
		if got := age(ms); got != want {
			t.Errorf("age(%d) = %q, want %q", ms, got, want)
		}
	}
	for ms, want := range map[float64]string{0: "", 0.123: "0.12ms", 9.99: "9.99ms", 10: "10ms", 1234.4: "1234ms"} {
		if got := rtt(ms); got != want {
			t.Errorf("rtt(%v) = %q, want %q", ms, got, want)
		}
	}
	for n, want := range map[uint64]string{0: "0B", 1023: "1023B", 1024: "1.0KiB", 1536: "1.5KiB", 1 << 30: "1.0GiB", 1<<64 - 1: "16384.0PiB"} {
		if got := size(n); got != want {
			t.Errorf("size(%d) = %q, want %q", n, got, want)
		}
	}
	if shortID("abc") != "abc" || shortID("abcdefghij") != "abcdefgh" {
		t.Error("shortID")
	}
}
