package osenv

import (
	"context"
	"errors"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	micronet "github.com/micro/micro-net"
)

// A process that was killed keeps its name and its number until its parent has asked how it ended, and
// does not run.
func TestTheDeadDoNotRun(t *testing.T) {
	c := startChild(t, "machine=", sameName)
	pid := strconv.Itoa(c.Process.Pid)
	if !runsHere(pid) {
		t.Fatal("a child that waits does not run")
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); runsHere(pid); {
		if time.Now().After(end) {
			t.Fatal("it runs after it was killed")
		}
	}
	if _, err := os.Stat("/proc/" + pid + "/comm"); err != nil {
		t.Errorf("it is gone, so nothing was shown: %v", err)
	}
	other := startChild(t, "machine=")
	if runsHere(strconv.Itoa(other.Process.Pid)) {
		t.Error("a process of another name counts")
	}
}

func TestIsEnding(t *testing.T) {
	for text, want := range map[string]bool{
		"812 (micro-net) S 1 812 812 0 -1 4194560 9": false,
		"812 (a) Z (b) R 1 812 812 0 -1 4194560 9":   false,
		"812 (micro-net) Z 1 812 812 0 -1 4194560 9": true,
		"812 (micro-net) X 1 812 812 0 -1 4194560 9": true,
		"812 (micro-net) R 1 812 812 0 -1 4194564 9": true, // PF_EXITING
		"812 (micro-net) S 1 812":                    true, // cut short
	} {
		if got := isEnding([]byte(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

// An owner gets handoverFor to end, and not longer. What is no owner is told at once.
func TestHandedOver(t *testing.T) {
	other := errors.New("no nftables here")
	for _, c := range []struct {
		err   error
		frees time.Duration // 0: never
		took  time.Duration
		want  error
	}{
		{micronet.ErrRedirected, time.Second, time.Second, nil},
		{micronet.ErrRedirected, 0, handoverFor, micronet.ErrRedirected},
		{other, 0, 0, other},
	} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			err := handedOver(context.Background(), func() error {
				if c.frees > 0 && time.Since(start) >= c.frees {
					return nil
				}
				return c.err
			})
			if took := time.Since(start); !errors.Is(err, c.want) || took != c.took {
				t.Errorf("%v after %v, want %v after %v", err, took, c.want, c.took)
			}
		})
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := handedOver(ctx, func() error { return micronet.ErrRedirected }); !errors.Is(err, micronet.ErrRedirected) {
		t.Errorf("a start that is called off: %v", err)
	}
}
