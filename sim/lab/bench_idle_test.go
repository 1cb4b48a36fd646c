//go:build linux

package lab

import (
	"fmt"
	"testing"
	"time"
)

var benchDaemonFigures = []benchFigure{
	{"found", "`up` to ready, founding a cluster", "ms", 0},
	{"join", "`up` to ready, joining", "ms", 0},
	{"again", "`up` to ready, restarted", "ms", 0},
	{"rss", "memory of a daemon, idle, 3 nodes (the largest)", "MiB", 1},
	{"cpu", "CPU of a daemon, idle, 3 nodes (the mean)", "ms/s", 1},
}

// benchIdle is how long three idle daemons are watched.
const benchIdle = 10 * time.Second

// benchmarkDaemon measures what a daemon costs that has nothing to do.
func benchmarkDaemon(t *testing.T) {
	l := New(t)
	hosts := []*Host{l.Host("a"), l.Host("b"), l.Host("c")}
	var results benchResults
	for round := range *benchRounds {
		results.add(benchMicroNet, round, idleRound(t, hosts))
	}
	fmt.Printf("\n### An idle daemon\n\n%d rounds, %v idle each; median (min–max).\n\n%s\n", *benchRounds, benchIdle, results.table(benchDaemonFigures))
}

func idleRound(t testing.TB, hosts []*Host) benchSample {
	t.Helper()
	s := benchSample{}
	first := startDaemon(t, *benchBinary, hosts[0])
	s["found"] = milliseconds(first.awaitReady())
	daemons := []*benchDaemon{first}
	for _, h := range hosts[1:] {
		token := first.invite()
		d := startDaemon(t, *benchBinary, h, "--join", token)
		s["join"] = max(s["join"], milliseconds(d.awaitReady()))
		daemons = append(daemons, d)
	}
	var programs []*Process
	for _, d := range daemons {
		d.awaitNodes(len(hosts))
		programs = append(programs, d.process)
	}
	time.Sleep(benchSettle)
	before := benchCPU(t, programs)
	time.Sleep(benchIdle)
	s["cpu"] = milliseconds(benchCPU(t, programs)-before) / benchIdle.Seconds() / float64(len(programs))
	for _, rss := range benchRSS(t, programs, "VmRSS") {
		s["rss"] = max(s["rss"], rss)
	}
	stopAll(programs[len(programs)-1:])
	again := restartDaemon(t, *benchBinary, hosts[len(hosts)-1])
	s["again"] = milliseconds(again.awaitReady())
	stopAll(append(programs[:len(programs)-1], again.process))
	return s
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
