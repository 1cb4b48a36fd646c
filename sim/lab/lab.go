//go:build linux

package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// commandTime bounds the commands that build the lab.
const commandTime = 10 * time.Second

// labs numbers the labs of this process: several may live at once.
var labs atomic.Uint32

// Lab is one internet of namespaces.
type Lab struct {
	t      testing.TB
	prefix string // of the names of namespaces and links
	router string // namespace
	hosts  int
	dir    string
}

// New makes an empty lab with a router. The test is skipped without root or a needed program.
func New(t testing.TB) *Lab {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: network namespaces")
	}
	Need(t, "ip", "nsenter", "unshare", "mount")
	l := &Lab{t: t, prefix: fmt.Sprintf("mn%d%c", os.Getpid()%100_000, 'a'+rune(labs.Add(1)-1)%26), dir: folder(t)}
	l.router = l.namespace("r")
	l.run("ip", "netns", "exec", l.router, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
	return l
}

// folder makes a folder that programs of all users may enter, unlike t.TempDir.
func folder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lab")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove the lab's folder: %v", err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Need skips the test when a program is missing.
func Need(t testing.TB, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("needs %s: not installed", p)
		}
	}
}

func (l *Lab) run(argv ...string) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandTime)
	defer cancel()
	if out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput(); err != nil {
		l.t.Fatalf("%s: %v: %s", strings.Join(argv, " "), err, out)
	}
}

// namespace makes a network namespace with loopback up.
func (l *Lab) namespace(name string) string {
	l.t.Helper()
	ns := l.prefix + name
	l.run("ip", "netns", "add", ns)
	l.t.Cleanup(func() { l.run("ip", "netns", "del", ns) })
	l.run("ip", "-n", ns, "link", "set", "lo", "up")
	return ns
}

// Host adds a host with an address of its own, joined to the router. What is sent to a host whose
// link is down vanishes without an error, as it does in a data centre.
func (l *Lab) Host(name string) *Host {
	l.t.Helper()
	l.hosts++
	h := &Host{
		lab: l, Name: name, number: l.hosts, ns: l.namespace(name), Addr: fmt.Sprintf("10.88.%d.2", l.hosts),
		Dir: filepath.Join(l.dir, name), link: fmt.Sprintf("%s-%d", l.prefix, l.hosts),
	}
	network, gateway := fmt.Sprintf("10.88.%d.0/24", l.hosts), fmt.Sprintf("10.88.%d.1", l.hosts)
	l.run("ip", "link", "add", h.link, "netns", l.router, "type", "veth", "peer", "name", "eth0", "netns", h.ns)
	l.run("ip", "-n", l.router, "addr", "add", gateway+"/24", "dev", h.link)
	l.run("ip", "-n", l.router, "link", "set", h.link, "up")
	l.run("ip", "-n", l.router, "route", "add", "blackhole", network, "metric", "4096")
	l.run("ip", "-n", h.ns, "addr", "add", h.Addr+"/24", "dev", "eth0")
	l.run("ip", "-n", h.ns, "link", "set", "eth0", "up")
	l.run("ip", "-n", h.ns, "route", "add", "default", "via", gateway)
	h.boot()
	return h
}
