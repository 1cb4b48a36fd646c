package proxy

import (
	"context"
	"io"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/sim/netsim"
)

// A program on a simulated host, with a stranger on all addresses in the way, reaches the instance
// of the host by its VIP: always with capture, and not at all, not even the stranger, without.
func TestVIPOnSimulatedHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := netsim.New(1, netsim.Options{})
		running(t, w.Run)
		h := w.Host("a", netip.MustParsePrefix("10.0.0.1/24"))
		env := h.Env()
		serveName(t, h, netip.MustParseAddrPort("127.0.0.1:8080"), "instance")
		serveName(t, h, netip.MustParseAddrPort("0.0.0.0:80"), "stranger")

		caller := netip.MustParseAddr("127.81.0.7")
		routes := pickFunc(func(tried []micronet.InstanceKey) (Ticket, error) {
			if len(tried) > 0 {
				return Ticket{}, micronet.E("pick", micronet.Unreachable, "no other")
			}
			return Ticket{Route: micronet.Route{Node: nodeID(1), Instance: webAt("a", 8080, micronet.Passing)}, Done: func(time.Time, Outcome) {}}, nil
		})
		d := NewDialer(DialerConfig{Env: env, Self: nodeID(1), Routes: routes, LocalFrom: func(micronet.Caller) netip.Addr { return caller }})
		running(t, d.Run)

		b := NewBound(BoundConfig{Env: env, Handle: d.Carry})
		running(t, b.Run)
		if err := b.Offer(t.Context(), web, webVIP, ports(80)); micronet.KindOf(err) != micronet.Refused {
			t.Errorf("Offer beside the stranger = %v, want Refused", err)
		}
		if err := b.Offer(t.Context(), web, webVIP, ports(81)); err != nil || hears(h, at(81)) != "instance for 127.81.0.7" {
			t.Errorf("bound port 81 = %q, %v", hears(h, at(81)), err)
		}

		c, err := NewCapture(CaptureConfig{
			Env: env, Prefix: DefaultVIPs(), Table: "micro-net", Addr: netip.MustParseAddrPort("127.0.0.1:0"), Handle: d.Carry,
			Lookup: func(a netip.Addr) (micronet.Destination, bool) { return web, a == webVIP },
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Listen(t.Context()); err != nil {
			t.Fatal(err)
		}
		running(t, c.Run)
		for _, port := range []uint16{80, 81, 5432} {
			if got := hears(h, at(port)); got != "instance for 127.81.0.7" {
				t.Errorf("captured port %d says %q", port, got)
			}
		}
	})
}

// serveName says name, and for whom, to everybody who connects.
func serveName(t *testing.T, n micronet.Network, at netip.AddrPort, name string) {
	t.Helper()
	ln, err := n.Listen(context.Background(), at)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, name+" for "+micronet.AddrPortOf(c.RemoteAddr()).Addr().String())
			c.Close()
		}
	}()
	t.Cleanup(func() { ln.Close() })
}
