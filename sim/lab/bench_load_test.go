//go:build linux

package lab

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The figures of one turn of a peer.
var benchTraffic = []benchFigure{
	{"bulk1", "bulk, 1 connection", "Gbit/s", 2},
	{"bulk1.cpu", "CPU of bulk, 1 connection", "s/GiB", 2},
	{"bulk8", "bulk, 8 connections", "Gbit/s", 2},
	{"bulk8.cpu", "CPU of bulk, 8 connections", "s/GiB", 2},
	{"keep", "HTTP, kept alive", "requests/s", 0},
	{"keep.cpu", "CPU of HTTP, kept alive", "µs/request", 1},
	{"close", "HTTP, a connection each", "requests/s", 0},
	{"close.cpu", "CPU of HTTP, a connection each", "µs/request", 1},
	{"conns", "new connections", "1/s", 0},
	{"conns.cpu", "CPU of new connections", "µs/connection", 1},
	{"connect.p50", "connect and first byte back, p50", "µs", 0},
	{"connect.p99", "connect and first byte back, p99", "µs", 0},
	{"ping.p50", "64 B there and back, p50", "µs", 0},
	{"ping.p99", "64 B there and back, p99", "µs", 0},
	{"rate.p50", "64 B at 2,000/s, p50", "µs", 0},
	{"rate.p99", "64 B at 2,000/s, p99", "µs", 0},
	{"rss.a", "memory at the client's host after all loads", "MiB", 1},
	{"rss.b", "memory at the server's host after all loads", "MiB", 1},
	{"rss.max", "most memory, both hosts", "MiB", 1},
}

// The shape of the loads.
const (
	benchHTTPConns = 64   // open at once, as wrk -c
	benchConnects  = 8    // clients that connect at once
	benchRateConns = 8    // connections that share the rate
	benchPerSecond = 2000 // messages at a fixed rate
)

// benchRunning is a peer that carries traffic from a to the programs on b.
type benchRunning struct {
	name     string
	at       func(port int) string // address on a that leads to a port on b
	programs []*Process            // of both hosts, a's first
}

func (r benchRunning) addr(port int) string { return fmt.Sprintf("%s:%d", r.at(port), port) }

// load runs all loads through a peer and returns what it reached.
func (w *benchWorld) load(r benchRunning) benchSample {
	w.t.Helper()
	s := benchSample{}
	w.bulk(r, s, "bulk1", 1)
	w.bulk(r, s, "bulk8", 8)
	w.http(r, s, "keep")
	w.http(r, s, "close", "-H", "Connection: close")
	w.latency(r, s, "ping", "ping", w.period())
	w.latency(r, s, "rate", "rate", w.period(), fmt.Sprint(benchRateConns), fmt.Sprint(benchPerSecond))
	w.latency(r, s, "connect", "connect", w.period(), "1")
	w.connects(r, s)
	if len(r.programs) == 2 {
		rss := benchRSS(w.t, r.programs, "VmRSS")
		s["rss.a"], s["rss.b"] = rss[0], rss[1]
		most := benchRSS(w.t, r.programs, "VmHWM")
		s["rss.max"] = most[0] + most[1]
	}
	return s
}

func (w *benchWorld) period() string { return fmt.Sprint(w.seconds, "s") }

const (
	// benchSlack is how much longer than asked a load may take.
	benchSlack = 20 * time.Second
	// benchForeign is how many cores others may keep busy during a load before it is repeated,
	// which happens benchTries-1 times at most.
	benchForeign = 0.25
	benchTries   = 4
)

// client runs a load's client on a and returns its output, and how much CPU time the peer used.
// A load that others disturbed is repeated, whatever it reached.
func (w *benchWorld) client(r benchRunning, argv ...string) (out string, cpu time.Duration, err error) {
	w.t.Helper()
	var others float64 // cores
	for range benchTries {
		w.awaitQuiet()
		began, busy, own, before := time.Now(), benchBusyTime(w.t), w.own(r), benchCPU(w.t, r.programs)
		out, err = w.a.Run(time.Duration(w.seconds)*time.Second+benchSlack, argv...)
		cpu = benchCPU(w.t, r.programs) - before
		others = max(0, (benchBusyTime(w.t)-busy-(w.own(r)-own)).Seconds()/time.Since(began).Seconds())
		if others < benchForeign {
			break
		}
		w.disturbed++
	}
	w.foreign = append(w.foreign, others)
	return out, cpu, err
}

// own is the CPU time of all that takes part: the peer, the programs on b, and the clients, which
// are children of this process.
func (w *benchWorld) own(r benchRunning) time.Duration {
	w.t.Helper()
	return benchCPU(w.t, append(slices.Clone(w.serving), r.programs...)) + benchOwnCPU(w.t)
}

// benchQuietTime is how long a load waits for others to be quiet.
const benchQuietTime = 30 * time.Second

// awaitQuiet waits until hardly anything runs.
func (w *benchWorld) awaitQuiet() {
	w.t.Helper()
	for deadline := time.Now().Add(benchQuietTime); time.Now().Before(deadline); {
		if benchBusy(w.t, benchSettle) < benchForeign/2 {
			return
		}
	}
}

// bulk measures throughput.
func (w *benchWorld) bulk(r benchRunning, s benchSample, key string, conns int) {
	w.t.Helper()
	out, cpu, err := w.client(r, "iperf3", "-c", r.at(benchBulk), "-p", fmt.Sprint(benchBulk),
		"-t", fmt.Sprint(w.seconds), "-P", fmt.Sprint(conns), "-J")
	var report struct {
		Error string
		End   struct {
			SumReceived struct {
				Bytes         float64 `json:"bytes"`
				BitsPerSecond float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		}
	}
	if jerr := json.Unmarshal([]byte(out), &report); jerr != nil || err != nil || report.End.SumReceived.Bytes == 0 {
		w.t.Errorf("%s: %s: %v %s", r.name, key, err, report.Error)
		return
	}
	received := report.End.SumReceived
	s[key] = received.BitsPerSecond / 1e9
	if len(r.programs) > 0 {
		s[key+".cpu"] = cpu.Seconds() / (received.Bytes / (1 << 30))
	}
}

var (
	wrkRequests = regexp.MustCompile(`(\d+) requests in`)
	wrkRate     = regexp.MustCompile(`Requests/sec:\s+([\d.]+)`)
	wrkTrouble  = regexp.MustCompile(`(?m)^\s*(Socket errors:.*|Non-2xx.*)$`)
)

// http measures requests per second.
func (w *benchWorld) http(r benchRunning, s benchSample, key string, options ...string) {
	w.t.Helper()
	argv := append([]string{"wrk", "-t1", "-c" + fmt.Sprint(benchHTTPConns), "-d" + w.period()}, options...)
	out, cpu, err := w.client(r, append(argv, "http://"+r.addr(benchHTTP)+"/")...)
	requests, rate := number(wrkRequests, out), number(wrkRate, out)
	if err != nil || requests == 0 {
		w.t.Errorf("%s: %s: %v\n%s", r.name, key, err, out)
		return
	}
	if trouble := wrkTrouble.FindString(out); trouble != "" {
		fmt.Printf("%s, %s: %s of %.0f requests\n", r.name, key, strings.TrimSpace(trouble), requests)
	}
	s[key] = rate
	if len(r.programs) > 0 {
		s[key+".cpu"] = float64(cpu.Microseconds()) / requests
	}
}

func number(r *regexp.Regexp, text string) float64 {
	found := r.FindStringSubmatch(text)
	if found == nil {
		return 0
	}
	n, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		return 0
	}
	return n
}

// tool runs one of the latency clients.
func (w *benchWorld) tool(r benchRunning, program string, args ...string) (l benchLatency, cpu time.Duration, ok bool) {
	w.t.Helper()
	out, cpu, err := w.client(r, benchSockets(w.t, append([]string{program, r.addr(benchPong)}, args...)...)...)
	line, _, _ := strings.Cut(out, "\n")
	if jerr := json.Unmarshal([]byte(line), &l); err != nil || jerr != nil || l.N == 0 {
		w.t.Errorf("%s: %s: %v\n%s", r.name, program, err, out)
		return l, cpu, false
	}
	if l.Errors > 0 {
		fmt.Printf("%s, %s: %d of %d failed, the first: %s\n", r.name, program, l.Errors, l.N+l.Errors, l.First)
	}
	return l, cpu, true
}

// latency measures p50 and p99 of one of the clients.
func (w *benchWorld) latency(r benchRunning, s benchSample, key, program string, args ...string) {
	w.t.Helper()
	if l, _, ok := w.tool(r, program, args...); ok {
		s[key+".p50"], s[key+".p99"] = l.P50, l.P99
	}
}

// connects measures new connections per second.
func (w *benchWorld) connects(r benchRunning, s benchSample) {
	w.t.Helper()
	l, cpu, ok := w.tool(r, "connect", w.period(), fmt.Sprint(benchConnects))
	if !ok {
		return
	}
	s["conns"] = float64(l.N) / float64(w.seconds)
	if len(r.programs) > 0 {
		s["conns.cpu"] = float64(cpu.Microseconds()) / float64(l.N)
	}
}
