//go:build linux

package lab

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var benchDNSFigures = []benchFigure{
	{"qps", "answers", "1/s", 0},
	{"cpu", "CPU", "µs/answer", 2},
	{"p50", "at 5,000/s, p50", "µs", 0},
	{"p99", "at 5,000/s, p99", "µs", 0},
	{"lost", "lost", "queries", 0},
	{"rss", "memory", "MiB", 1},
}

const (
	benchName = "web.micro.internal"
	// benchDNSRate is the rate at which latency is measured.
	benchDNSRate = 5000
)

// benchDNSServer answers one name on host a.
type benchDNSServer struct {
	name  string
	needs []string
	start func(w *benchWorld) (port int, p *Process)
}

func benchDNSServers(daemon *benchDaemon) []benchDNSServer {
	return []benchDNSServer{
		{"unbound", []string{"unbound"}, startUnbound},
		{"CoreDNS", []string{"coredns"}, startCoreDNS},
		{benchMicroNet, nil, func(*benchWorld) (int, *Process) { return 8600, daemon.process }},
	}
}

// benchmarkDNS asks each server for the same name on loopback.
func benchmarkDNS(t *testing.T) {
	if missing := missingProgram([]string{"dnsperf"}); missing != "" {
		t.Skipf("needs %s: not installed", missing)
	}
	w := newBenchWorld(t, *benchSeconds)
	w.serve()
	defer func() { stopAll(w.serving) }()
	server, client := benchMesh(t, *benchBinary, w.a, w.b)
	defer stopAll([]*Process{server.process, client.process})
	client.vip("web", benchHTTP)
	var servers []benchDNSServer
	for _, s := range chosen(benchDNSServers(client), func(s benchDNSServer) string { return s.name }) {
		if missing := missingProgram(s.needs); missing != "" {
			fmt.Printf("%s is left out: %s is not installed\n", s.name, missing)
			continue
		}
		servers = append(servers, s)
	}
	queries := filepath.Join(w.dir, "queries")
	benchWrite(t, queries, []byte(benchName+" A\n"))
	var results benchResults
	for _, s := range servers {
		results.add(s.name, *benchRounds-1, nil)
	}
	for round := range *benchRounds {
		for _, s := range inTurn(servers, round) {
			results.add(s.name, round, w.askServer(s, queries))
		}
	}
	fmt.Printf("\n### DNS\n\nOne A record over UDP on loopback, dnsperf with 8 sockets and 100 queries at once; %d rounds of %d s, median (min–max). Cores that others kept busy: %s.\n\n%s\n",
		*benchRounds, *benchSeconds, spread(w.foreign, 2), results.table(benchDNSFigures))
	fmt.Printf("Same-round ratios, median (min–max):\n\n%s\n", results.compare(benchMicroNet, benchDNSFigures))
}

var (
	dnsRate      = regexp.MustCompile(`Queries per second:\s+([\d.]+)`)
	dnsCompleted = regexp.MustCompile(`Queries completed:\s+(\d+)`)
	dnsLost      = regexp.MustCompile(`Queries lost:\s+(\d+)`)
	dnsGood      = regexp.MustCompile(`NOERROR (\d+)`)
	dnsEach      = regexp.MustCompile(`(?m)^> NOERROR .* ([\d.]+)$`)
)

// askServer starts a server, measures it and stops it, unless it is the daemon.
func (w *benchWorld) askServer(s benchDNSServer, queries string) benchSample {
	w.t.Helper()
	port, process := s.start(w)
	if s.name != benchMicroNet {
		defer stopAll([]*Process{process})
	}
	r := benchRunning{name: s.name, programs: []*Process{process}}
	ask := func(options ...string) (string, time.Duration) {
		out, cpu, err := w.client(r, append([]string{
			"dnsperf", "-s", "127.0.0.1", "-p", fmt.Sprint(port), "-d", queries, "-T", "1", "-l", fmt.Sprint(w.seconds),
		}, options...)...)
		return w.must(out, err), cpu
	}
	w.awaitDNS(port)
	out, cpu := ask("-c", "8", "-q", "100")
	completed, good := number(dnsCompleted, out), number(dnsGood, out)
	if good == 0 || good != completed {
		w.t.Errorf("%s answered %.0f of %.0f well:\n%s", s.name, good, completed, out)
		return nil
	}
	sample := benchSample{
		"qps": number(dnsRate, out), "cpu": float64(cpu.Microseconds()) / completed, "lost": number(dnsLost, out),
		"rss": benchRSS(w.t, r.programs, "VmRSS")[0],
	}
	out, _ = ask("-c", "4", "-q", "20", "-Q", fmt.Sprint(benchDNSRate), "-v")
	if each := dnsLatencies(out); len(each) > 0 {
		sample["p50"], sample["p99"] = each[len(each)/2], each[len(each)*99/100]
	}
	return sample
}

// dnsLatencies reads the lines of dnsperf -v: "> NOERROR name type seconds", in µs and sorted.
func dnsLatencies(out string) (all []float64) {
	for _, m := range dnsEach.FindAllStringSubmatch(out, -1) {
		if seconds, err := strconv.ParseFloat(m[1], 64); err == nil {
			all = append(all, seconds*1e6)
		}
	}
	slices.Sort(all)
	return all
}

// awaitDNS waits until a server answers the name.
func (w *benchWorld) awaitDNS(port int) {
	w.t.Helper()
	queries := filepath.Join(w.dir, "queries")
	for deadline := time.Now().Add(benchReady); ; time.Sleep(100 * time.Millisecond) {
		out, err := w.a.Run(commandTime, "dnsperf", "-s", "127.0.0.1", "-p", fmt.Sprint(port), "-d", queries, "-n", "1", "-t", "0.2")
		if err == nil && number(dnsGood, out) == 1 {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("no answer from port %d: %v\n%s", port, err, out)
		}
	}
}

func startUnbound(w *benchWorld) (int, *Process) {
	w.t.Helper()
	dir := w.folder()
	conf := filepath.Join(dir, "unbound.conf")
	benchWrite(w.t, conf, []byte(strings.ReplaceAll(`server:
  interface: 127.0.0.1@5304
  num-threads: 2
  so-reuseport: yes
  do-daemonize: no
  username: ""
  chroot: ""
  directory: "DIR"
  pidfile: ""
  use-syslog: no
  verbosity: 0
  local-zone: "micro.internal." static
  local-data: "`+benchName+`. 5 IN A 127.80.0.1"
remote-control:
  control-enable: no
`, "DIR", dir)))
	return 5304, w.a.Start("unbound", "-d", "-c", conf)
}

func startCoreDNS(w *benchWorld) (int, *Process) {
	w.t.Helper()
	dir := w.folder()
	conf := filepath.Join(dir, "Corefile")
	benchWrite(w.t, conf, fmt.Appendf(nil, "micro.internal:5302 {\n\tbind 127.0.0.1\n\thosts {\n\t\t127.80.0.1 %s\n\t\tttl 5\n\t}\n}\n", benchName))
	return 5302, w.a.Start("coredns", "-quiet", "-conf", conf)
}
