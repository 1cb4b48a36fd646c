package main

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
)

func TestRun(t *testing.T) {
	w := newWorld(t).start()
	plain := filepath.Join(w.dir, "plain")
	if err := os.WriteFile(plain, []byte("no program"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		argv []string
		code int
		out  string
	}{
		"success":         {[]string{"sh", "-c", "echo hi"}, 0, "hi\n"},
		"exit code":       {[]string{"sh", "-c", "exit 7"}, 7, ""},
		"signal":          {[]string{"sh", "-c", "kill -9 $$"}, 137, ""},
		"flags are CMD's": {[]string{"sh", "-c", "echo $1", "sh", "--port"}, 0, "--port\n"},
		"not found":       {[]string{"micro-net-no-such-command"}, exitNoCommand, ""},
		"no such path":    {[]string{"/nonexistent/command"}, exitNoCommand, ""},
		"not executable":  {[]string{plain}, exitNotExecutable, ""},
	} {
		r := w.run(append([]string{"run", "--service", "web", "--port", "8080", "--"}, c.argv...)...)
		if r.code != c.code || r.out != c.out {
			t.Errorf("%s: exit %d, %q, %q, want %d, %q", name, r.code, r.out, r.err, c.code, c.out)
		}
		if begin, end := <-w.backend.held, <-w.backend.held; begin != "web" || end != "-" {
			t.Errorf("%s: held %q, %q", name, begin, end)
		}
	}
}

func TestRunOwnFailures(t *testing.T) {
	w := newWorld(t)
	for _, args := range [][]string{
		{"run", "--service", "web", "--port", "8080", "--", "true"}, // no daemon
		{"run", "--port", "8080", "--", "true"},
		{"run", "--service", "Bad_Name", "--port", "8080", "--", "true"},
		{"run", "--service", "web", "--port", "99999", "--", "true"},
	} {
		if r := w.run(args...); r.code != exitOwnFailure || !strings.HasPrefix(r.err, "micro-net: run: ") {
			t.Errorf("%v: exit %d, %q", args, r.code, r.err)
		}
	}
}

// TestRunPassesSignals to a child that answers them, and keeps them from one that the terminal
// told already.
func TestRunPassesSignals(t *testing.T) {
	w := newWorld(t).start()
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2} {
		if signal.Ignored(s) {
			t.Logf("%v is ignored by whoever runs the tests (in the background of a script?), so that a shell cannot trap it", s)
			continue
		}
		var out, errs output
		done := make(chan int, 1)
		script := "trap 'exit 40' INT TERM HUP QUIT USR1 USR2; echo ready; while :; do sleep 0.01; done"
		go func() {
			done <- w.app(&out, &errs).run(context.Background(), []string{"run", "--service", "web", "--port", "8080", "--", "sh", "-c", script})
		}()
		eventually(t, func() bool { return out.String() == "ready\n" })
		w.exec.signals <- s
		if code := <-done; code != 40 {
			t.Errorf("%v: exit %d, want 40", s, code)
		}
		<-w.backend.held
		<-w.backend.held
	}
}

// TestRunHoldsAgain: a daemon that restarts gets the registration anew.
func TestRunHoldsAgain(t *testing.T) {
	w := newWorld(t).start()
	var out, errs output
	done := make(chan int, 1)
	go func() {
		done <- w.app(&out, &errs).run(context.Background(), []string{"run", "--service", "web", "--port", "8080", "--", "sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.01; done"})
	}()
	if got := <-w.backend.held; got != "web" {
		t.Fatalf("held %q", got)
	}
	w.stop()
	if got := <-w.backend.held; got != "-" {
		t.Fatalf("after the daemon's end: %q", got)
	}
	w.start()
	if got := <-w.backend.held; got != "web" {
		t.Errorf("after the restart: held %q", got)
	}
	w.exec.signals <- syscall.SIGTERM
	if code := <-done; code != 0 {
		t.Errorf("exit %d, %s", code, errs.String())
	}
}

// TestInterrupt: Ctrl-C ends verbs that wait.
func TestInterrupt(t *testing.T) {
	w := newWorld(t).start()
	w.backend.dial = silence
	never, _ := newPipe(t)
	for _, args := range [][]string{
		{"ping", "b", "-c", "100", "-i", "1h"},
		{"forward", "web"},
		{"status", "--wait", "nodes=9", "--timeout", "1h"},
		{"join", "-"},
		{"register", "-"},
		{"dial", "web"},
		{"call", "web"},
	} {
		var out, errs output
		a := w.app(&out, &errs)
		a.in = never
		w.exec.signals <- syscall.SIGINT
		if code := a.run(t.Context(), args); code != micronet.ExitInterrupted {
			t.Errorf("%v: exit %d, %s, want 130", args, code, errs.String())
		}
	}
}

// eventually waits for real processes and sockets.
func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not come true within 20 s")
		}
	}
}
