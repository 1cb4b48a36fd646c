package netsim

import (
	"context"
	"fmt"
	"net/netip"
	"syscall"
	"testing"
	"time"
)

func TestFirewallBlocksInboundUnlessAnswered(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		w.SetFirewall(w.b, Firewall{BlockInbound: true})
		a, a2 := listenPacket(t, w.a, wild(1)), listenPacket(t, w.a, wild(2))
		b, c := listenPacket(t, w.b, wild(1)), listenPacket(t, w.c, wild(1))
		if tells(t, a, at(addrB, 1), b).IsValid() {
			t.Error("an uninvited datagram is let in")
		}
		if !tells(t, b, at(addrA, 1), a).IsValid() || !tells(t, a, at(addrB, 1), b).IsValid() {
			t.Error("an answer is not let in")
		}
		if tells(t, a2, at(addrB, 1), b).IsValid() || tells(t, c, at(addrB, 1), b).IsValid() {
			t.Error("another port, or another host, is let in")
		}
		if n := w.Stats().Firewall; n != 3 {
			t.Errorf("Firewall = %d, want 3", n)
		}
		time.Sleep(udpTimeout)
		if tells(t, a, at(addrB, 1), b).IsValid() {
			t.Error("the flow outlived its timeout")
		}
		if !tells(t, b, at(addrB, 1), b).IsValid() {
			t.Error("the host does not reach itself")
		}
		w.SetFirewall(w.b, Firewall{})
		if !tells(t, c, at(addrB, 1), b).IsValid() {
			t.Error("an open firewall blocks")
		}
	})
}

func TestFirewallAndStreams(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		early, earlyServer := pair(t, w)
		w.SetFirewall(w.b, Firewall{BlockInbound: true})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		listen(t, w.b, wild(81))
		_, err := w.a.Dial(ctx, netip.Addr{}, at(addrB, 81))
		wantErr(t, "a dial from outside", err, context.DeadlineExceeded)
		l := listen(t, w.a, wild(80))
		c := dial(t, w.b, at(addrA, 80))
		s := accept(t, l)
		write(t, s, "in")
		if read(t, c) != "in" {
			t.Error("a connection of the host's own does not work")
		}
		_, err = w.b.Dial(t.Context(), netip.Addr{}, at(addrA, 99))
		wantErr(t, "a dial that is refused", err, syscall.ECONNREFUSED)
		time.Sleep(tcpTimeout - time.Minute)
		write(t, s, "late")
		if read(t, c) != "late" {
			t.Error("an idle connection has died within two hours")
		}
		write(t, early, "waits")
		time.Sleep(time.Minute)
		write(t, earlyServer, "opens")
		if read(t, early) != "opens" || read(t, earlyServer) != "waits" {
			t.Error("an older connection does not go on when the host uses it")
		}
	})
}

func TestFirewallBlocksAProtocolBothWays(t *testing.T) {
	for _, c := range []struct {
		rules    Firewall
		udp, tcp bool
	}{{Firewall{BlockUDP: true}, false, true}, {Firewall{BlockTCP: true}, true, false}, {Firewall{}, true, true}} {
		inWorld(t, 1, steady(), func(t *testing.T, w *three) {
			w.SetFirewall(w.b, c.rules)
			a, b := listenPacket(t, w.a, wild(1)), listenPacket(t, w.b, wild(1))
			for _, got := range []bool{tells(t, a, at(addrB, 1), b).IsValid(), tells(t, b, at(addrA, 1), a).IsValid()} {
				if got != c.udp {
					t.Errorf("%+v: datagrams pass: %v", c.rules, got)
				}
			}
			listen(t, w.a, wild(80))
			listen(t, w.b, wild(80))
			for _, d := range []struct {
				from *Host
				to   netip.Addr
			}{{w.a, addrB}, {w.b, addrA}} {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				conn, err := d.from.Dial(ctx, netip.Addr{}, at(d.to, 80))
				cancel()
				if (err == nil) != c.tcp {
					t.Errorf("%+v: dial: %v", c.rules, err)
				}
				if err == nil {
					closeQuietly(t, conn)
				}
			}
			if n := w.Stats().Firewall; (n > 0) == (c.udp && c.tcp) {
				t.Errorf("%+v: Firewall = %d", c.rules, n)
			}
		})
	}
}

func TestFirewallKeepsBusyStreams(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		c, s := pair(t, w)
		w.SetFirewall(w.a, Firewall{BlockInbound: true})
		write(t, c, "opens")
		read(t, s)
		for range 5 { // the host itself sends nothing
			time.Sleep(time.Hour)
			write(t, s, "tick")
			_ = c.SetReadDeadline(time.Now().Add(time.Minute))
			read(t, c)
		}
	})
}

func TestFirewallLeavesTheHostItselfAlone(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		w.SetFirewall(w.a, Firewall{BlockInbound: true, BlockUDP: true, BlockTCP: true})
		a := listenPacket(t, w.a, wild(1))
		for _, addr := range []netip.Addr{addrA, netip.MustParseAddr("127.0.0.1")} {
			if !tells(t, a, at(addr, 1), a).IsValid() {
				t.Errorf("the host does not reach itself at %v", addr)
			}
		}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	var m memory[string]
	const ms = time.Millisecond
	for i := range 3 {
		if !m.see(fmt.Sprint(i), time.Duration(i)*600*ms, time.Minute, 3) {
			t.Fatalf("no room for %d", i)
		}
	}
	for _, c := range []struct {
		key  string
		now  time.Duration
		want bool
	}{
		{"new", 3000 * ms, false},    // all are fresh
		{"1", 3000 * ms, true},       // known
		{"new", 61000 * ms, true},    // 0 has become old
		{"newer", 61500 * ms, false}, // so has 2, but that was looked for lately
		{"newer", 62000 * ms, true},
	} {
		if got := m.see(c.key, c.now, time.Minute, 3); got != c.want {
			t.Errorf("see(%q) at %v = %v, want %v", c.key, c.now, got, c.want)
		}
	}
	if !m.fresh("1", 62*time.Second, time.Minute) || m.fresh("1", 63*time.Second, time.Minute) || m.fresh("0", 0, time.Minute) {
		t.Error("what is fresh is not what was seen within the minute")
	}
}
