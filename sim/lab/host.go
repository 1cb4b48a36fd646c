//go:build linux

package lab

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Host is one machine: a network namespace with a link to the router, and a mount namespace with
// folders of its own.
type Host struct {
	Name string
	Addr string // IPv4
	Dir  string // for the host's files, the same path on it and outside

	lab      *Lab
	number   int // among the lab's hosts, from 1
	ns, link string
	holder   int      // process that keeps the mount namespace
	wan      *station // of a host of a Wan

	mu        sync.Mutex
	processes []*Process
}

// setup runs in the new namespaces: $1 is the host's folder, $2 its name. Mounts are private to it.
const setup = `set -e
mount --bind "$1/etc" /etc
mount --bind "$1/run" /run
mount --bind "$1/lib" /var/lib
hostname "$2"
echo ready
exec sleep 2147483647`

// copyEtc takes along what programs need of the machine's /etc: users, libraries, names of programs.
const copyEtc = `cd /etc && for f in passwd group nsswitch.conf services protocols ld.so.cache ld.so.conf ld.so.conf.d alternatives; do
	if test -e $f; then cp -a $f "$1"; fi
done`

// boot makes the host's folders and the process that keeps its namespaces.
func (h *Host) boot() {
	h.lab.t.Helper()
	for _, d := range []string{"etc", "run", "lib", "home"} {
		if err := os.MkdirAll(filepath.Join(h.Dir, d), 0o755); err != nil {
			h.lab.t.Fatal(err)
		}
	}
	h.lab.run("sh", "-c", copyEtc, "sh", h.Path("/etc"))
	h.write("/etc/resolv.conf", "")
	h.write("/etc/hosts", "127.0.0.1 localhost\n"+h.Addr+" "+h.Name+"\n")
	p := start(h.lab.t, exec.Command("ip", "netns", "exec", h.ns, "unshare", "--mount", "--uts", "sh", "-c", setup, "sh", h.Dir, h.Name))
	h.holder = p.PID()
	h.lab.t.Cleanup(h.halt)
	for deadline := time.Now().Add(commandTime); p.Output() != "ready\n"; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) || !p.Running() {
			h.lab.t.Fatalf("host %s: %s", h.Name, p.Output())
		}
	}
}

// Path is where the outside finds a file of the host's /etc, /run or /var/lib.
func (h *Host) Path(path string) string {
	return filepath.Join(h.Dir, strings.TrimPrefix(path, "/var"))
}

func (h *Host) write(path, text string) {
	h.lab.t.Helper()
	path = h.Path(path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		h.lab.t.Fatal(err)
	}
	// A symbolic link, as resolv.conf often is, must not be followed out of the host's folder.
	if err := os.RemoveAll(path); err != nil {
		h.lab.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		h.lab.t.Fatal(err)
	}
}

// Resolver makes programs on this host ask a DNS server at the given address, port 53. A new host
// has none.
func (h *Host) Resolver(addr string) {
	h.lab.t.Helper()
	h.write("/etc/resolv.conf", "nameserver "+addr+"\n")
}

// command enters the host's namespaces in its home folder; the shell becomes the program.
func (h *Host) command(ctx context.Context, argv []string) *exec.Cmd {
	enter := []string{"-t", strconv.Itoa(h.holder), "-m", "-u", "-n", "--", "sh", "-c", `cd "$0" && exec "$@"`, filepath.Join(h.Dir, "home")}
	cmd := exec.CommandContext(ctx, "nsenter", append(enter, argv...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Join(h.Dir, "home"), "LC_ALL=C"}
	return cmd
}

// Run runs a program to its end and returns what it printed on stdout. The error is a
// *CommandError with the exit code and stderr.
func (h *Host) Run(timeout time.Duration, argv ...string) (string, error) {
	return h.RunInput(timeout, "", argv...)
}

// RunInput is Run with something on stdin.
func (h *Host) RunInput(timeout time.Duration, input string, argv ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	cmd := h.command(ctx, argv)
	// A child of the program that keeps stdout open must not keep the test.
	cmd.WaitDelay = time.Second
	var out, errOut strings.Builder
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &errOut
	if err := cmd.Run(); err != nil {
		return out.String(), &CommandError{Argv: argv, Err: err, Stderr: errOut.String()}
	}
	return out.String(), nil
}

// Start starts a program that runs until the test ends, Stop or Kill. Signals reach the program
// itself.
func (h *Host) Start(argv ...string) *Process {
	h.lab.t.Helper()
	p := start(h.lab.t, h.command(context.Background(), argv))
	h.mu.Lock()
	defer h.mu.Unlock()
	h.processes = append(slices.DeleteFunc(h.processes, func(p *Process) bool { return !p.Running() }), p)
	return p
}

// Crash cuts the host off and ends everything on it: no goodbye leaves it. It can be used again
// after SetLink(true).
func (h *Host) Crash() {
	h.lab.t.Helper()
	h.SetLink(false)
	for _, pid := range h.pids() {
		if pid != h.holder {
			kill(pid)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.processes {
		p.Kill()
	}
	h.processes = nil
}

// halt ends everything on the host at the end of the test.
func (h *Host) halt() {
	for _, pid := range h.pids() {
		kill(pid)
	}
}

func kill(pid int) {
	// It may have ended by itself.
	_ = syscall.Kill(pid, syscall.SIGKILL)
}

// pids lists the processes in the host's network namespace, which nothing else uses.
func (h *Host) pids() []int {
	out, err := exec.Command("ip", "netns", "pids", h.ns).Output()
	if err != nil {
		h.lab.t.Errorf("list the processes of %s: %v", h.Name, err)
	}
	var pids []int
	for f := range strings.FieldsSeq(string(out)) {
		// The test itself has threads in there when it dials from the host.
		if pid, err := strconv.Atoi(f); err == nil && pid != os.Getpid() {
			pids = append(pids, pid)
		}
	}
	return pids
}

// SetLink connects the host to the router or cuts it off.
func (h *Host) SetLink(up bool) {
	h.lab.t.Helper()
	state := "down"
	if up {
		state = "up"
	}
	h.lab.run("ip", "-n", h.lab.router, "link", "set", h.link, state)
}
