//go:build linux

package lab

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// upFails starts a daemon that must refuse to run: with this exit code, one line that has the
// words, and within the time.
func (d *daemon) upFails(code int, within time.Duration, words string, flags ...string) {
	d.t.Helper()
	begin := time.Now()
	argv := append(append([]string{}, d.user...), program(d.t, "micro-net"), "up")
	_, err := d.Run(cliTime, append(argv, flags...)...)
	if took := time.Since(begin); took > within {
		d.t.Errorf("up %v took %v, want at most %v", flags, took, within)
	}
	// The log is on stderr too; the last line is the error.
	if e, ok := err.(*CommandError); ok { //nolint:errorlint // made by Host.Run
		e.Stderr = tail(strings.TrimSpace(e.Stderr), 1)
	}
	refused(d.t, err, code, words)
}

const (
	atOnce  = 5 * time.Second  // a refusal that needs no waiting
	patient = 20 * time.Second // 15 s for an answer, and starting and ending
)

func TestE2ERefusesTakenPlaces(t *testing.T) {
	l := New(t)
	h := l.Host("host1")
	d := &daemon{Host: h, t: t}
	silent := h.helper(t, "silent", "0.0.0.0:8085")
	stranger := h.helper(t, "stranger", "127.0.0.1:8500")
	for _, p := range []*Process{silent, stranger} {
		eventually(t, atOnce, "the port is taken", func() bool { return p.Output() != "" })
	}
	d.upFails(4, atOnce, fmt.Sprintf("8085…pid %d…127.0.0.1:8500…pid %d…--listen…--api-addr", silent.PID(), stranger.PID()))
	if _, err := os.Stat(h.Path("/var/lib/micro-net/root.key")); err == nil {
		t.Error("a daemon that could not start founded a cluster")
	}
	silent.Kill()
	stranger.Kill()

	d.start()
	free := []string{"--listen", "[::]:9085", "--api-addr", "off", "--dns-addr", "off", "--proxy-addr", "off"}
	d.upFails(4, atOnce, "another daemon…/var/lib/micro-net…--data-dir", append(free, "--api-socket", "/run/other.sock")...)
	d.upFails(4, atOnce, "another daemon…api.sock…--api-socket", append(free, "--data-dir", h.Dir+"/home/other")...)
	d.upFails(2, atOnce, "--allow-from", "--data-dir", h.Dir+"/home/other", "--dns-addr", "0.0.0.0:5353")
	d.upFails(2, atOnce, "--nonsense", "--nonsense")
	d.must("status", "--wait", "ready")

	user, home := h.nobody(t)
	ordinary := &daemon{Host: h, t: t, user: user}
	ordinary.upFails(4, atOnce, "--data-dir", append(free, "--data-dir", "/var/lib/mine")...)
	ordinary.upFails(4, atOnce, "--data-dir", append(free, "--data-dir", "/var/lib/micro-net")...)
	ordinary.upFails(4, atOnce, "--capture", append(free, "--data-dir", home+"/data", "--capture", "on")...)
}

// TestE2ERefusesDamagedFiles: a data folder in which a file that the node cannot do without is torn or foreign,
// and its spare too, is refused, and nothing in it changes.
func TestE2ERefusesDamagedFiles(t *testing.T) {
	d, dir := usedFolder(t)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v; want 0600", e.Name(), info.Mode(), err)
		}
		good := contents(t, path)
		if len(good) < 2 || strings.HasSuffix(path, ".spare") || slices.Contains([]string{"tokens.json", "peers.json", "issued.log"}, e.Name()) {
			continue
		}
		tried++
		spare := contents(t, path+".spare")
		for _, bad := range [][]byte{good[:len(good)/2], []byte("somebody else's file\n"), {}} {
			put(t, path, bad)
			if spare != nil {
				put(t, path+".spare", bad)
			}
			d.upFails(2, atOnce, e.Name())
			if after := contents(t, path); !bytes.Equal(after, bad) {
				t.Errorf("%s was %q, after the refusal it is %q", e.Name(), bad, after)
			}
		}
		put(t, path, good)
		if spare != nil {
			put(t, path+".spare", spare)
		}
	}
	if tried < 7 {
		t.Errorf("only %d files were damaged: %v", tried, entries)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the data folder is %v, %v; want 0700", info.Mode(), err)
	}
	d.start() // with everything as it was
}

// TestE2EMendsDamagedFiles: the spare takes the place of a damaged file, whose bytes are kept, and status says so.
func TestE2EMendsDamagedFiles(t *testing.T) {
	d, dir := usedFolder(t)
	for _, name := range []string{"vips.json", "node.key"} {
		path := filepath.Join(dir, name)
		good := contents(t, path)
		put(t, path, good[:len(good)/2])
		d.start()
		if out := d.must("status"); !strings.Contains(out, "damaged-file") || !strings.Contains(out, name) {
			t.Errorf("status does not warn of %s:\n%s", name, out)
		}
		if kept := contents(t, path+".damaged"); !bytes.Equal(kept, good[:len(good)/2]) || !bytes.Equal(contents(t, path), good) {
			t.Errorf("%s was not mended, or %q was not kept", name, kept)
		}
		d.end()
	}
}

// usedFolder is the data folder of a daemon that has offered a service and given out a token, and has ended.
func usedFolder(t *testing.T) (d *daemon, dir string) {
	t.Helper()
	h := New(t).Host("host1")
	d = h.up(t)
	h.helper(t, "web", "host1", "127.0.0.1:8080")
	d.must("register", "--service", "web", "--port", "8080")
	d.awaitService("web", 1, "passing")
	d.vip("web")
	d.token()
	d.end()
	return d, h.Path("/var/lib/micro-net")
}

// contents is what a file holds, nil when there is none.
func contents(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return b
}

func put(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestE2ERefusesTokens(t *testing.T) {
	l := New(t)
	h1, h2, h3 := l.Host("host1"), l.Host("host2"), l.Host("host3")
	host1 := h1.up(t)
	stranger := h3.up(t, "--cluster", "other")
	good, used, old := host1.token(), host1.token(), host1.token("--ttl", "1s")
	made := time.Now()
	bound := host1.token("--name", "somebody")
	joined := h2.up(t, "--join", used)
	joined.must("leave")
	_ = joined.p.Wait(stopTime)

	d := &daemon{Host: h2, t: t}
	for _, c := range []struct {
		name, token string
		code        int
		within      time.Duration
		words       string
	}{
		{"used", used, 4, atOnce, "used"},
		{"expired", old, 4, atOnce, "expired"},
		{"truncated", good[:len(good)-7], 2, atOnce, "token"},
		{"mistyped", mistype(good), 2, atOnce, "token"},
		{"nonsense", "hello", 2, atOnce, "mnj1_"},
		{"of a link", "mnl1_" + strings.TrimPrefix(good, "mnj1_"), 2, atOnce, "link"},
		{"no file", "@/nowhere", 2, atOnce, "/nowhere"},
		{"unreachable", host1.tokenOf("10.88.200.2"), 5, patient, "10.88.200.2:8085…UDP…8085"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "expired" {
				eventually(t, atOnce, "the token's only second is over", func() bool { return time.Since(made) > 1100*time.Millisecond })
			}
			(&daemon{Host: h2, t: t}).upFails(c.code, c.within, c.words, "--join", c.token, "--data-dir", filepath.Join(h2.Dir, "home", c.name))
		})
	}
	d.upFails(4, atOnce, "somebody", "--join", bound, "--name", "anybody", "--data-dir", h2.Dir+"/home/bound")
	d.upFails(4, atOnce, "host1", "--join", good, "--name", "host1", "--data-dir", h2.Dir+"/home/taken")
	stranger.end()
	other := &daemon{Host: h3, t: t}
	other.upFails(4, atOnce, "other…--data-dir", "--join", good)

	// What was refused did not use the good token up; and it is ignored where it is not needed.
	again := h2.up(t, "--join", good, "--data-dir", h2.Dir+"/home/good")
	again.end()
	again.start()
	host1.await(2)
}

// tokenOf is a token that carries only an address at which nobody is.
func (d *daemon) tokenOf(addr string) string {
	d.t.Helper()
	lonely := d.lab.Host("lonely").up(d.t, "--advertise", addr)
	token := lonely.token("--address", addr)
	lonely.Crash()
	return token
}

// mistype changes one character in the middle.
func mistype(token string) string {
	i := len(token) / 2
	c := byte('a')
	if token[i] == c {
		c = 'b'
	}
	return token[:i] + string(c) + token[i+1:]
}

func TestE2ERefusesCalls(t *testing.T) {
	h := New(t).Host("host1")
	d := &daemon{Host: h, t: t}
	d.fails(6, "no daemon…micro-net up", "nodes")
	d.fails(6, "no daemon", "call", "web")
	d.start()
	p := d.web("web", 8080)
	d.awaitService("web", 1, "passing")
	if out := d.must("call", "web", "/x"); out != "host1\n" {
		t.Errorf("call web = %q", out)
	}
	d.fails(3, "nothing", "call", "nothing")
	d.fails(3, "nothing", "services", "nothing")
	d.fails(3, "nothing", "resolve", "nothing")
	d.fails(3, "nothing", "ping", "nothing")
	d.fails(3, "nothing", "deregister", "nothing")
	d.fails(2, "", "call")
	d.fails(2, "no-such-verb", "no-such-verb")
	d.fails(2, "65536", "register", "--service", "x", "--port", "65536")
	d.fails(2, "", "register", "--service", "No_Label", "--port", "1")
	d.fails(2, "service", "register", "--service", "service", "--port", "8080")
	d.fails(4, "", "register", "--service", "loop", "--port", "8500")
	d.fails(2, "169.254", "register", "--service", "meta", "--port", "80", "--address", "169.254.169.254")
	p.Kill()
	d.awaitService("web", 1, "critical")
	d.fails(5, "web", "call", "web")
	out, err := h.Run(cliTime, "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-x", "http://127.0.0.1:8081", "http://web/")
	if err != nil || (out != "503" && out != "502") {
		t.Errorf("the proxy answers %s, %v for a service that is down, want 503", out, err)
	}
}

// TestE2ERefusesGarbage: what is no packet of the mesh costs nothing but a counter.
func TestE2ERefusesGarbage(t *testing.T) {
	Need(t, "curl")
	all := cluster(t, 2)
	all[1].web("web", 8080)
	all[0].awaitService("web", 1, "passing")
	l := all[0].load(t, "http://"+all[0].vip("web")+":8080/")
	begin, logged, counted := time.Now(), len(lines(all[0].p.Output())), all[0].dropped()
	all[0].lab.Host("attacker").flood(t, all[0].Addr+":8085", 20_000)
	eventually(t, 10*time.Second, "requests go on", func() bool { return len(l.since(begin)) > 100 })
	l.end()
	if who := served(l.since(begin)); who["error"] > 0 {
		t.Errorf("requests failed under garbage: %v", who)
	}
	if n := all[0].dropped() - counted; n < 1000 {
		t.Errorf("micronet_packets_dropped_total grew by %v, want 1000 or more of 20,000", n)
	}
	if more := len(lines(all[0].p.Output())) - logged; more > 5 {
		t.Errorf("the log grew by %d lines:\n%s", more, tail(all[0].p.Output(), 10))
	}
	if got := fmt.Sprint(all[0].nodes()); got != "map[host1:alive host2:alive]" {
		t.Errorf("afterwards: %s", got)
	}
}

// flood sends packets of random length and content, many with a first byte that means something.
func (h *Host) flood(t *testing.T, to string, packets int) {
	t.Helper()
	rng := rand.New(rand.NewChaCha8([32]byte{7}))
	var dst syscall.SockaddrInet4
	_, _ = fmt.Sscanf(to, "%d.%d.%d.%d:%d", &dst.Addr[0], &dst.Addr[1], &dst.Addr[2], &dst.Addr[3], &dst.Port)
	err := inside(h.ns, func() error {
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
		if err != nil {
			return err
		}
		defer syscall.Close(fd)
		firsts := []byte{0x00, 0x01, 0x04, 0x40, 0x80, 0x81, 0x90, 0xbf, 0xc0, 0xc3, 0xff}
		packet := make([]byte, 1400)
		for i := range packets {
			for j := range packet {
				packet[j] = byte(rng.Uint32())
			}
			packet[0] = firsts[i%len(firsts)]
			if err := syscall.Sendto(fd, packet[:1+rng.IntN(len(packet))], 0, &dst); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

var droppedLine = regexp.MustCompile(`(?m)^micronet_packets_dropped_total\{.*\} (\S+)$`)

// dropped adds up the daemon's counters of dropped packets.
func (d *daemon) dropped() (sum float64) {
	d.t.Helper()
	out, err := d.Run(cliTime, "curl", "-sS", "http://127.0.0.1:8500/metrics")
	if err != nil {
		d.t.Fatal(err)
	}
	for _, m := range droppedLine.FindAllStringSubmatch(out, -1) {
		v, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			d.t.Fatal(err)
		}
		sum += v
	}
	return sum
}
