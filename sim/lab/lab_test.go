//go:build linux

package lab

import (
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

func TestLabHostsReachEachOther(t *testing.T) {
	l := New(t)
	a, b := l.Host("a"), l.Host("b")
	ln := b.listen(t, b.Addr+":7000")
	go greet(ln, "hello from b")
	if got := a.read(t, b.Addr+":7000"); got != "hello from b" {
		t.Errorf("b said %q", got)
	}

	b.SetLink(false)
	c, err := a.dial(b.Addr+":7000", 300*time.Millisecond)
	if e, ok := err.(net.Error); !ok || !e.Timeout() { //nolint:errorlint // the dialer's own error
		t.Errorf("dial over a link that is down = %v, %v; want silence", c, err)
	}
	b.SetLink(true)
	if got := a.read(t, b.Addr+":7000"); got != "hello from b" {
		t.Errorf("after the link came back b said %q", got)
	}
}

func TestLabHostHasPlacesOfItsOwn(t *testing.T) {
	l := New(t)
	a, b := l.Host("a"), l.Host("b")
	a.Resolver("192.0.2.1")
	for _, c := range []struct{ a, b, want string }{
		{"hostname", "hostname", "b\n"},
		{"cat /etc/resolv.conf", "cat /etc/resolv.conf", ""},
		{"echo a > /run/x; echo a > /var/lib/x; mkdir /etc/micro-net", "cat /run/x /var/lib/x 2>/dev/null; test -e /etc/micro-net && echo yes; true", ""},
	} {
		if _, err := a.Run(5*time.Second, "sh", "-c", c.a); err != nil {
			t.Fatal(err)
		}
		if got, err := b.Run(5*time.Second, "sh", "-c", c.b); err != nil || got != c.want {
			t.Errorf("%s on b = %q, %v; want %q", c.b, got, err, c.want)
		}
	}
	if raw, err := os.ReadFile(a.Path("/var/lib/x")); err != nil || string(raw) != "a\n" {
		t.Errorf("the file of a, seen from outside = %q, %v", raw, err)
	}
	for _, p := range []string{"/run/x", "/var/lib/x", "/etc/micro-net"} {
		if _, err := os.Stat(p); err == nil {
			t.Errorf("%s is on the machine itself", p)
		}
	}
}

func TestLabProcesses(t *testing.T) {
	h := New(t).Host("a")
	_, err := h.Run(5*time.Second, "sh", "-c", "echo bad >&2; exit 7")
	if ExitCode(err) != 7 || !strings.Contains(err.Error(), "bad") {
		t.Errorf("Run = %v, want exit 7 and what it said", err)
	}
	if out, err := h.RunInput(5*time.Second, "in", "cat"); out != "in" || err != nil {
		t.Errorf("RunInput = %q, %v", out, err)
	}
	p := h.Start("sh", "-c", `trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.05; done`)
	eventually(t, 5*time.Second, "the program is up", func() bool { return p.Output() == "up\n" })
	if err := p.Stop(); ExitCode(err) != 3 || p.Output() != "up\nbye\n" {
		t.Errorf("Stop = %v after %q, want exit 3", err, p.Output())
	}

	child := h.Start("sh", "-c", "sleep 1000 & echo $!; wait")
	eventually(t, 5*time.Second, "the child is up", func() bool { return strings.Contains(child.Output(), "\n") })
	h.Crash()
	if child.Running() {
		t.Error("a program survived the crash")
	}
	eventually(t, 5*time.Second, "its child is gone too", func() bool { return len(h.pids()) == 1 })
	h.SetLink(true)
	if out, err := h.Run(5*time.Second, "hostname"); out != "a\n" || err != nil {
		t.Errorf("after the crash: %q, %v", out, err)
	}
}

func TestLabCaptureSeesEverything(t *testing.T) {
	l := New(t)
	a, b := l.Host("a"), l.Host("b")
	ln := b.listen(t, b.Addr+":7000")
	go greet(ln, "the marked words")
	c := l.capture("marked words")
	a.read(t, b.Addr+":7000")
	eventually(t, 5*time.Second, "the marker is seen on the wire", func() bool { return c.leaked() > 0 })
	if got := c.kinds(); len(got) != 1 || got[0] != "tcp 7000" {
		t.Errorf("on the wire: %v, want [tcp 7000]", got)
	}
}

func greet(ln net.Listener, words string) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		_, _ = c.Write([]byte(words))
		_ = c.Close()
	}
}
