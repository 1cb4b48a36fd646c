package tunnel

import (
	"net/netip"
	"testing"
	"time"
)

func TestUsable(t *testing.T) {
	const mine = "machine"
	tests := []struct {
		socket, addr, machine string
		want                  bool
	}{
		{"[::]:8085", "10.0.0.1:1", "", true},
		{"[::]:8085", "[2001:db8::1]:1", "", true},
		{"0.0.0.0:8085", "10.0.0.1:1", "", true},
		{"0.0.0.0:8085", "[2001:db8::1]:1", "", false},
		{"[2001:db8::2]:8085", "10.0.0.1:1", "", false},
		{"10.0.0.2:8085", "[2001:db8::1]:1", "", false},
		{"[::]:8085", "10.0.0.1:0", "", false},
		{"[::]:8085", "0.0.0.0:1", "", false},
		{"[::]:8085", "[::]:1", "", false},
		{"[::]:8085", "224.0.0.1:1", "", false},
		{"[::]:8085", "255.255.255.255:1", "", false},
		{"[::]:8085", "[ff02::1]:1", "", false},
		{"[::]:8085", "169.254.1.1:1", "", false},
		{"[::]:8085", "100.100.100.200:80", "", false},
		{"[::]:8085", "[fd00:ec2::254]:80", "", false},
		{"[::]:8085", "[fe80::1]:1", "", false},
		{"[::]:8085", newTestKey(1).id.Addr().String(), "", false},
		{"[::]:8085", "127.0.0.1:1", "", false},
		{"[::]:8085", "127.0.0.1:1", "other", false},
		{"[::]:8085", "127.0.0.1:1", mine, true},
		{"[::]:8085", "[::1]:1", mine, true},
		{"127.0.0.1:8085", "127.0.0.2:1", "", true},
		{"[::1]:8085", "[::1]:1", "other", true},
		{"[::]:8085", "[::ffff:10.0.0.1]:1", "", true},
		{"[::]:8085", "[::ffff:127.0.0.1]:1", "", false},
	}
	for _, tt := range tests {
		v := vantageOf(netip.MustParseAddrPort(tt.socket))
		v.machine = mine
		if got := v.usable(clean(netip.MustParseAddrPort(tt.addr)), tt.machine); got != tt.want {
			t.Errorf("from %s: usable(%s, %q) = %v, want %v", tt.socket, tt.addr, tt.machine, got, tt.want)
		}
	}
	v := vantage{v4: true, v6: true}
	if v.usable(netip.AddrPort{}, "") {
		t.Error("the zero address is usable")
	}
	if v = (vantage{v4: true}); v.usable(netip.MustParseAddrPort("127.0.0.1:1"), "") {
		t.Error("loopback is usable although nobody knows a machine")
	}
}

func TestAllowance(t *testing.T) {
	t0 := time.Unix(1000, 0)
	observed := newCandidate(netip.MustParseAddrPort(addrA))
	observed.credit(100)
	for i, want := range []bool{true, true, false} {
		if got := observed.allow(t0, 150); got != want {
			t.Errorf("observed: packet %d allowed = %v, want %v", i, got, want)
		}
	}
	if observed.allow(t0.Add(time.Hour), 1) {
		t.Error("time alone allows more to an observed address")
	}
	observed.confirm(t0, time.Millisecond, true)
	observed.forget()
	if !observed.allow(t0.Add(provenFor-1), 1<<20) || observed.allow(t0.Add(provenFor), 1<<20) {
		t.Error("a proven address counts for provenFor")
	}
	declared := newCandidate(netip.MustParseAddrPort(addrA))
	declared.declared = true
	if !declared.allow(t0, declaredBurst) || declared.allow(t0, 1) {
		t.Error("a declared address has a burst")
	}
	if t1 := t0.Add(time.Second); !declared.allow(t1, declaredRate) || declared.allow(t1, 1) {
		t.Error("a declared address has a rate")
	}
	declared.credit(1 << 40)
	if declared.allowance != maxAllowance {
		t.Errorf("allowance %d, want %d", declared.allowance, maxAllowance)
	}
}

func TestSmoothedRoundTrip(t *testing.T) {
	c := newCandidate(netip.MustParseAddrPort(addrA))
	for i, tt := range []struct{ sample, want time.Duration }{
		{80 * time.Millisecond, 80 * time.Millisecond},
		{160 * time.Millisecond, 90 * time.Millisecond},
		{50 * time.Millisecond, 85 * time.Millisecond},
	} {
		if c.confirm(time.Unix(1, 0), tt.sample, true); c.rtt.value != tt.want {
			t.Errorf("sample %d: rtt = %v, want %v", i, c.rtt.value, tt.want)
		}
	}
}

func TestOutstandingProbes(t *testing.T) {
	c := newCandidate(netip.MustParseAddrPort(addrA))
	for n := range uint64(outstandingProbes + 1) {
		c.remember(sentProbe{nonce: n + 1})
	}
	for nonce, want := range []bool{false, false, true, true, true, true, false} {
		if _, got := c.take(uint64(nonce)); got != want {
			t.Errorf("take(%d) = %v, want %v", nonce, got, want)
		}
	}
	if _, again := c.take(3); again {
		t.Error("a nonce counts twice")
	}
}

// Hellos slow down before the first of them are forgotten, so that a reply that takes long still finds
// its probe.
func TestHellosReachBackFar(t *testing.T) {
	c := newCandidate(netip.MustParseAddrPort("192.0.2.1:8085"))
	now := time.Unix(1000, 0)
	longest := time.Duration(0)
	for n := uint64(1); n <= 12; n++ {
		c.note(now)
		c.remember(sentProbe{nonce: n, at: now})
		oldest := now
		for _, p := range c.sent {
			if p.nonce != 0 && p.at.Before(oldest) {
				oldest = p.at
			}
		}
		longest = max(longest, now.Sub(oldest))
		now = now.Add(c.helloGap())
	}
	if longest < 2*time.Second {
		t.Errorf("probes are remembered for %v", longest)
	}
	c.confirmed = true
	if got := c.helloGap(); got != helloEvery {
		t.Errorf("the pace on a confirmed path is %v", got)
	}
}
