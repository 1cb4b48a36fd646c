//go:build linux

package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// benchDaemon is micro-net on a host. Its folders are the host's own, so that all settings keep
// their defaults. The tests talk to its socket, which the file system shows on the outside too.
type benchDaemon struct {
	t       testing.TB
	host    *Host
	binary  string
	process *Process
	started time.Time
	client  *http.Client
}

// benchDataDir is the daemon's default for root.
const benchDataDir = "/var/lib/micro-net"

// startDaemon runs `up` of a binary on a host, as a new node.
func startDaemon(t testing.TB, binary string, h *Host, args ...string) *benchDaemon {
	t.Helper()
	if err := os.RemoveAll(h.Path(benchDataDir)); err != nil {
		t.Fatal(err)
	}
	return restartDaemon(t, binary, h, args...)
}

// restartDaemon runs `up` on a host with what the data folder holds.
func restartDaemon(t testing.TB, binary string, h *Host, args ...string) *benchDaemon {
	t.Helper()
	d := &benchDaemon{t: t, host: h, binary: benchPath(t, binary)}
	d.client = &http.Client{Timeout: commandTime, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", h.Path("/run/micro-net/api.sock"))
		},
		DisableKeepAlives: true,
	}}
	d.started = time.Now()
	d.process = h.Start(append([]string{d.binary, "up"}, args...)...)
	return d
}

// benchPath is a binary's absolute path.
func benchPath(t testing.TB, binary string) string {
	t.Helper()
	path, err := filepath.Abs(binary)
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		t.Fatalf("%v: run `make build` first", err)
	}
	return path
}

// get asks the API.
func (d *benchDaemon) get(path string, into any) error {
	resp, err := d.client.Get("http://daemon" + path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path, resp.Status)
	}
	if into == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

// benchPoll is how often a daemon is asked whether it is ready: the error of the time to ready.
const benchPoll = time.Millisecond

// awaitReady waits until the daemon is ready and returns how long that took since its start.
func (d *benchDaemon) awaitReady() time.Duration {
	d.t.Helper()
	for {
		if d.get("/readyz", nil) == nil {
			return time.Since(d.started)
		}
		if time.Since(d.started) > benchReady || !d.process.Running() {
			d.t.Fatalf("the daemon on %s is not ready:\n%s", d.host.Name, d.process.Output())
		}
		time.Sleep(benchPoll)
	}
}

func (d *benchDaemon) invite() string {
	d.t.Helper()
	out, err := d.host.Run(commandTime, d.binary, "invite")
	if err != nil {
		d.t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// vip waits until a service has a passing instance here, and returns its address.
func (d *benchDaemon) vip(service string, port int) string {
	d.t.Helper()
	type known struct {
		VIP       string
		Ports     []int
		Instances []struct{ Health string }
	}
	var all []known
	for deadline := time.Now().Add(benchReady); ; time.Sleep(10 * time.Millisecond) {
		err := d.get("/api/v1/services/"+service, &all)
		if err == nil && len(all) == 1 && len(all[0].Instances) == 1 && all[0].Instances[0].Health == "passing" {
			break
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("%s is not known on %s: %v %v\n%s", service, d.host.Name, all, err, d.process.Output())
		}
	}
	if !slices.Contains(all[0].Ports, port) {
		d.t.Fatalf("%s has the ports %v, want %d", service, all[0].Ports, port)
	}
	return all[0].VIP
}

// awaitNodes waits until the daemon counts n nodes alive.
func (d *benchDaemon) awaitNodes(n int) {
	d.t.Helper()
	var status struct{ Nodes struct{ Alive int } }
	for deadline := time.Now().Add(benchReady); ; time.Sleep(10 * time.Millisecond) {
		if err := d.get("/api/v1/status", &status); err == nil && status.Nodes.Alive == n {
			return
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("%s knows %d nodes, want %d\n%s", d.host.Name, status.Nodes.Alive, n, d.process.Output())
		}
	}
}
