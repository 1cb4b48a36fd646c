package server

import (
	"context"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	wire "github.com/miekg/dns"

	"github.com/micro/micro-net/sim/netsim"
)

// TestInASimulatedWorld runs the server on a simulated host, with a resolver (the wire library's
// own server) on another host 20 ms away, over a path that loses nothing and then everything.
func TestInASimulatedWorld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := netsim.New(1, netsim.Options{Link: netsim.Link{Latency: 20 * time.Millisecond}})
		near := w.Host("near", netip.MustParsePrefix("192.0.2.10/24"))
		far := w.Host("far", netip.MustParsePrefix("192.0.2.1/24"))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.Run(ctx) }()

		pc, err := far.ListenPacket(ctx, upstream1)
		if err != nil {
			t.Fatal(err)
		}
		var n atomic.Int32
		started := make(chan struct{})
		library := &wire.Server{PacketConn: pc, Handler: addresses("198.51.100.1", &n), NotifyStartedFunc: func() { close(started) }}
		go func() { ended <- library.ActivateAndServe() }()
		<-started

		s := New(Config{Env: near.Env(), Addr: home, Handler: zone{}, Upstreams: func() []netip.AddrPort { return []netip.AddrPort{upstream1} }})
		if err := s.Open(ctx); err != nil {
			t.Fatal(err)
		}
		go func() { ended <- s.Run(ctx) }()

		here, lost := ask("web.micro.internal.", wire.TypeA), ask("lost.example.", wire.TypeA)
		if r, took := onHost(t, near, here); r == nil || len(r.Answer) != 1 || took > time.Millisecond {
			t.Errorf("the own zone after %v: %v", took, r)
		}
		if r, took := onHost(t, near, ask("example.com.", wire.TypeA)); r == nil || len(r.Answer) != 1 || took < 40*time.Millisecond || took > 45*time.Millisecond {
			t.Errorf("a foreign name after %v: %v", took, r)
		}
		w.Cut(near, far)
		if r, took := onHost(t, near, lost); r == nil || r.Rcode != wire.RcodeServerFailure || took < upstreamPatience || took > upstreamPatience+time.Millisecond {
			t.Errorf("a foreign name without a path after %v: %v", took, r)
		}
		if err := library.Shutdown(); err != nil {
			t.Error(err)
		}
		cancel()
		for range 3 {
			if err := <-ended; err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		}
	})
}

// onHost asks the server from a program on its host; nil when no answer came in 10 seconds.
func onHost(t *testing.T, h *netsim.Host, q *wire.Msg) (*wire.Msg, time.Duration) {
	t.Helper()
	begin := time.Now()
	conn, err := h.DialPacket(t.Context(), home)
	if err != nil {
		t.Fatal(err)
	}
	r := talk(t, conn, q)
	return r, time.Since(begin)
}
