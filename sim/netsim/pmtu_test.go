package netsim

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestReportsOfTheMTU(t *testing.T) {
	opts := steady()
	opts.Link.MTU, opts.Link.ICMP = 1280, true
	inWorld(t, 1, opts, func(t *testing.T, w *three) {
		a, b := listenPacket(t, w.a, wild(1)), listenPacket(t, w.b, wild(1))
		write := func(size int, to netip.Addr) error {
			_, err := a.WriteTo(make([]byte, size), net.UDPAddrFromAddrPort(at(to, 1)))
			return err
		}
		send(t, a, strings.Repeat("x", 1400), at(addrB, 1))
		send(t, a, strings.Repeat("x", 1400), at(addrB, 1)) // the report is still under way
		time.Sleep(testLatency + time.Millisecond)
		wantErr(t, "after the report", write(1253, addrB), syscall.EMSGSIZE)
		other := listenPacket(t, w.a, wild(2))
		_, err := other.WriteTo(make([]byte, 1253), net.UDPAddrFromAddrPort(at(addrB, 1)))
		wantErr(t, "another socket", err, syscall.EMSGSIZE)
		if err := write(1253, addrC); err != nil {
			t.Errorf("another destination: %v", err)
		}
		if err := write(1252, addrB); err != nil {
			t.Errorf("what fits: %v", err)
		}
		if text, _ := hear(t, b, time.Second); len(text) != 1252 {
			t.Errorf("heard %d bytes, want 1252", len(text))
		}
		c, err := w.a.DialPacket(t.Context(), at(addrB, 1))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { closeQuietly(t, c) })
		_, err = c.Write(make([]byte, 1253))
		wantErr(t, "a connected socket", err, syscall.EMSGSIZE)
		time.Sleep(pmtuAge)
		if err := write(1253, addrB); err != nil {
			t.Errorf("after ten minutes: %v", err)
		}
		if n := w.Stats().TooBig; n != 4 {
			t.Errorf("TooBig = %d, want 4: what fails with EMSGSIZE is not sent", n)
		}
	})
}

func TestReportsOfTheMTUCanBeMissing(t *testing.T) {
	nothing := func(*three) {}
	for _, c := range []struct {
		name          string
		icmp          bool
		before, after func(w *three)
	}{
		{"without ICMP", false, nothing, nothing},
		{"lost on the way back", true, func(w *three) { w.Cut(w.b, w.a) }, nothing},
		{"for an earlier life of the host", true, nothing, func(w *three) { w.a.Restart() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			opts := steady()
			opts.Link.MTU, opts.Link.ICMP = 1280, c.icmp
			inWorld(t, 1, opts, func(t *testing.T, w *three) {
				c.before(w)
				send(t, listenPacket(t, w.a, wild(1)), strings.Repeat("x", 1400), at(addrB, 1))
				c.after(w)
				time.Sleep(time.Second)
				send(t, listenPacket(t, w.a, wild(2)), strings.Repeat("x", 1400), at(addrB, 1))
				if n := w.Stats().TooBig; n != 2 {
					t.Errorf("TooBig = %d, want both to vanish", n)
				}
			})
		})
	}
}

// TestReportsPassStalledHosts: reports come from the network and go to the kernel, not to programs.
func TestReportsPassStalledHosts(t *testing.T) {
	opts := steady()
	opts.Link.MTU, opts.Link.ICMP = 1280, true
	for _, both := range []bool{false, true} {
		inWorld(t, 1, opts, func(t *testing.T, w *three) {
			a := listenPacket(t, w.a, wild(1))
			w.b.Stall(time.Minute)
			send(t, a, strings.Repeat("x", 1400), at(addrB, 1))
			if both {
				w.a.Stall(time.Minute)
			}
			time.Sleep(time.Second)
			_, err := a.WriteTo(make([]byte, 1400), net.UDPAddrFromAddrPort(at(addrB, 1)))
			wantErr(t, "after the report", err, syscall.EMSGSIZE)
		})
	}
}

func TestReportsPassSlowHosts(t *testing.T) {
	opts := steady()
	opts.Link.MTU, opts.Link.ICMP = 1280, true
	inWorld(t, 1, opts, func(t *testing.T, w *three) {
		a, c := listenPacket(t, w.a, wild(1)), listenPacket(t, w.c, wild(1))
		w.b.Slow(1, time.Second)
		for range slowMax + 10 { // more than it takes in
			send(t, c, "x", at(addrB, 1))
		}
		time.Sleep(2 * testLatency)
		send(t, a, strings.Repeat("x", 1400), at(addrB, 1))
		time.Sleep(2 * testLatency)
		_, err := a.WriteTo(make([]byte, 1400), net.UDPAddrFromAddrPort(at(addrB, 1)))
		wantErr(t, "after the report", err, syscall.EMSGSIZE)
	})
}

func TestReportsAreBounded(t *testing.T) {
	w := newThree(1, Options{})
	s := w.a.stack
	addr := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}) }
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range pmtuMax + 3 {
		s.learnMTULocked(s, addr(i), 1280+i)
		s.pmtu[addr(i)] = pmtu{1280, time.Duration(i) + pmtuAge}
	}
	s.learnMTULocked(s, addr(10), 1300) // known: replaces nothing
	if len(s.pmtu) != pmtuMax || s.fitsLocked(addr(pmtuMax+2), 1281) || !s.fitsLocked(addr(2), 9000) || s.fitsLocked(addr(3), 9000) {
		t.Errorf("%d reports are kept, want %d without the three oldest", len(s.pmtu), pmtuMax)
	}
}

// TestReportsDoNotChangeFates: datagrams on the way back fare the same with reports among them.
func TestReportsDoNotChangeFates(t *testing.T) {
	run := func(icmp bool) (got string) {
		link := Link{Latency: testLatency, Loss: 0.3, MTU: 1280, ICMP: icmp}
		inWorld(t, 5, Options{Link: link}, func(t *testing.T, w *three) {
			a, b := listenPacket(t, w.a, wild(1)), listenPacket(t, w.b, wild(1))
			for i := range 50 {
				send(t, a, strings.Repeat("x", 1252), at(addrB, 1))
				_, _ = a.WriteTo(make([]byte, 1400), net.UDPAddrFromAddrPort(at(addrC, 1)))
				send(t, b, fmt.Sprint(i), at(addrA, 1))
			}
			for text, _ := hear(t, a, time.Second); text != ""; text, _ = hear(t, a, time.Second) {
				got += text + " "
			}
		})
		return got
	}
	if without, with := run(false), run(true); without != with {
		t.Errorf("without reports:\n%s\nwith:\n%s", without, with)
	}
}
