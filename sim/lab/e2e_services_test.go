//go:build linux

package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// file writes a file of services.d, as an editor does.
func (d *daemon) file(name, text string) {
	d.t.Helper()
	dir := d.Path("/etc/micro-net/services.d")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		d.t.Fatal(err)
	}
	tmp := filepath.Join(d.Dir, "home", name)
	if err := os.WriteFile(tmp, []byte(text), 0o644); err != nil {
		d.t.Fatal(err)
	}
	if err := os.Rename(tmp, filepath.Join(dir, name)); err != nil {
		d.t.Fatal(err)
	}
}

// TestE2EServicesFromFiles: a file takes effect when it comes, changes and goes; a mistake is told
// with file and line and does not hide what is right.
func TestE2EServicesFromFiles(t *testing.T) {
	h := New(t).Host("host1")
	d := &daemon{Host: h, t: t}
	d.file("first.yaml", "services:\n  - {name: first, port: 8080}\n")
	d.start()
	h.helper(t, "web", "host1", "127.0.0.1:8080")
	d.awaitService("first", 1, "passing")

	d.file("second.json", `{"service": {"Name": "second", "Port": 8080, "Tags": ["v1"], "Check": {"TCP": "127.0.0.1:8080", "Interval": "1s"}}}`)
	d.awaitService("second", 1, "passing")
	d.file("first.yaml", "services:\n  - {name: renamed, port: 8080}\n")
	d.awaitService("renamed", 1, "passing")
	d.awaitService("first", 0, "passing")

	d.file("bad.yaml", `services:
  - name: good
    port: 8080
  - name: typo
    prot: 8080
    port: 8080
  - name: range
    port: 70000
  - {name: twice, id: same, port: 8080}
  - {name: twice, id: same, port: 8081}
`)
	d.awaitService("good", 1, "passing")
	d.awaitService("twice", 1, "passing")
	log := d.p.Output()
	for _, want := range []string{"bad.yaml:5", `did you mean \"port\"`, "bad.yaml:8", "70000", "bad.yaml:10", "same"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log does not say %s:\n%s", want, tail(log, 12))
		}
	}
	for _, gone := range []string{"typo", "range"} {
		d.fails(3, gone, "services", gone)
	}
	d.must("validate", h.Path("/etc/micro-net/services.d/first.yaml"))
	_, err := d.run("validate", h.Path("/etc/micro-net/services.d/bad.yaml"))
	if ExitCode(err) != 2 || !strings.Contains(err.Error(), "bad.yaml:5") {
		t.Errorf("validate = %v, want exit 2 and the line", err)
	}

	if err := os.Remove(h.Path("/etc/micro-net/services.d/first.yaml")); err != nil {
		t.Fatal(err)
	}
	d.awaitService("renamed", 0, "passing")
}

// TestE2EServicesOfCommands: `run` registers as long as its command lives, passes signals and the
// exit code on.
func TestE2EServicesOfCommands(t *testing.T) {
	Need(t, "socat", "curl")
	all := cluster(t, 2)
	host1, host2 := all[0], all[1]
	micro := program(t, "micro-net")
	run := func(command ...string) *Process {
		return host1.Start(append([]string{micro, "run", "--service", "job", "--port", "7001", "--"}, command...)...)
	}
	p := run("socat", "-T10", "TCP-LISTEN:7001,bind=127.0.0.1,fork,reuseaddr", "SYSTEM:cat")
	host2.awaitService("job", 1, "passing")
	if out, err := host2.runInput("over and back\n", "dial", "job"); err != nil || out != "over and back\n" {
		t.Errorf("dial job = %q, %v", out, err)
	}
	p.Signal(syscall.SIGTERM)
	if err := p.Wait(stopTime); ExitCode(err) != 143 {
		t.Errorf("run ended with %v after SIGTERM, want 143, as socat does", err)
	}
	host2.awaitService("job", 0, "passing")
	for _, c := range []struct {
		want    int
		command []string
	}{
		{0, []string{"true"}}, {7, []string{"sh", "-c", "exit 7"}}, {127, []string{"/no/such/program"}}, {126, []string{"/etc/passwd"}},
	} {
		if err := run(c.command...).Wait(stopTime); ExitCode(err) != c.want {
			t.Errorf("run -- %v = %v, want exit %d", c.command, err, c.want)
		}
	}
	eventually(t, 5*time.Second, "the other host has seen the last of them go", func() bool {
		_, err := host2.run("services", "job")
		return ExitCode(err) == 3
	})
	// When the daemon is gone and comes back, the command lives and is registered again.
	p = run("sleep", "1000")
	host1.awaitService("job", 1, "critical")
	p.Kill()
	host1.awaitService("job", 0, "critical")
}

// TestE2EServicesThroughVerbs: forward, call, resolve, ping, doctor from the second host.
func TestE2EServicesThroughVerbs(t *testing.T) {
	Need(t, "curl")
	all := cluster(t, 2)
	host1, host2 := all[0], all[1]
	host1.web("web", 8080)
	host2.must("status", "--wait", "service=web", "--timeout", "15s")
	host2.fails(5, "nodes", "status", "--wait", "nodes=9", "--timeout", "1s")

	f := host2.Start(program(t, "micro-net"), "forward", "web", "9000")
	eventually(t, 10*time.Second, "forward listens", func() bool { return strings.Contains(f.Output(), "127.0.0.1:9000") })
	if out, err := host2.Run(cliTime, "curl", "-sS", "--max-time", "10", "http://127.0.0.1:9000/"); err != nil || out != "host1\n" {
		t.Errorf("through forward: %q, %v", out, err)
	}
	f.Signal(syscall.SIGINT)
	if err := f.Wait(stopTime); ExitCode(err) != 130 {
		t.Errorf("forward ended with %v after Ctrl-C, want 130", err)
	}
	if out := host2.must("resolve", "web"); !strings.Contains(out, host2.vip("web")) {
		t.Errorf("resolve web = %s", out)
	}
	if out := host2.must("ping", "host1", "-c", "1"); !strings.Contains(out, "host1") {
		t.Errorf("ping = %s", out)
	}
	host2.must("doctor")
	for format, want := range map[string]string{"ascii": "host1", "dot": "graph", "mermaid": "graph", "json": `"edges"`} {
		if out := host2.must("graph", "--format", format); !strings.Contains(out, want) {
			t.Errorf("graph --format %s = %s", format, out)
		}
	}
	if out := host1.must("deregister", "web"); strings.Contains(out, "error") {
		t.Errorf("deregister = %s", out)
	}
	host2.awaitService("web", 0, "passing")
}

// TestE2EServicesOfOtherUsers: over the socket everybody may look and register what they run
// themselves, and nothing else.
func TestE2EServicesOfOtherUsers(t *testing.T) {
	Need(t, "curl", "setpriv")
	h := New(t).Host("host1")
	root := h.up(t)
	root.web("roots", 8080)
	user, _ := h.nobody(t)
	nobody := &daemon{Host: h, t: t, user: user, api: []string{"--api", "unix:///run/micro-net/api.sock"}}
	p, listens := nobody.stranger(7070)
	if !listens {
		t.Fatal(p.Output())
	}
	nobody.must("nodes")
	nobody.must("services")
	nobody.must("register", "--service", "mine", "--port", "7070")
	nobody.fails(4, "", "register", "--service", "stolen", "--port", "8080")
	nobody.fails(4, "", "deregister", "roots")
	nobody.fails(4, "", "invite")
	nobody.fails(4, "", "leave")
	nobody.fails(4, "", "join", root.token())
	nobody.must("deregister", "mine")

	// Over TCP nobody can be told apart: services of this host, and no trust.
	tcp := func(method, path, body string) string {
		out, err := h.Run(cliTime, "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", method, "-H", "Content-Type: application/json",
			"-d", body, "http://127.0.0.1:8500/api/v1/"+path)
		if err != nil {
			t.Error(err)
		}
		return out
	}
	for _, c := range []struct{ method, path, body, want string }{
		{"POST", "invite", "{}", "403"}, {"POST", "leave", "", "403"},
	} {
		if got := tcp(c.method, c.path, c.body); got != c.want {
			t.Errorf("%s %s over TCP = %s, want %s", c.method, c.path, got, c.want)
		}
	}
	root.end()
	root.flags = []string{"--api-write", "none"}
	root.start()
	if out, err := root.Run(cliTime, program(t, "micro-net"), "register", "--api", "http://127.0.0.1:8500", "--service", "x", "--port", "7070"); ExitCode(err) != 4 {
		t.Errorf("register over TCP with --api-write none = %q, %v; want exit 4", out, err)
	}
	if got := root.instances("roots"); fmt.Sprint(got) != "map[passing:1]" {
		root.awaitService("roots", 1, "passing")
	}
}
