package netsim

import (
	"net/netip"
	"testing"
	"time"
)

func TestGateway(t *testing.T) {
	inHomes(t, NATOptions{}, NATOptions{}, func(t *testing.T, w *homes) {
		inner := w.x.NAT("cellar", netip.MustParseAddr("192.168.1.9"), NATOptions{})
		c := inner.Host("c", prefix(private))
		want := func(h *Host, router, local netip.Addr) {
			t.Helper()
			gw, src, err := h.Gateway()
			if gw != router || src != local || err != nil {
				t.Errorf("%s: %v and %v, %v; want %v and %v", h.Name(), gw, src, err, router, local)
			}
		}
		none := netip.Addr{}
		want(w.a, none, none)
		addr := netip.MustParsePrefix("192.168.1.1/24")
		gw := w.x.Gateway("x-inside", addr)
		want(w.a, addr.Addr(), private)
		want(w.b, none, none)
		want(w.s, none, none)
		want(c, none, none)
		want(gw, none, none)
		if w.x.HostAt(private) != w.a || w.x.HostAt(outerX) != nil || w.x.HostAt(addr.Addr()) != gw {
			t.Error("HostAt finds others")
		}
		// It hears those behind the device, and nobody else.
		g, a, s := listenPacket(t, gw, wild(5351)), listenPacket(t, w.a, wild(5)), listenPacket(t, w.s, wild(5))
		if src := tells(t, a, at(addr.Addr(), 5351), g); src != at(private, 5) {
			t.Errorf("the gateway hears %v", src)
		}
		send(t, s, "x", at(outerX, 5351))
		if text, src := hear(t, g, time.Second); src.IsValid() {
			t.Errorf("the gateway hears %q of the world outside, %v", text, src)
		}
		w.a.Move(w.y, prefix(second))
		want(w.a, none, none)
	})
}
