//go:build linux

package lab

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// helperMode is the variable that makes the test binary a program of a host (helper_test.go).
const helperMode = "LAB_HELPER"

func TestMain(m *testing.M) {
	if mode := os.Getenv(helperMode); mode != "" {
		if err := help(mode, os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := m.Run()
	if programFolder != "" {
		_ = os.RemoveAll(programFolder)
	}
	os.Exit(code)
}

// programFolder has the programs that run on hosts, "" until a test asked for one.
var programFolder string

// programs builds micro-net, once, into a folder that all users can read, with this test binary as
// "helper" beside it.
var programs = sync.OnceValue(func() (err error) {
	if programFolder, err = os.MkdirTemp("", "labbin"); err != nil {
		return err
	}
	if err := os.Chmod(programFolder, 0o755); err != nil {
		return err
	}
	build := exec.Command("go", "build", "-o", filepath.Join(programFolder, "micro-net"), "github.com/micro/micro-net/cmd/micro-net")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build micro-net: %w: %s", err, out)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return copyFile(self, filepath.Join(programFolder, "helper"))
})

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return out.Close()
}

// program returns the path of micro-net or helper.
func program(t testing.TB, name string) string {
	t.Helper()
	if err := programs(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(programFolder, name)
}

// cliTime bounds client verbs; none of those the tests call should take longer.
const cliTime = 40 * time.Second

// daemon is one `micro-net up` on a host.
type daemon struct {
	*Host
	t     testing.TB
	user  []string // in front of every command: another user
	api   []string // --api, where the default place is not used
	flags []string
	p     *Process
}

// up starts a daemon and waits until it is ready.
func (h *Host) up(t testing.TB, flags ...string) *daemon {
	t.Helper()
	d := &daemon{Host: h, t: t, flags: flags}
	d.start()
	return d
}

// start starts the daemon, again with the same flags, and waits until it is ready.
func (d *daemon) start() {
	d.t.Helper()
	d.launch()
	d.ready()
}

// launch starts the daemon only.
func (d *daemon) launch(more ...string) {
	d.t.Helper()
	argv := append(append([]string{}, d.user...), program(d.t, "micro-net"), "up")
	d.p = d.Start(append(append(argv, d.flags...), more...)...)
	d.t.Cleanup(func() {
		if d.t.Failed() {
			d.t.Logf("the daemon on %s said:\n%s", d.Name, tail(d.p.Output(), 40))
		}
	})
}

func (d *daemon) ready() {
	d.t.Helper()
	done := make(chan error, 1)
	go func() {
		_, err := d.run("status", "--wait", "ready", "--timeout", "20s")
		done <- err
	}()
	for {
		select {
		case err := <-done:
			if err != nil {
				d.t.Fatalf("the daemon on %s is not ready: %v", d.Name, err)
			}
			return
		case <-time.After(50 * time.Millisecond):
			if !d.p.Running() {
				d.t.Fatalf("the daemon on %s ended: %v: %s", d.Name, d.p.err, d.p.Output())
			}
		}
	}
}

// run runs a client verb on the daemon's host.
func (d *daemon) run(args ...string) (string, error) {
	return d.runInput("", args...)
}

func (d *daemon) runInput(input string, args ...string) (string, error) {
	argv := append(append([]string{}, d.user...), program(d.t, "micro-net"))
	// --api goes behind the verb, and in front of what `run` starts.
	return d.RunInput(cliTime, input, append(append(append(argv, args[0]), d.api...), args[1:]...)...)
}

// must is run for verbs that have to succeed.
func (d *daemon) must(args ...string) string {
	d.t.Helper()
	out, err := d.run(args...)
	if err != nil {
		d.t.Fatalf("on %s: %v", d.Name, err)
	}
	return out
}

// fails is run for verbs that have to fail, with this exit code and these words on stderr.
func (d *daemon) fails(code int, words string, args ...string) string {
	d.t.Helper()
	_, err := d.run(args...)
	return refused(d.t, err, code, words)
}

// refused checks the exit code of a failure, and that it is one line that contains the words.
func refused(t testing.TB, err error, code int, words string) string {
	t.Helper()
	e, _ := err.(*CommandError) //nolint:errorlint // made by Host.Run
	if e == nil {
		t.Errorf("succeeded, want exit %d", code)
		return ""
	}
	if got := ExitCode(err); got != code {
		t.Errorf("exit %d, want %d: %v", got, code, err)
	}
	text := strings.TrimSpace(e.Stderr)
	if n := len(lines(text)); n != 1 || !strings.HasPrefix(text, "micro-net: ") {
		t.Errorf("stderr is %d lines, want one that starts with micro-net: %q", n, text)
	}
	for w := range strings.SplitSeq(words, "…") {
		if !strings.Contains(text, w) {
			t.Errorf("stderr does not say %q: %s", w, text)
		}
	}
	return text
}

// json decodes what a verb prints with --json.
func (d *daemon) json(v any, args ...string) {
	d.t.Helper()
	out := d.must(append(args, "--json")...)
	if err := json.Unmarshal([]byte(out), v); err != nil {
		d.t.Fatalf("%v --json: %v: %s", args, err, out)
	}
}

// token makes a join token.
func (d *daemon) token(flags ...string) string {
	d.t.Helper()
	return strings.TrimSpace(d.must(append([]string{"invite"}, flags...)...))
}

// end asks the daemon to end and checks that it does so with exit code 0.
func (d *daemon) end() {
	d.t.Helper()
	if err := d.p.Stop(); err != nil {
		d.t.Errorf("the daemon on %s ended with %v after SIGTERM", d.Name, err)
	}
}

// kill ends the daemon at once.
func (d *daemon) kill() { d.p.Signal(syscall.SIGKILL); <-d.p.ended }

// nodes tells the status of each node by name, as this daemon sees it.
func (d *daemon) nodes() map[string]string {
	d.t.Helper()
	var list []struct{ Name, Status string }
	d.json(&list, "nodes")
	out := map[string]string{}
	for _, n := range list {
		out[n.Name] = n.Status
	}
	return out
}

// await waits until this daemon sees so many nodes alive.
func (d *daemon) await(nodes int) {
	d.t.Helper()
	d.must("status", "--wait", fmt.Sprintf("nodes=%d", nodes), "--timeout", "20s")
}

// awaitService waits until a service has so many instances with that health here.
func (d *daemon) awaitService(service string, instances int, health string) {
	d.t.Helper()
	eventually(d.t, 15*time.Second, fmt.Sprintf("%s sees %d %s instances of %s", d.Name, instances, health, service), func() bool {
		return d.instances(service)[health] == instances
	})
}

// instances counts the instances of a service by health.
func (d *daemon) instances(service string) map[string]int {
	d.t.Helper()
	out := map[string]int{}
	text, err := d.run("services", service, "--json")
	if ExitCode(err) == 3 {
		return out
	}
	var list []struct{ Instances []struct{ Health string } }
	if err != nil || json.Unmarshal([]byte(text), &list) != nil || len(list) != 1 {
		d.t.Fatalf("services %s: %v: %s", service, err, text)
	}
	for _, i := range list[0].Instances {
		out[i.Health]++
	}
	return out
}

// vip asks for the address that stands for a service here.
func (d *daemon) vip(service string) string {
	d.t.Helper()
	var list []struct{ VIP string }
	d.json(&list, "services", service)
	return list[0].VIP
}

// cluster makes hosts host1, host2, … with a daemon each, all in one cluster.
func cluster(t testing.TB, size int, flags ...string) []*daemon {
	t.Helper()
	l := New(t)
	all := []*daemon{l.Host("host1").up(t, flags...)}
	token := ""
	if size > 1 {
		token = all[0].token("--uses", fmt.Sprint(size-1))
	}
	for i := 2; i <= size; i++ {
		all = append(all, l.Host(fmt.Sprintf("host%d", i)).up(t, append([]string{"--join", token}, flags...)...))
	}
	for _, d := range all {
		d.await(size)
	}
	return all
}

func tail(s string, n int) string {
	all := strings.Split(s, "\n")
	return strings.Join(all[max(0, len(all)-n):], "\n")
}
