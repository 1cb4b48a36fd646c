//go:build linux

package lab

import (
	"testing"
	"time"
)

// sees waits until a daemon shows a node in that state.
func (d *daemon) sees(node, status string, within time.Duration) {
	d.t.Helper()
	took := eventually(d.t, within, d.Name+" sees "+node+" "+status, func() bool { return d.nodes()[node] == status })
	d.t.Logf("%s sees %s %s after %v", d.Name, node, status, took)
}

// TestE2ERejoinWithoutToken: a daemon that is killed, a host that loses power, and one that ends
// politely all come back with what is in the data folder.
func TestE2ERejoinWithoutToken(t *testing.T) {
	all := cluster(t, 3)
	seed, node := all[0], all[1]
	node.web("web", 8080)
	seed.awaitService("web", 1, "passing")

	t.Log("the daemon is killed")
	node.kill()
	node.start()
	seed.sees(node.Name, "alive", 10*time.Second)
	seed.awaitService("web", 1, "passing")

	t.Log("SIGTERM")
	node.end()
	for _, d := range []*daemon{seed, all[2]} {
		d.sees(node.Name, "left", 3*time.Second)
	}
	node.start()
	seed.sees(node.Name, "alive", 10*time.Second)
	seed.awaitService("web", 1, "passing")

	t.Log("the host loses power")
	node.Crash()
	seed.sees(node.Name, "dead", 15*time.Second)
	node.SetLink(true)
	node.start()
	seed.sees(node.Name, "alive", 10*time.Second)
	all[2].sees(node.Name, "alive", 10*time.Second)
	node.helper(t, "web", node.Name, "127.0.0.1:8080")
	seed.awaitService("web", 1, "passing")

	t.Log("leave")
	node.must("leave")
	if err := node.p.Wait(stopTime); err != nil {
		t.Errorf("the daemon ended with %v after leave", err)
	}
	for _, d := range []*daemon{seed, all[2]} {
		d.sees(node.Name, "left", 3*time.Second)
	}
}

// TestE2ERejoinInAnyOrder: after a power cut everywhere the second host is up before the one it
// once joined through.
func TestE2ERejoinInAnyOrder(t *testing.T) {
	all := cluster(t, 3)
	all[0].web("web", 8080)
	all[2].awaitService("web", 1, "passing")
	for _, d := range all {
		d.Crash()
	}
	for _, d := range all {
		d.SetLink(true)
	}
	all[1].launch()
	all[2].launch()
	all[1].await(2)
	all[0].helper(t, "web", all[0].Name, "127.0.0.1:8080")
	all[0].start()
	for _, d := range all {
		d.must("status", "--wait", "ready", "--wait", "nodes=3", "--wait", "service=web", "--timeout", "30s")
	}
}

// TestE2ERejoinAfterCut: two sides that each took the other for dead agree again.
func TestE2ERejoinAfterCut(t *testing.T) {
	all := cluster(t, 3)
	cut := all[2]
	cut.SetLink(false)
	all[0].sees(cut.Name, "dead", 20*time.Second)
	cut.sees(all[0].Name, "dead", 20*time.Second)
	cut.SetLink(true)
	all[0].sees(cut.Name, "alive", 30*time.Second)
	cut.sees(all[1].Name, "alive", 30*time.Second)
}

// TestE2ERejoinAndStopAtOnce: a daemon that is asked to end right after it came back from a crash
// is shown as what it is, though the others have hardly noticed its new life.
func TestE2ERejoinAndStopAtOnce(t *testing.T) {
	all := cluster(t, 3)
	node := all[1]
	node.kill()
	node.start()
	node.end()
	for _, d := range []*daemon{all[0], all[2]} {
		d.sees(node.Name, "left", 10*time.Second)
	}
}
