//go:build linux

package lab

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// benchPeer is a way from a to the programs on b.
type benchPeer struct {
	name  string
	needs []string // programs
	start func(w *benchWorld) benchRunning
}

// The names of the peers as they stand in the tables.
const (
	benchDirect   = "direct"
	benchHAProxy  = "HAProxy mTLS"
	benchQUIC     = "plain quic-go"
	benchMicroNet = "micro-net"
	benchNoLane   = benchMicroNet + ", QUIC alone" // --lane off
)

func benchPeerList() []benchPeer {
	all := []benchPeer{
		{benchDirect, nil, startDirect},
		{benchHAProxy, []string{"haproxy"}, startHAProxy},
		{benchQUIC, nil, startQUIC},
		{benchNebula, []string{"nebula", "nebula-cert"}, startNebula},
		{benchWireGuard, []string{"wireguard-go", "wg"}, startWireGuard},
	}
	if *benchBeside != "" {
		all = append(all, benchPeer{benchMicroNet + " beside", nil, microNet(*benchBeside)})
	}
	return append(all, benchPeer{benchNoLane, nil, microNet(*benchBinary, "--lane", "off")}, benchPeer{benchMicroNet, nil, microNet(*benchBinary)})
}

// available drops the peers whose programs are missing, with a line.
func available(peers []benchPeer) (here []benchPeer) {
	for _, p := range peers {
		if missing := missingProgram(p.needs); missing != "" {
			fmt.Printf("%s is left out: %s is not installed\n", p.name, missing)
			continue
		}
		here = append(here, p)
	}
	return here
}

func missingProgram(programs []string) string {
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			return p
		}
	}
	return ""
}

func startDirect(w *benchWorld) benchRunning {
	return benchRunning{at: func(int) string { return w.b.Addr }}
}

// benchHAProxyHead is common to both sides. Connections to b are resumed, HAProxy's default.
const benchHAProxyHead = `global
	maxconn 4000
	nbthread 2
	ssl-default-bind-options ssl-min-ver TLSv1.3
	ssl-default-server-options ssl-min-ver TLSv1.3
defaults
	mode tcp
	timeout connect 5s
	timeout client 60s
	timeout server 60s
`

// benchTLSPort is added to a port for the encrypted listener on b.
const benchTLSPort = 10_000

func startHAProxy(w *benchWorld) benchRunning {
	w.t.Helper()
	dir := w.folder()
	a, b := benchHAProxyHead, benchHAProxyHead
	for _, port := range benchPorts {
		a += fmt.Sprintf("listen p%[1]d\n\tbind 127.0.0.1:%[1]d\n\tserver b %[2]s:%[3]d ssl crt %[4]s/a.pem ca-file %[4]s/ca.pem verify required verifyhost b\n",
			port, w.b.Addr, port+benchTLSPort, w.dir)
		b += fmt.Sprintf("listen p%[1]d\n\tbind %[2]s:%[3]d ssl crt %[4]s/b.pem ca-file %[4]s/ca.pem verify required\n\tserver s 127.0.0.1:%[1]d\n",
			port, w.b.Addr, port+benchTLSPort, w.dir)
	}
	benchWrite(w.t, filepath.Join(dir, "a.cfg"), []byte(a))
	benchWrite(w.t, filepath.Join(dir, "b.cfg"), []byte(b))
	server := w.b.Start("haproxy", "-db", "-f", filepath.Join(dir, "b.cfg"))
	client := w.a.Start("haproxy", "-db", "-f", filepath.Join(dir, "a.cfg"))
	return benchRunning{at: loopback, programs: []*Process{client, server}}
}

func loopback(int) string { return "127.0.0.1" }

func startQUIC(w *benchWorld) benchRunning {
	w.t.Helper()
	at := w.b.Addr + ":9443"
	server := w.b.Start(benchProgram(w.t, "quic-server", at, w.dir)...)
	args := []string{"quic-client", at, w.dir}
	for _, port := range benchPorts {
		args = append(args, fmt.Sprint(port))
	}
	// The server may not listen yet: the client's handshake tries for seconds.
	client := w.a.Start(benchProgram(w.t, args...)...)
	return benchRunning{at: loopback, programs: []*Process{client, server}}
}

// benchServices is the service file of b. iperf3 takes a connection that says nothing for a test
// that failed, so it is not checked.
var benchServices = fmt.Sprintf(`services:
  - {name: bulk, port: %d, checks: none}
  - {name: web, port: %d, protocol: http}
  - {name: echo, port: %d}
`, benchBulk, benchHTTP, benchPong)

var benchServiceOf = map[int]string{benchBulk: "bulk", benchHTTP: "web", benchPong: "echo"}

// microNet runs two daemons with default settings but for flags, the VIPs redirected by the kernel, in a new
// cluster.
func microNet(binary string, flags ...string) func(w *benchWorld) benchRunning {
	return func(w *benchWorld) benchRunning {
		w.t.Helper()
		server, client := benchMesh(w.t, binary, w.a, w.b, flags...)
		vips := map[string]string{}
		for port, name := range benchServiceOf {
			vips[name] = client.vip(name, port)
		}
		return benchRunning{
			at:       func(port int) string { return vips[benchServiceOf[port]] },
			programs: []*Process{client.process, server.process},
		}
	}
}

// benchMesh founds a cluster on b with the services, and joins a to it.
func benchMesh(t testing.TB, binary string, a, b *Host, flags ...string) (server, client *benchDaemon) {
	t.Helper()
	benchWrite(t, b.Path("/etc/micro-net/services.d/bench.yaml"), []byte(benchServices))
	flags = append(flags, "--capture", "on")
	server = startDaemon(t, binary, b, flags...)
	server.awaitReady()
	client = startDaemon(t, binary, a, append(flags, "--join", server.invite())...)
	client.awaitReady()
	return server, client
}

// benchVersions names the programs that take part.
func benchVersions() string {
	var all []string
	for _, c := range [][]string{
		{"haproxy", "-v"},
		{"iperf3", "-v"},
		{"wrk", "-v"},
		{"nginx", "-v"},
		{"nebula", "-version"},
		{"wireguard-go", "--version"},
		{"unbound", "-V"},
		{"coredns", "-version"},
		{*benchBinary, "version"},
	} {
		out, _ := exec.Command(c[0], c[1:]...).CombinedOutput() // wrk prints its version with exit code 1
		if line, _, _ := strings.Cut(string(out), "\n"); line != "" {
			all = append(all, filepath.Base(c[0])+": "+strings.TrimSpace(line))
		}
	}
	return strings.Join(all, "; ")
}

// benchSettle is how long everything rests before a load.
const benchSettle = 500 * time.Millisecond
