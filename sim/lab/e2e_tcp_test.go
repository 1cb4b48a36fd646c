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
