//go:build linux

package lab

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"
)

// socket opens a UDP socket on the host.
func (h *Host) socket(t *testing.T) *net.UDPConn {
	t.Helper()
	var c *net.UDPConn
	err := inside(h.ns, func() (err error) {
		c, err = net.ListenUDP("udp4", nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// sends sends from one socket to an address, and returns where it comes from at the other; false when nothing comes.
func sends(t *testing.T, from, to *net.UDPConn, at netip.AddrPort) (netip.AddrPort, bool) {
	t.Helper()
	if _, err := from.WriteToUDPAddrPort([]byte("hello"), at); err != nil {
		t.Fatal(err)
	}
	_ = to.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	_, src, err := to.ReadFromUDPAddrPort(make([]byte, 100))
	return netip.AddrPortFrom(src.Addr().Unmap(), src.Port()), err == nil
}

func addrOf(h *Host, c *net.UDPConn) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(h.Addr), netip.MustParseAddrPort(c.LocalAddr().String()).Port())
}

// TestWanBoxes: each kind of device lets in whom it should, and nobody else; TCP goes through it.
func TestWanBoxes(t *testing.T) {
	w := New(t).Wan()
	one, two := w.Host("one", Place{}), w.Host("two", Place{})
	for _, c := range []struct {
		name                         string
		boxes                        []Boxing
		samePort, otherHost, newPort bool // what others see and may do
	}{
		{"open", nil, true, true, true},
		{"full", []Boxing{FullCone}, true, true, true},
		{"restricted", []Boxing{Restricted}, true, false, true},
		{"port", []Boxing{PortRestricted}, true, false, false},
		{"symmetric", []Boxing{Symmetric}, false, false, false},
		{"wall", []Boxing{Firewall}, true, false, false},
		{"twice", []Boxing{PortRestricted, FullCone}, true, false, false},
	} {
		h := w.Host(c.name, Place{Boxes: c.boxes})
		mine, a, b, other := h.socket(t), one.socket(t), one.socket(t), two.socket(t)
		seen, ok := sends(t, mine, a, addrOf(one, a))
		if !ok {
			t.Fatalf("%s: nothing leaves", c.name)
		}
		if _, ok := sends(t, a, mine, seen); !ok {
			t.Errorf("%s: the answer does not come in", c.name)
		}
		if _, ok := sends(t, b, mine, seen); ok != c.newPort {
			t.Errorf("%s: another port of whom it sent to is let in: %v", c.name, ok)
		}
		if _, ok := sends(t, other, mine, seen); ok != c.otherHost {
			t.Errorf("%s: a stranger is let in: %v", c.name, ok)
		}
		if again, ok := sends(t, mine, other, addrOf(two, other)); !ok || (again == seen) != c.samePort {
			t.Errorf("%s: seen as %v, then as %v, %v", c.name, seen, again, ok)
		}
		w.Rebind(h)
		if _, ok := sends(t, a, mine, seen); ok == (len(c.boxes) > 0) {
			t.Errorf("%s: let in after all was forgotten: %v", c.name, ok)
		}
		fetchFrom(t, h, one)
	}
}

// fetchFrom moves a megabyte over TCP.
func fetchFrom(t *testing.T, h, server *Host) {
	t.Helper()
	var ln net.Listener
	err := inside(server.ns, func() (err error) {
		ln, err = net.Listen("tcp4", ":0")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		if c, err := ln.Accept(); err == nil {
			_, _ = c.Write(make([]byte, 1<<20))
			_ = c.Close()
		}
	}()
	c, err := h.dial(fmt.Sprintf("%s:%d", server.Addr, ln.Addr().(*net.TCPAddr).Port), 5*time.Second)
	if err != nil {
		t.Fatalf("%s: %v", h.Name, err)
	}
	defer c.Close()
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, err := io.Copy(io.Discard, c); n != 1<<20 || err != nil {
		t.Errorf("%s: %d bytes, %v", h.Name, n, err)
	}
}

// TestWanHomes: hosts of one home reach each other at home, and by their device's address only where it turns packets
// round. Addresses at home are the same in all homes.
func TestWanHomes(t *testing.T) {
	w := New(t).Wan()
	open := w.Host("open", Place{})
	for _, hairpin := range []bool{false, true} {
		a := w.Host(fmt.Sprintf("a%v", hairpin), Place{Boxes: []Boxing{FullCone}, Hairpin: hairpin})
		b := w.Host(fmt.Sprintf("b%v", hairpin), Place{With: a})
		sa, sb, so := a.socket(t), b.socket(t), open.socket(t)
		if _, ok := sends(t, sa, sb, addrOf(b, sb)); !ok {
			t.Error("nothing comes from next door")
		}
		seen, _ := sends(t, sa, so, addrOf(open, so))
		if _, ok := sends(t, sb, sa, seen); ok != hairpin {
			t.Errorf("turned round: %v, want %v", ok, hairpin)
		}
	}
}

// TestWanLinks: links delay, lose, and are slow and narrow as they are told to be.
func TestWanLinks(t *testing.T) {
	w := New(t).Wan()
	a := w.Host("a", Place{Link: Link{Delay: 20 * time.Millisecond}})
	b := w.Host("b", Place{Link: Link{Delay: 5 * time.Millisecond}})
	sa, sb := a.socket(t), b.socket(t)
	begin := time.Now()
	if _, ok := sends(t, sa, sb, addrOf(b, sb)); !ok || time.Since(begin) < 25*time.Millisecond {
		t.Errorf("a packet took %v, %v", time.Since(begin), ok)
	}
	w.SetLink(a, Link{Loss: 1})
	if _, ok := sends(t, sa, sb, addrOf(b, sb)); ok {
		t.Error("nothing is lost")
	}
	w.SetLink(a, Link{})
	w.SetLink(b, Link{MTU: 1300})
	big := make([]byte, 1400)
	if _, err := sa.WriteToUDPAddrPort(big, addrOf(b, sb)); err != nil {
		t.Fatal(err)
	}
	_ = sb.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	if n, err := sb.Read(make([]byte, 2000)); err == nil {
		t.Errorf("%d bytes passed a narrow link", n)
	}
	fetchFrom(t, b, a) // TCP learns of it
	w.SetLink(b, Link{Rate: 1 << 20})
	begin = time.Now()
	fetchFrom(t, b, a)
	if took := time.Since(begin); took < 800*time.Millisecond {
		t.Errorf("a megabyte at a megabyte a second took %v", took)
	}
	w.Drop(func(from, _ *Host, _ []byte) bool { return from == a })
	if _, ok := sends(t, sa, sb, addrOf(b, sb)); ok {
		t.Error("what is to be dropped arrives")
	}
}
