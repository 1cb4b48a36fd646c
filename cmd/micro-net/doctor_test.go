package main

import (
	"encoding/binary"
	"encoding/json"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/node/api"
)

// dnsServer answers every question over UDP with a response code and a number of answers by name.
func dnsServer(t *testing.T, answer func(query []byte) (rcode, answers byte)) netip.AddrPort {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	go func() {
		buf := make([]byte, maxDNS)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			rcode, answers := answer(buf[:n])
			msg := append([]byte(nil), buf[:n]...)
			msg[2] |= 0x80
			msg[3] = rcode
			msg[7] = answers
			_, _ = c.WriteTo([]byte("noise"), from)
			_, _ = c.WriteTo(msg, from)
		}
	}()
	return c.LocalAddr().(*net.UDPAddr).AddrPort()
}

func tcpListener(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln.Addr().String()
}

func (w *world) findings(args ...string) (map[string][]finding, result) {
	w.t.Helper()
	r := w.run(append([]string{"doctor", "--json"}, args...)...)
	var list []finding
	if err := json.Unmarshal([]byte(r.out), &list); err != nil {
		w.t.Fatalf("exit %d, %v: %s%s", r.code, err, r.out, r.err)
	}
	by := map[string][]finding{}
	for _, f := range list {
		by[f.Check] = append(by[f.Check], f)
	}
	return by, r
}

func (w *world) wantFinding(by map[string][]finding, check string, status verdict, detail, fix string) {
	w.t.Helper()
	for _, f := range by[check] {
		if f.Status == status && strings.Contains(f.Detail, detail) && strings.Contains(f.Fix, fix) {
			return
		}
	}
	w.t.Errorf("no finding %s %q with %q and fix %q among %+v", status, check, detail, fix, by[check])
}

// healthyHost is a world whose daemon and host have nothing wrong with them.
func healthyHost(t *testing.T) *world {
	w := newWorld(t)
	l := &w.backend.status.Listeners
	l.API, l.Proxy = tcpListener(t), tcpListener(t)
	l.DNS = dnsServer(t, func([]byte) (byte, byte) { return 0, 1 }).String()
	w.net.resolver = dnsServer(t, func([]byte) (byte, byte) { return 0, 1 })
	w.backend.status.Nodes = api.NodeCounts{Alive: 2}
	w.backend.status.Warnings = nil
	w.backend.settings = []api.Setting{{Key: "domain", Value: "micro.internal"}}
	w.files[resolvConf] = "# comment\nsearch example.com\nnameserver 192.0.2.53\nnameserver 192.0.2.54\n"
	w.files["/proc/sys/net/core/rmem_max"], w.files["/proc/sys/net/core/wmem_max"] = "7500000\n", "16777216\n"
	return w
}

func TestDoctorHealthy(t *testing.T) {
	w := healthyHost(t).start()
	by, r := w.findings()
	if r.code != 0 {
		t.Errorf("exit %d, %s", r.code, r.err)
	}
	for check, list := range by {
		for _, f := range list {
			if f.Status != good {
				t.Errorf("%s: %+v", check, f)
			}
		}
	}
	w.wantFinding(by, "dns", good, "micro.internal SOA at", "")
	w.wantFinding(by, "dns", good, "web.micro.internal A at", "")
	w.wantFinding(by, "host resolver", good, "192.0.2.53 knows micro.internal", "")
	w.wantFinding(by, "vip ports", good, "", "")
	w.wantFinding(by, "certificate", good, "valid for 14d", "")
}

// A TCP port that could not be had is not said to be another program's where it is nobody's.
func TestDoctorSaysWhyNoTCP(t *testing.T) {
	w := healthyHost(t)
	l := &w.backend.status.Listeners
	l.TCP, l.TCPReason = api.PortFailed, "not permitted for this user"
	w.start()
	by, _ := w.findings()
	w.wantFinding(by, "mesh, TCP", warn, "not permitted for this user", "allow it")
	if r := w.run("status"); !strings.Contains(r.out, "failed: not permitted for this user") {
		t.Error(r.out)
	}
}

func TestDoctorFindsFaults(t *testing.T) {
	w := healthyHost(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	s := &w.backend.status
	s.Ready = false
	s.Listeners.API, s.Listeners.Proxy = ln.Addr().String(), "off"
	s.Listeners.TCP, s.Listeners.TCPReason = api.PortTaken, "held by nginx (pid 812)"
	s.Listeners.DNS = dnsServer(t, func(q []byte) (byte, byte) {
		if typ := binary.BigEndian.Uint16(q[len(q)-4:]); typ == typeA {
			return 0, 0
		}
		return 0, 1
	}).String()
	w.net.resolver = dnsServer(t, func([]byte) (byte, byte) { return 3, 0 })
	w.files[resolvConf] = "nameserver 127.0.0.53\n"
	s.Nodes.Dead = 1
	s.Certificate = api.Certificate{Expires: wall.Add(-time.Hour)}
	s.Warnings = []api.Warning{{Code: "vip-port", Text: "port 80 is held by nginx", Fix: "use forward"}, {Code: "one-authority", Text: "alone", Fix: "promote"}}
	w.files["/proc/sys/net/core/rmem_max"] = "212992\n"
	w.start()
	by, r := w.findings()
	if r.code != micronet.ExitFailed || r.err != "micro-net: doctor: 2 of 18 checks failed\n" {
		t.Errorf("exit %d, %q", r.code, r.err)
	}
	w.wantFinding(by, "daemon", warn, "is not ready", "micro-net nodes")
	w.wantFinding(by, "mesh, TCP", warn, "the TCP port is held by nginx (pid 812)", "--tcp-addr")
	w.wantFinding(by, "api", bad, "refused", "see its log")
	w.wantFinding(by, "proxy", good, "switched off", "")
	w.wantFinding(by, "dns", warn, "web.micro.internal A", "micro-net resolve web.micro.internal")
	w.wantFinding(by, "host resolver", warn, "127.0.0.53 does not know micro.internal", "resolvectl domain lo '~micro.internal'")
	w.wantFinding(by, "certificate", bad, "expired", "check the clock")
	w.wantFinding(by, "vip ports", warn, "port 80 is held by nginx", "use forward")
	w.wantFinding(by, "one-authority", warn, "alone", "promote")
	w.wantFinding(by, "nodes", warn, "1 dead", "micro-net invite --name NAME")
	w.wantFinding(by, "udp buffers", warn, "net.core.rmem_max is 212992", "sysctl -w net.core.rmem_max=7500000")
}

func TestDoctorWithoutDaemon(t *testing.T) {
	w := newWorld(t)
	by, r := w.findings()
	w.wantFinding(by, "daemon", warn, "no daemon answers", "micro-net up")
	for _, port := range []string{"port udp/8085", "port tcp/8500", "port udp/8600", "port tcp/8600", "port tcp/8081"} {
		w.wantFinding(by, port, good, "is free", "")
	}
	if r.code != 0 {
		t.Errorf("exit %d, %s", r.code, r.err)
	}
	w.net.busy, w.net.holder = true, "nginx (pid 12)"
	by, r = w.findings()
	w.wantFinding(by, "port tcp/8500", bad, "held by nginx (pid 12)", "micro-net up --api-addr 127.0.0.1:0")
	if r.code != micronet.ExitFailed || !strings.Contains(r.err, "5 of 7 checks failed") {
		t.Errorf("exit %d, %q", r.code, r.err)
	}
	w.vars["MICRO_NET_API_ADDR"] = "nonsense"
	by, _ = w.findings()
	w.wantFinding(by, "configuration", bad, "nonsense", "127.0.0.1:8500")
}

// TestHostResolverThatIsGone: a server that cannot be asked is not one that does not know.
func TestHostResolverThatIsGone(t *testing.T) {
	w := healthyHost(t)
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.net.resolver = c.LocalAddr().(*net.UDPAddr).AddrPort()
	_ = c.Close()
	by, _ := w.start().findings()
	w.wantFinding(by, "host resolver", warn, "192.0.2.53, the first server of /etc/resolv.conf, cannot be asked: ", "mend /etc/resolv.conf")
}

func TestDoctorPaints(t *testing.T) {
	var out, errs output
	w := newWorld(t)
	a := w.app(&out, &errs)
	a.outTerminal = true
	a.run(t.Context(), []string{"doctor"})
	if !strings.Contains(out.String(), "\x1b[33mwarn\x1b[0m    daemon") {
		t.Errorf("no colour on a terminal: %q", out.String())
	}
	w.vars["NO_COLOR"] = "1"
	out = output{}
	a.run(t.Context(), []string{"doctor"})
	if strings.Contains(out.String(), "\x1b") {
		t.Errorf("colour in spite of NO_COLOR: %q", out.String())
	}
}

func TestClock(t *testing.T) {
	a := newWorld(t).app(nil, nil)
	a.env.Wall = func() time.Time { return time.Date(1970, 1, 1, 0, 0, 7, 0, time.UTC) }
	d := &doctor{app: a}
	d.clock(t.Context(), false)
	if d.count(bad) != 1 {
		t.Errorf("a clock in 1970 passes: %+v", d.findings)
	}
}

func TestClocksOfOthers(t *testing.T) {
	clock := func(node string, ms float64) api.Clock { return api.Clock{Node: node, OffsetMs: ms} }
	for _, c := range []struct {
		clocks []api.Clock
		want   verdict
		says   string
	}{
		{nil, good, "no other node"},
		{[]api.Clock{clock("b", 9000), clock("c", -9000)}, good, "as at 2 other nodes"},
		{[]api.Clock{clock("b", 9000)}, good, "as at 1 other node"},
		{[]api.Clock{clock("b", 20), clock("c", -3600_000)}, warn, "but c says 1h0m0s less"},
		{[]api.Clock{clock("b", 65_000), clock("c", 66_000), clock("d", 0)}, bad, "but b says 1m5s more, c says 1m6s more"},
		{[]api.Clock{clock("b", 65_000)}, bad, "b says 1m5s more"},
	} {
		w := newWorld(t)
		w.backend.clocks = c.clocks
		w.start()
		by, _ := w.findings()
		w.wantFinding(by, "clock", c.want, c.says, "")
	}
}

func TestDNSQuery(t *testing.T) {
	got, err := dnsQuery(0x1234, "a.bc.", typeSOA)
	want := "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x02bc\x00\x00\x06\x00\x01"
	if err != nil || string(got) != want {
		t.Errorf("dnsQuery = %q, %v, want %q", got, err, want)
	}
	for _, bad := range []string{"", "a..b", strings.Repeat("x", 64)} {
		if q, err := dnsQuery(1, bad, typeA); err == nil {
			t.Errorf("dnsQuery(%q) = %q", bad, q)
		}
	}
}
