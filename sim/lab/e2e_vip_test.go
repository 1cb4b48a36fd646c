//go:build linux

package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tables lists the nftables tables on the host.
func (h *Host) tables(t testing.TB) string {
	t.Helper()
	out, err := h.Run(cliTime, "nft", "list", "tables")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// stranger starts a program that is no part of the mesh on all addresses, and tells whether it
// could have the port.
func (d *daemon) stranger(port int) (p *Process, listens bool) {
	d.t.Helper()
	argv := append(append([]string{}, d.user...), "env", helperMode+"=stranger", program(d.t, "helper"), fmt.Sprintf("0.0.0.0:%d", port))
	p = d.Start(argv...)
	eventually(d.t, stopTime, "the stranger has tried", func() bool { return p.Output() != "" || !p.Running() })
	return p, p.Running()
}

// reaches connects to the VIP of web, on each port, and checks who answers.
func (d *daemon) reaches(vip string, ports ...int) {
	d.t.Helper()
	for _, port := range ports {
		out, err := d.Run(cliTime, "curl", "-sS", "--max-time", "10", "--http0.9", fmt.Sprintf("http://%s:%d/", vip, port))
		if err != nil || out != "host1\n" {
			d.t.Errorf("%s:%d answers %q, %v; want host1", vip, port, out, err)
		}
	}
}

const ourTable = "table ip micro_net_127_80_0_0_12"

// TestE2EVIPCapture: as root no port is ever in the way, and the table lives as long as the daemon.
func TestE2EVIPCapture(t *testing.T) {
	Need(t, "nft", "curl", "dig")
	l := New(t)
	h1, h2 := l.Host("host1"), l.Host("host2")
	host1 := h1.up(t)
	host1.web("web", 8080)
	before := &daemon{Host: h2, t: t}
	if _, ok := before.stranger(8080); !ok {
		t.Fatal("the stranger could not listen")
	}
	host2 := h2.up(t, "--join", host1.token(), "--capture", "on")
	host2.awaitService("web", 1, "passing")
	if got := host2.tables(t); got != ourTable {
		t.Errorf("tables: %q, want %q", got, ourTable)
	}
	if _, ok := host2.stranger(80); !ok {
		t.Error("the daemon keeps others from port 80")
	}
	vip := host2.vip("web")
	host2.reaches(vip, 80, 8080)
	if out, err := host2.Run(cliTime, "curl", "-s", "--max-time", "5", fmt.Sprintf("http://%s:9999/", vip)); err == nil || out != "" {
		t.Errorf("a port that the service does not have answers %q, %v", out, err)
	}
	if out, err := host2.Run(cliTime, "curl", "-s", "--max-time", "5", "http://127.80.77.77:8080/"); err == nil || out != "" {
		t.Errorf("an address that stands for nothing answers %q, %v", out, err)
	}
	if got := host2.read(t, "127.0.0.1:8080"); got != strangerWords {
		t.Errorf("the stranger's own port answers %q", got)
	}

	host2.kill()
	if got := host2.tables(t); got != ourTable {
		t.Errorf("after kill -9: %q, want the table to stay, so that the VIP leads nowhere else", got)
	}
	if out, _ := host2.Run(cliTime, "curl", "-s", "--max-time", "5", fmt.Sprintf("http://%s:8080/", vip)); out != "" {
		t.Errorf("without a daemon the VIP answers %q", out)
	}
	host2.start()
	if got := host2.tables(t); got != ourTable {
		t.Errorf("after the next start: %q, want %q", got, ourTable)
	}
	host2.awaitService("web", 1, "passing")
	host2.reaches(host2.vip("web"), 80, 8080)
	host2.end()
	if got := host2.tables(t); got != "" {
		t.Errorf("after SIGTERM: %q, want no table", got)
	}
}

// nobody is an ordinary user without any capability.
func (h *Host) nobody(t testing.TB) (user []string, home string) {
	t.Helper()
	Need(t, "setpriv")
	home = filepath.Join(h.Dir, "nobody")
	if err := os.MkdirAll(home, 0o755); err != nil {
		t.Fatal(err)
	}
	const nobody = 65534
	if err := os.Chown(home, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	return []string{
		"setpriv", fmt.Sprintf("--reuid=%d", nobody), fmt.Sprintf("--regid=%d", nobody), "--clear-groups", "--no-new-privs",
		"--inh-caps=-all", "--bounding-set=-all", "env", "HOME=" + home,
	}, home
}

// TestE2EVIPBound: an ordinary user's daemon binds what it offers, offers nothing it cannot bind,
// and never leads to a stranger.
func TestE2EVIPBound(t *testing.T) {
	Need(t, "curl", "dig", "nft")
	l := New(t)
	h1, h2 := l.Host("host1"), l.Host("host2")
	host1 := h1.up(t)
	host1.web("web", 8080)
	host1.must("register", "--service", "held", "--port", "8080", "--service-port", "9090")
	user, _ := h2.nobody(t)
	host2 := &daemon{Host: h2, t: t, user: user, flags: []string{"--join", host1.token()}}
	stranger, ok := host2.stranger(9090)
	if !ok {
		t.Fatalf("the stranger could not listen: %s", stranger.Output())
	}
	host2.start()
	host2.awaitService("web", 1, "passing")
	host2.awaitService("held", 1, "passing")
	if got := host2.tables(t); got != "" {
		t.Errorf("an ordinary user made %q", got)
	}

	// A stranger that came first: no address is given, and the reason is told everywhere.
	got := h2.dig(t, "@127.0.0.1", "-p", "8600", "held.micro.internal")
	if got.status != "NOERROR" || len(got.answers) > 0 || !strings.Contains(got.raw, "EDE") || !strings.Contains(got.raw, "9090") {
		t.Errorf("dig held = %s, want NODATA with an extended error that names the port", got.raw)
	}
	var status struct {
		Warnings []struct{ Code, Text, Fix string }
	}
	host2.json(&status, "status")
	told := false
	for _, w := range status.Warnings {
		told = told || (w.Code == "vip-port" && strings.Contains(w.Text, "9090") && strings.Contains(w.Text, fmt.Sprintf("pid %d", stranger.PID())) && w.Fix != "")
	}
	if !told {
		t.Errorf("status does not warn of port 9090 and its holder (pid %d): %+v", stranger.PID(), status.Warnings)
	}
	if out := host2.must("call", "held"); out != "host1\n" {
		t.Errorf("call held = %q", out)
	}
	if out, err := host2.Run(cliTime, "curl", "-sS", "--max-time", "10", "-x", "socks5h://127.0.0.1:8081", "http://held:9090/"); err != nil || out != "host1\n" {
		t.Errorf("held through the proxy = %q, %v", out, err)
	}

	// One that comes later cannot have the port as long as the VIP is offered.
	got = h2.dig(t, "@127.0.0.1", "-p", "8600", "web.micro.internal")
	if len(got.answers) != 1 {
		t.Fatalf("dig web = %s", got.raw)
	}
	vip := strings.TrimPrefix(got.answers[0], "A ")
	host2.reaches(vip, 8080)
	late, listens := host2.stranger(8080)
	if listens {
		t.Errorf("a stranger got port 8080 on all addresses while %s is offered", vip)
	} else if !strings.Contains(late.Output(), "in use") {
		t.Errorf("the stranger said %q", late.Output())
	}
	host2.reaches(vip, 8080)
}
