//go:build linux

package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestE2EQuickStart runs the README's "Two hosts" word by word.
func TestE2EQuickStart(t *testing.T) {
	Need(t, "python3", "curl", "dig")
	l := New(t)
	q := &quickStart{t: t, hosts: map[string]*Host{"host1": l.Host("host1"), "host2": l.Host("host2")}}
	for name := range q.hosts {
		q.prepare(name)
	}
	commands := quickStartCommands(t)
	if len(commands) < 9 {
		t.Fatalf("the README has %d commands, want 9 or more: %v", len(commands), commands)
	}
	for _, c := range commands {
		q.do(c[0], c[1])
	}
}

// quickStartCommands reads the lines with a prompt from the README's section.
func quickStartCommands(t *testing.T) (out [][2]string) {
	t.Helper()
	raw, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(raw), "\n## Two hosts\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, m := range regexp.MustCompile(`(?m)^(host\d)\$ (.*)$`).FindAllStringSubmatch(section, -1) {
		out = append(out, [2]string{m[1], m[2]})
	}
	return out
}

// quickStart is the user who types the README's commands.
type quickStart struct {
	t     *testing.T
	hosts map[string]*Host
}

// prepare puts micro-net where the shell finds it, and a sudo for those who are root already.
func (q *quickStart) prepare(name string) {
	q.t.Helper()
	home := filepath.Join(q.hosts[name].Dir, "home")
	if err := os.Symlink(program(q.t, "micro-net"), filepath.Join(home, "micro-net")); err != nil {
		q.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "sudo"), []byte("#!/bin/sh\nexec \"$@\"\n"), 0o755); err != nil {
		q.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "index.html"), []byte("hello from "+name+"\n"), 0o644); err != nil {
		q.t.Fatal(err)
	}
}

func (q *quickStart) shell(command string) []string {
	return []string{"sh", "-c", "PATH=$PWD:$PATH; " + command}
}

func (q *quickStart) do(host, command string) {
	q.t.Helper()
	h := q.hosts[host]
	if strings.Contains(command, "micro-net up") {
		if strings.Contains(command, "@token") {
			q.bringToken()
		}
		q.up(h, command)
		return
	}
	if background, ok := strings.CutSuffix(command, "&"); ok {
		h.Start(q.shell("exec " + background)...)
		return
	}
	want := q.expected(command)
	var out string
	var err error
	// What was said a moment ago on another host may need a moment to arrive; a person is slower.
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		out, err = h.Run(cliTime, q.shell(command)...)
		if (err == nil && strings.Contains(out, want)) || time.Now().After(deadline) {
			break
		}
	}
	if err != nil || !strings.Contains(out, want) {
		q.t.Fatalf("%s$ %s\n%s%v\nwant %q", host, command, out, err, want)
	}
}

// up starts a daemon the way the README does and waits until it is ready.
func (q *quickStart) up(h *Host, command string) {
	q.t.Helper()
	p := h.Start(q.shell("exec " + command)...)
	q.t.Cleanup(func() {
		if q.t.Failed() {
			q.t.Logf("the daemon on %s said:\n%s", h.Name, p.Output())
		}
	})
	if out, err := h.Run(cliTime, q.shell("micro-net status --wait ready --timeout 20s")...); err != nil {
		q.t.Fatalf("%s$ %s: %v: %s", h.Name, command, err, out)
	}
}

func (q *quickStart) bringToken() {
	q.t.Helper()
	raw, err := os.ReadFile(filepath.Join(q.hosts["host1"].Dir, "home", "token"))
	if err == nil {
		err = os.WriteFile(filepath.Join(q.hosts["host2"].Dir, "home", "token"), raw, 0o600)
	}
	if err != nil || len(lines(string(raw))) != 1 {
		q.t.Fatalf("the token is %q, %v; want one line", raw, err)
	}
}

// expected is what a command must print.
func (q *quickStart) expected(command string) string {
	switch {
	case strings.Contains(command, "call web"), strings.Contains(command, "curl"):
		return "hello from host1\n"
	case strings.Contains(command, "micro-net nodes"):
		return "host1"
	}
	return ""
}

// TestE2EStatusOfTwoHosts: what the two hosts say of each other once they are up.
func TestE2EStatusOfTwoHosts(t *testing.T) {
	Need(t, "curl")
	all := cluster(t, 2)
	for _, d := range all {
		if got := fmt.Sprint(d.nodes()); got != "map[host1:alive host2:alive]" {
			t.Errorf("%s sees %s", d.Name, got)
		}
	}
	for _, c := range []struct{ path, want string }{{"/healthz", "200"}, {"/readyz", "200"}, {"/metrics", "200"}, {"/api/v1/openapi.json", "200"}, {"/nothing", "404"}} {
		out, err := all[1].Run(cliTime, "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:8500"+c.path)
		if err != nil || out != c.want {
			t.Errorf("GET %s = %s, %v; want %s", c.path, out, err, c.want)
		}
	}
	if out, err := all[1].Run(cliTime, "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Host: evil.example", "http://127.0.0.1:8500/api/v1/status"); err != nil || out != "403" {
		t.Errorf("a foreign Host header gets %s, %v; want 403", out, err)
	}
}
