//go:build linux

package lab

import (
	"strings"
	"testing"
	"time"
)

// blockUDP has the kernel drop all datagrams of a host but those of loopback, or lets them through again.
func (h *Host) blockUDP(t testing.TB, blocked bool) {
	t.Helper()
	Need(t, "nft")
	rules := "table inet udp_off {}\ndelete table inet udp_off\n"
	if blocked {
		rules += `table inet udp_off {
	chain in { type filter hook input priority filter; policy accept; iifname != "lo" meta l4proto udp drop; }
	chain out { type filter hook output priority filter; policy accept; oifname != "lo" meta l4proto udp drop; }
}`
	}
	if out, err := h.Run(10*time.Second, "nft", rules); err != nil {
		t.Fatalf("nft: %v: %s", err, out)
	}
}

// TestE2EUDPBlocked: the firewall of a host begins to drop datagrams while its service is called.
func TestE2EUDPBlocked(t *testing.T) {
	l := New(t)
	first := l.Host("host1").up(t)
	token := first.token("--uses", "2")
	second := l.Host("host2").up(t, "--join", token)
	second.web("web", 8080)
	first.awaitService("web", 1, "passing")
	eventually(t, 10*time.Second, "the call goes through", func() bool { return first.calls("web", second.Name) })

	second.blockUDP(t, true)
	took := eventually(t, 10*time.Second, "the call goes over TCP", func() bool { return first.calls("web", second.Name) })
	t.Logf("reached %v after the firewall closed", took)
	eventually(t, 10*time.Second, "routes show it", func() bool { return strings.Contains(first.must("routes", "web"), "tcp") })
	for _, verb := range []string{"connections", "trace"} {
		args := []string{verb}
		if verb == "trace" {
			args = append(args, "web")
		}
		if out := first.must(args...); !strings.Contains(out, "tcp") {
			t.Errorf("%s:\n%s", verb, out)
		}
	}
	if out := first.must("ping", second.Name, "-c", "1"); !strings.Contains(out, "direct, tcp") {
		t.Errorf("ping:\n%s", out)
	}
	if out := first.must("nodes"); strings.Count(out, "alive") != 2 {
		t.Errorf("nodes:\n%s", out)
	}

	second.blockUDP(t, false)
	eventually(t, 15*time.Second, "it goes over UDP again", func() bool { return strings.Contains(first.must("routes", "web"), "quic") })
	if !first.calls("web", second.Name) {
		t.Error("the call does not go through")
	}
}

// TestE2EJoinOverTCP: a host whose firewall has never let a datagram through joins, serves and is called; so does one whose
// authority takes TCP at another port, and what is between the hosts is TCP alone.
func TestE2EJoinOverTCP(t *testing.T) {
	for name, tcp := range map[string]string{"same port": "", "port 443": ":443"} {
		t.Run(name, func(t *testing.T) {
			l := New(t)
			var flags []string
			if tcp != "" {
				flags = []string{"--tcp-addr", tcp}
			}
			first := l.Host("host1").up(t, flags...)
			host := l.Host("host2")
			host.blockUDP(t, true)
			began := time.Now()
			second := host.up(t, "--join", first.token())
			t.Logf("ready %v after it was started", time.Since(began))
			first.await(2)
			second.await(2)
			second.web("web", 8080)
			first.awaitService("web", 1, "passing")
			eventually(t, 10*time.Second, "the call goes through", func() bool { return first.calls("web", second.Name) })
			if out := first.must("ping", second.Name, "-c", "1"); !strings.Contains(out, "direct, tcp") {
				t.Errorf("ping:\n%s", out)
			}
			second.end()
			second.start()
			second.await(2)
			eventually(t, 10*time.Second, "the call goes through after a restart", func() bool { return first.calls("web", second.Name) })
		})
	}
}

// TestE2EJoinNeitherWay: what to open is told where neither UDP nor TCP passes.
func TestE2EJoinNeitherWay(t *testing.T) {
	l := New(t)
	first := l.Host("host1").up(t, "--tcp-addr", "off")
	host := l.Host("host2")
	host.blockUDP(t, true)
	d := &daemon{Host: host, t: t, flags: []string{"--join", first.token()}}
	d.launch()
	if err := d.p.Wait(30 * time.Second); err == nil {
		t.Error("it has joined")
	}
	for _, want := range []string{"over TCP 8085: connection refused", "open UDP or TCP port 8085 towards that host"} {
		if !strings.Contains(d.p.Output(), want) {
			t.Errorf("it said %q, not %q", d.p.Output(), want)
		}
	}
}
