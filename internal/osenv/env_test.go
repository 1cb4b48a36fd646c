package osenv

import (
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
)

func TestFill(t *testing.T) {
	e := Fill(micronet.Env{Phase: time.Second})
	if e.Net != (Network{}) || e.FS != (FS{}) || e.Exec != (Exec{}) || e.Phase != time.Second {
		t.Errorf("%+v", e)
	}
	if e.Host.UID != os.Geteuid() || e.Host.OS != runtime.GOOS || e.Host.Name == "" || e.Host.Getenv == nil {
		t.Errorf("%+v", e.Host)
	}
	t.Setenv("MICRO_NET_TEST", "value")
	if got := e.Host.Getenv("MICRO_NET_TEST"); got != "value" {
		t.Errorf("the environment has %q", got)
	}
	if e.Entropy == nil || e.Rand == nil || e.Wall == nil || e.Events == nil || e.Log == nil {
		t.Error("defaults are missing")
	}
	kept := Fill(micronet.Env{Host: micronet.Host{Name: "other", UID: 7}})
	if kept.Host.Name != "other" || kept.Host.UID != 7 {
		t.Errorf("the host was replaced: %+v", kept.Host)
	}
}

// Two processes with the same machine reach each other over loopback.
func TestMachineIsThatOfOtherProcesses(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the machine is known on Linux only")
	}
	c := startChild(t, "machine")
	theirs, _, _ := strings.Cut(c.says, " ")
	if ours := machine(); theirs != ours || ours == "" {
		t.Errorf("we are %q, the child is %q", ours, theirs)
	}
}
