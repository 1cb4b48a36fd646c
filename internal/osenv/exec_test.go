package osenv

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
)

// run runs a shell script to its end.
func run(t *testing.T, ctx context.Context, script string) (code int, output string) {
	t.Helper()
	var out bytes.Buffer
	p, err := Exec{}.Start(ctx, micronet.Command{Argv: []string{"/bin/sh", "-c", script}, Stdout: &out, Stderr: &out})
	if err != nil {
		t.Fatal(err)
	}
	code, err = p.Wait()
	if err != nil {
		t.Fatal(err)
	}
	return code, out.String()
}

func TestExitCodes(t *testing.T) {
	for script, want := range map[string]int{
		"exit 0": 0, "exit 1": 1, "exit 3": 3, "exit 255": 255,
		"kill -TERM $$": 128 + 15, "kill -KILL $$": 128 + 9, "kill -USR1 $$": 128 + 10, "exit 143": 143,
	} {
		if got, _ := run(t, t.Context(), script); got != want {
			t.Errorf("%s: %d, want %d", script, got, want)
		}
	}
}

func TestCommand(t *testing.T) {
	var out, errs bytes.Buffer
	p, err := Exec{}.Start(t.Context(), micronet.Command{
		Argv: []string{"/bin/sh", "-c", "cat; echo $WORD; echo bad >&2; echo $$"}, Env: []string{"WORD=hello"},
		Stdin: strings.NewReader("in\n"), Stdout: &out, Stderr: &errs,
	})
	if err != nil {
		t.Fatal(err)
	}
	if code, err := p.Wait(); code != 0 || err != nil {
		t.Errorf("%d %v", code, err)
	}
	if want := "in\nhello\n" + strconv.Itoa(p.PID()) + "\n"; out.String() != want || errs.String() != "bad\n" {
		t.Errorf("%q %q", out.String(), errs.String())
	}
}

// `run` tells the two apart by the error.
func TestStartErrors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "no program")
	for program, want := range map[string]error{"no-such-program": exec.ErrNotFound, "/no/such/program": fs.ErrNotExist, file: fs.ErrPermission} {
		if _, err := (Exec{}).Start(t.Context(), micronet.Command{Argv: []string{program}}); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", program, err, want)
		}
	}
}

func TestSignalOfAChild(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p, err := Exec{}.Start(t.Context(), micronet.Command{
		Argv: []string{"/bin/sh", "-c", "trap 'exit 7' USR1; echo ready; while :; do sleep 0.01; done"}, Stdout: w,
	})
	if err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	if got := readLine(t, r); got != "ready" {
		t.Fatal(got)
	}
	if err := p.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	if code, err := p.Wait(); code != 7 || err != nil {
		t.Errorf("%d %v", code, err)
	}
}

func TestContextKillsTheChild(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p, err := Exec{}.Start(ctx, micronet.Command{Argv: []string{"/bin/sh", "-c", "trap '' TERM INT; exec sleep 600"}})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if code, err := p.Wait(); code != 128+9 || err != nil {
		t.Errorf("%d %v", code, err)
	}
}

// A script that leaves a process behind, which keeps its output open, must not hang the check.
func TestWaitDoesNotWaitForGrandchildren(t *testing.T) {
	for script, want := range map[string]int{"sleep 600 & echo $!": 0, "sleep 600 & echo $!; exit 3": 3} {
		start := time.Now()
		code, out := run(t, t.Context(), script)
		pid, err := strconv.Atoi(strings.TrimSpace(out))
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); code != want || took > patience {
			t.Errorf("%s: exit code %d after %s", script, code, took)
		}
	}
}

func TestSignals(t *testing.T) {
	before := runtime.NumGoroutine()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	signals := Exec{}.Signals(ctx, syscall.SIGUSR1, syscall.SIGUSR2)
	for range 2 { // a second Ctrl-C counts as well
		raise(t, syscall.SIGUSR1)
		if got := within(t, "the signal", signals); got != syscall.SIGUSR1 {
			t.Errorf("got %v", got)
		}
	}
	cancel()
	// The first goroutine that package os/signal starts never ends.
	settleGoroutines(t, before+1)
}

func raise(t *testing.T, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(os.Getpid(), sig); err != nil {
		t.Fatal(err)
	}
}

// Many signals of one kind push out none of another, and the reader gets at most signalQueue.
func TestDeliverLosesRepetitionsOnly(t *testing.T) {
	in, out := make(chan os.Signal), make(chan syscall.Signal)
	go deliver(t.Context(), in, out)
	for range 3 * signalQueue {
		in <- syscall.SIGHUP
	}
	in <- syscall.SIGTERM
	var got []syscall.Signal
	for len(got) == 0 || got[len(got)-1] != syscall.SIGTERM {
		got = append(got, within(t, "SIGTERM", out))
	}
	if len(got) != signalQueue+1 {
		t.Errorf("got %v", got)
	}
}
