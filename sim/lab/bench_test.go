//go:build linux

package lab

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	benchPeersFlag = flag.Bool("bench-peers", false, "measure micro-net beside other programs")
	benchRounds    = flag.Int("bench-rounds", 3, "how often each peer takes its turn")
	benchSeconds   = flag.Int("bench-seconds", 2, "seconds per load")
	benchBinary    = flag.String("bench-binary", "../../bin/micro-net", "the micro-net that is measured, which `make build` writes there")
	benchBeside    = flag.String("bench-beside", "", "another micro-net that takes its turns too, to compare two versions")
	benchOnly      = flag.String("bench-only", "", "only peers and programs whose names contain this, and micro-net")
)

// TestBenchmark measures and prints tables. It fails when something does not work, never because
// something is slow.
func TestBenchmark(t *testing.T) {
	if !*benchPeersFlag {
		t.Skip("measures for minutes: make bench")
	}
	Need(t, "iperf3", "wrk", "nginx", "sysctl")
	fmt.Println(benchMachine(t))
	t.Run("Traffic", benchmarkTraffic)
	t.Run("Far", benchmarkFar)
	t.Run("DNS", benchmarkDNS)
	t.Run("Daemon", benchmarkDaemon)
	fmt.Printf("load average at the end: %s\n", benchLoadAverage(t))
}

// benchmarkTraffic lets the peers take turns, the order reversed each round, so that no peer has
// a better place.
func benchmarkTraffic(t *testing.T) {
	w := newBenchWorld(t, *benchSeconds)
	w.serve()
	defer func() { stopAll(w.serving) }()
	peers := chosen(available(benchPeerList()), func(p benchPeer) string { return p.name })
	var results benchResults
	for _, p := range peers {
		results.add(p.name, *benchRounds-1, nil)
	}
	for round := range *benchRounds {
		for _, p := range inTurn(peers, round) {
			results.add(p.name, round, w.takeTurn(p))
			fmt.Printf("round %d: %s done\n", round+1, p.name)
		}
	}
	fmt.Printf("\n### Traffic\n\n%d rounds of %d s per load; median (min–max). TCP uses %s. Cores that others kept busy during a load: %s; %d loads were repeated because of them.\n\n",
		*benchRounds, *benchSeconds, w.congestion, spread(w.foreign, 2), w.disturbed)
	fmt.Println(results.table(benchTraffic))
	fmt.Printf("Same-round ratios, median (min–max):\n\n%s\n", results.compare(benchMicroNet, benchTraffic))
	fmt.Printf("Latency added to the direct way in the same round, median (min–max):\n\n%s\n", added(&results))
}

// takeTurn starts a peer, loads it and stops it.
func (w *benchWorld) takeTurn(p benchPeer) benchSample {
	w.t.Helper()
	r := p.start(w)
	r.name = p.name
	defer stopAll(r.programs)
	w.awaitEcho(r.at(benchPong))
	s := w.load(r)
	for _, program := range r.programs {
		if !program.Running() {
			w.t.Errorf("%s ended under load:\n%s", p.name, program.Output())
		}
	}
	return s
}

// inTurn is the order of a round.
func inTurn[T any](all []T, round int) []T {
	all = slices.Clone(all)
	if round%2 == 1 {
		slices.Reverse(all)
	}
	return all
}

// chosen keeps what -bench-only asks for.
func chosen[T any](all []T, name func(T) string) []T {
	return slices.DeleteFunc(all, func(x T) bool {
		return !strings.HasPrefix(name(x), benchMicroNet) && !strings.Contains(strings.ToLower(name(x)), strings.ToLower(*benchOnly))
	})
}

// added is the table of what each peer adds to the latency of the direct way.
func added(r *benchResults) string {
	if !slices.Contains(r.peers, benchDirect) {
		return ""
	}
	peers := r.others(benchDirect)
	t := newBenchTable(append([]string{""}, peers...)...)
	for _, f := range benchTraffic {
		if f.unit != "µs" {
			continue
		}
		row := []string{f.title()}
		for _, p := range peers {
			row = append(row, spread(r.pairs(p, benchDirect, f.key, func(a, b float64) float64 { return a - b }), f.digits))
		}
		t.row(row...)
	}
	return t.String()
}

// benchMachine says where and when.
func benchMachine(t testing.TB) string {
	t.Helper()
	cpu := regexp.MustCompile(`(?m)^model name\s*:\s*(.*)$`).FindStringSubmatch(benchRead(t, "/proc/cpuinfo"))
	model := "unknown processor"
	if cpu != nil {
		model = cpu[1]
	}
	commit, _ := exec.Command("git", "describe", "--always", "--dirty").Output() // a source archive has none
	return fmt.Sprintf("%s, %d cores, Linux %s, %s, %s, commit %s, load average before %s\n%s",
		model, runtime.NumCPU(), strings.TrimSpace(benchRead(t, "/proc/sys/kernel/osrelease")), runtime.Version(),
		time.Now().Format(time.DateOnly), cmp.Or(strings.TrimSpace(string(commit)), "unknown"), benchLoadAverage(t), benchVersions())
}

func benchRead(t testing.TB, file string) string {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func benchLoadAverage(t testing.TB) string {
	t.Helper()
	return strings.Join(strings.Fields(benchRead(t, "/proc/loadavg"))[:3], " ")
}
