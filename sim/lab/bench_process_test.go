//go:build linux

package lab

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// benchTick is the unit of CPU time in /proc, USER_HZ, which Linux fixes for programs.
const benchTick = 10 * time.Millisecond

// benchCPU is the CPU time that programs have used, user and system.
func benchCPU(t testing.TB, programs []*Process) (total time.Duration) {
	t.Helper()
	for _, p := range programs {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
		if err != nil {
			t.Fatalf("%v\n%s", err, p.Output())
		}
		// The program's name, in parentheses, may hold spaces. utime and stime are fields 14 and
		// 15 of proc(5), 11 and 12 after it.
		fields := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
		total += benchTick * time.Duration(benchInt(t, fields[11])+benchInt(t, fields[12]))
	}
	return total
}

// benchRSS is the memory of each program in MiB: VmRSS now, or VmHWM, the most there ever was.
func benchRSS(t testing.TB, programs []*Process, what string) (each []float64) {
	t.Helper()
	for _, p := range programs {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
		if err != nil {
			t.Fatalf("%v\n%s", err, p.Output())
		}
		_, after, _ := strings.Cut(string(raw), what+":")
		fields := strings.Fields(after)
		if len(fields) == 0 {
			t.Fatalf("no %s of process %d", what, p.PID())
		}
		each = append(each, float64(benchInt(t, fields[0]))/1024)
	}
	return each
}

// benchOwnCPU is the CPU time of this process and of its children that have ended.
func benchOwnCPU(t testing.TB) (total time.Duration) {
	t.Helper()
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var used syscall.Rusage
		if err := syscall.Getrusage(who, &used); err != nil {
			t.Fatal(err)
		}
		total += time.Duration(used.Utime.Nano() + used.Stime.Nano())
	}
	return total
}

func benchInt(t testing.TB, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// benchBusy measures how many cores are busy on the machine over a while.
func benchBusy(t testing.TB, period time.Duration) float64 {
	t.Helper()
	before := benchBusyTime(t)
	time.Sleep(period)
	return (benchBusyTime(t) - before).Seconds() / period.Seconds()
}

// benchBusyTime sums user, nice, system and steal of the first line of /proc/stat. The kernel's work
// on packets (softirq) is left out: it cannot be told whose it is.
func benchBusyTime(t testing.TB) (total time.Duration) {
	t.Helper()
	raw, err := os.ReadFile("/proc/stat")
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(raw), "\n")
	for i, f := range strings.Fields(line)[1:9] {
		if i < 3 || i == 7 {
			total += benchTick * time.Duration(benchInt(t, f))
		}
	}
	return total
}
