package main

import (
	"flag"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

var binary = flag.String("binary", "", "the simulator over the changed runtime, which `make simdet` writes")

// repeated are the runs that are made twice, as arguments of `micro-net sim`.
var repeated = []string{
	"run testdata/everything.yaml --seed 1",
	"run testdata/everything.yaml --seed 2",
	"run host-crash --seed 5",
	"run host-crash --seed 6",
	"run short-split --seed 1",
	"run behind-nat --seed 1",
	"swarm --seeds 2..2",
	"swarm --seeds 3..3",
	"swarm --seeds 7..7",
}

var packets = regexp.MustCompile(`packets: ([0-9a-f]{16})`)

// hash runs the simulator once and returns the hash over its packets. Whether all expectations held
// is not asked here.
func hash(t *testing.T, args string) string {
	t.Helper()
	argv := append([]string{"sim"}, strings.Fields(args)...)
	out, err := exec.Command(*binary, append(argv, "--jobs", "1", "--report", t.TempDir())...).CombinedOutput()
	found := packets.FindSubmatch(out)
	if found == nil {
		t.Fatalf("sim %s tells no hash: %v\n%s", args, err, out)
	}
	return string(found[1])
}

// busy keeps every processor of the machine busy until the function that it returns is called.
func busy() (end func()) {
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range runtime.NumCPU() {
		wg.Go(func() {
			for !stop.Load() {
				_ = strings.Repeat("busy", 1000)
			}
		})
	}
	return func() { stop.Store(true); wg.Wait() }
}

// The same seed makes the same packets, also beside a process that wants all processors. Different
// seeds and scenarios make different ones.
func TestRunsRepeat(t *testing.T) {
	if *binary == "" {
		t.Skip("needs -binary: make simdet-test")
	}
	seen := map[string]string{}
	for _, args := range repeated {
		once := hash(t, args)
		end := busy()
		again := hash(t, args)
		end()
		t.Logf("%s %s", once, args)
		if once != again {
			t.Errorf("sim %s: %s, and %s beside a busy process", args, once, again)
		}
		if other := seen[once]; other != "" {
			t.Errorf("sim %s and sim %s have the same packets: %s", args, other, once)
		}
		seen[once] = args
	}
}
