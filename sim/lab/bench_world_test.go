//go:build linux

package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The ports of the programs on host b that all peers lead to.
const (
	benchBulk = 5201 // iperf3
	benchHTTP = 8080 // nginx
	benchPong = 7000 // echo
)

var benchPorts = []int{benchBulk, benchHTTP, benchPong}

// benchWorld is two hosts on one cable with the programs that are called.
type benchWorld struct {
	t          testing.TB
	a, b       *Host // clients; servers
	dir        string
	seconds    int    // per load
	congestion string // what TCP uses on both hosts
	turn       int    // how many peers were started, for folders of their own

	serving   []*Process // on b
	foreign   []float64  // cores that others kept busy, per load
	disturbed int        // loads that were repeated because of them
}

// benchTuning is set on both hosts: many short connections must not run out of ports, nor take
// those that a peer wants to listen on.
var benchTuning = []string{
	"net.ipv4.ip_local_port_range=20000 65000", "net.ipv4.tcp_tw_reuse=1", "net.ipv4.tcp_max_tw_buckets=4000", "net.core.somaxconn=4096",
}

func newBenchWorld(t testing.TB, seconds int) *benchWorld {
	t.Helper()
	a, b := New(t).Pair("a", "b")
	return benchWorldOf(t, seconds, a, b)
}

func benchWorldOf(t testing.TB, seconds int, a, b *Host) *benchWorld {
	t.Helper()
	w := &benchWorld{t: t, a: a, b: b, dir: t.TempDir(), seconds: seconds}
	for _, h := range []*Host{a, b} {
		w.must(h.Run(commandTime, append([]string{"sysctl", "-qw"}, benchTuning...)...))
	}
	w.congestion = w.cubic()
	benchPKI(t, w.dir)
	return w
}

func (w *benchWorld) must(out string, err error) string {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// benchAllowed lists the congestion controls that other namespaces than the first may choose.
const benchAllowed = "/proc/sys/net/ipv4/tcp_allowed_congestion_control"

// cubic makes TCP use cubic on both hosts, as most machines do, and returns what is used. The
// machine's list of allowed ones is put back at the end.
func (w *benchWorld) cubic() string {
	w.t.Helper()
	before, err := os.ReadFile(benchAllowed)
	if err != nil {
		w.t.Fatal(err)
	}
	if list := strings.TrimSpace(string(before)); !slices.Contains(strings.Fields(list), "cubic") {
		if os.WriteFile(benchAllowed, []byte(list+" cubic"), 0o644) == nil {
			w.t.Cleanup(func() { _ = os.WriteFile(benchAllowed, before, 0o644) })
		}
	}
	var used []string
	for _, h := range []*Host{w.a, w.b} {
		if _, err := h.Run(commandTime, "sysctl", "-qw", "net.ipv4.tcp_congestion_control=cubic"); err != nil {
			fmt.Printf("cubic cannot be used on host %s: %v\n", h.Name, err)
		}
		used = append(used, strings.TrimSpace(w.must(h.Run(commandTime, "sysctl", "-n", "net.ipv4.tcp_congestion_control"))))
	}
	return strings.Join(slices.Compact(used), " and ")
}

// benchNginx answers every request with 64 bytes.
const benchNginx = `worker_processes 1; daemon off; pid %[1]s/nginx.pid; error_log %[1]s/nginx.log crit; worker_rlimit_nofile 20000;
events { worker_connections 10000; }
http {
	access_log off; keepalive_requests 100000000; keepalive_timeout 600s; tcp_nodelay on;
	server {
		listen 0.0.0.0:%[2]d backlog=4096;
		location / { default_type text/plain; return 200 "hello world, this is sixty-four bytes of plain body text....ok\n"; }
	}
}
`

// serve starts the programs on b and waits until they answer.
func (w *benchWorld) serve() {
	w.t.Helper()
	conf := filepath.Join(w.dir, "nginx.conf")
	benchWrite(w.t, conf, fmt.Appendf(nil, benchNginx, w.b.Dir, benchHTTP))
	if err := os.MkdirAll(w.b.Path("/var/lib/nginx"), 0o755); err != nil { // its folder for request bodies
		w.t.Fatal(err)
	}
	w.serving = []*Process{
		w.b.Start("iperf3", "-s", "-p", fmt.Sprint(benchBulk)),
		w.b.Start("nginx", "-c", conf),
		w.b.Start(benchSockets(w.t, "echo", fmt.Sprintf("0.0.0.0:%d", benchPong))...),
	}
	w.awaitEcho(w.b.Addr)
}

// benchReady is how long a peer may take until it carries traffic.
const benchReady = 20 * time.Second

// awaitEcho waits until the echo server answers at an address of a.
func (w *benchWorld) awaitEcho(addr string) {
	w.t.Helper()
	ping := benchSockets(w.t, "ping", fmt.Sprintf("%s:%d", addr, benchPong), "20ms")
	for deadline := time.Now().Add(benchReady); ; time.Sleep(100 * time.Millisecond) {
		out, err := w.a.Run(commandTime, ping...)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("the echo server does not answer at %s: %v\n%s", addr, err, out)
		}
	}
}

// folder makes an empty folder for one turn of a peer.
func (w *benchWorld) folder() string {
	w.t.Helper()
	w.turn++
	dir := filepath.Join(w.dir, fmt.Sprint("turn", w.turn))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		w.t.Fatal(err)
	}
	return dir
}

// stopAll ends programs, the last started first.
func stopAll(programs []*Process) {
	for _, p := range slices.Backward(programs) {
		_ = p.Stop() // its exit code tells nothing: some programs take SIGTERM for an error
	}
}
