//go:build linux

package sim

import (
	"flag"
	"fmt"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/micro/micro-net/sim/report"
	"github.com/micro/micro-net/sim/scenario"
)

var scale = flag.String("scale", "", "measure meshes of these sizes, such as full:10,gossip:100")

// The meshes that are measured start, are quiet, are cut in halves and heal.
const (
	scaleQuiet = 60 * time.Second // joined and told everything
	scaleCut   = 120 * time.Second
	scaleHeal  = 180 * time.Second
	scaleEnd   = 240 * time.Second
)

// costs are what the process has used so far.
type costs struct {
	cpu    time.Duration
	memory uint64 // heap in use after a collection, and stacks; 0: not measured
}

// TestScale prints what meshes of several sizes cost, as rows of a table. It is a measurement and no
// test: it runs when it is asked for by -scale, alone on the machine.
func TestScale(t *testing.T) {
	if *scale == "" {
		t.Skip("run it with -args -scale full:10,full:25,gossip:100")
	}
	debug.SetGCPercent(400)
	fmt.Println("| fidelity | nodes | wall, 4 virtual minutes | join (60 s), CPU ms per node | quiet, CPU ms per node and virtual s | split, CPU ms per node and s | heal (60 s), CPU ms per node | gossip when quiet, B/s per node | memory, KiB per node | healed in |")
	fmt.Println("|---|---|---|---|---|---|---|---|---|---|")
	for _, word := range strings.Split(*scale, ",") {
		fidelity, size, _ := strings.Cut(word, ":")
		nodes, err := strconv.Atoi(size)
		if err != nil {
			t.Fatalf("-scale %q: want full:N or gossip:N", word)
		}
		measure(t, scenario.Fidelity(fidelity), nodes)
	}
}

func measure(t *testing.T, fidelity scenario.Fidelity, nodes int) {
	t.Helper()
	s, err := scenario.Parse("split.yaml", []byte(fmt.Sprintf(splitMesh, fidelity, nodes, max(1, nodes/10), scaleCut, scaleHeal-scaleCut, nodes/2, nodes/2+1, nodes, scaleEnd)))
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	began, idle := time.Now(), used()
	at := map[time.Duration]costs{}
	r, err := Simulate(s, Options{Seed: 1, Progress: func(v time.Duration, _ uint64) {
		if v = v.Truncate(time.Second); v == scaleQuiet || v == scaleCut || v == scaleHeal {
			at[v] = spent(v == scaleCut)
		}
	}})
	if err != nil || !r.Passed {
		t.Errorf("%s:%d: %v, %+v", fidelity, nodes, err, r)
		return
	}
	wall, n := time.Since(began), float64(nodes)
	ms := func(from, to time.Duration) float64 { return (to - from).Seconds() * 1000 / n }
	quiet, cut, heal := at[scaleQuiet].cpu, at[scaleCut].cpu, at[scaleHeal].cpu
	fmt.Printf("| %s | %d | %.1f s (%.0f×) | %.0f | %.2f | %.2f | %.0f | %.0f | %d | %s |\n", fidelity, nodes, wall.Seconds(), scaleEnd.Seconds()/wall.Seconds(),
		ms(idle, quiet), ms(quiet, cut)/60, ms(cut, heal)/60, ms(heal, used()), gossipWhenQuiet(r),
		at[scaleCut].memory/uint64(nodes)>>10, strings.TrimPrefix(r.Expectations[0].Measured, "converged within "))
}

// splitMesh is what is measured: fidelity, nodes, instances, and when the halves do not hear each other.
const splitMesh = `
name: halves
fidelity: %s
nodes: %d
network: {latency: 10ms, jitter: 2ms}
services: [{name: web, instances: %d, protocol: http, check: none}]
timeline:
  - {at: %s, for: %s, partition: [[1-%d], [%d-%d]]}
expect:
  - {after_heal: 30s, converged: true}
duration: %s
`

// gossipWhenQuiet is how many bytes a second a node sends when nothing happens.
func gossipWhenQuiet(r *report.Run) float64 {
	var sum, count float64
	for _, s := range r.Samples {
		if s.At > scaleQuiet && s.At < scaleCut {
			sum, count = sum+s.GossipBytes, count+1
		}
	}
	return sum / max(count, 1)
}

func spent(memory bool) costs {
	c := costs{cpu: used()}
	if memory {
		var s runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&s)
		c.memory = s.HeapAlloc + s.StackInuse
	}
	return c
}

// used is the processor time of this process.
func used() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
