package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	micronet "github.com/micro/micro-net"
)

var (
	web    = micronet.Destination{Service: "web"}
	webVIP = netip.MustParseAddr("127.80.3.4")
)

// bound runs a Bound on n in the bubble until the test ends. Its handler says the service's name.
func bound(t *testing.T, n *memNet) *Bound {
	t.Helper()
	b := NewBound(BoundConfig{Env: micronet.Env{Net: n}, Handle: sayName})
	running(t, b.Run)
	return b
}

func sayName(_ context.Context, c net.Conn, dest micronet.Destination) {
	fmt.Fprint(c, dest)
	io.Copy(io.Discard, c)
	c.Close()
}

func running(t *testing.T, run func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := run(ctx); err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	stop = func() { cancel(); wg.Wait() }
	t.Cleanup(stop)
	return stop
}

// hears returns what a connection to an address reads first, or the error.
func hears(n micronet.Network, to netip.AddrPort) string {
	c, err := n.Dial(context.Background(), netip.Addr{}, to)
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	c.SetReadDeadline(time.Now().Add(2 * time.Second))
	buf := make([]byte, 100)
	k, err := c.Read(buf)
	if err != nil {
		return err.Error()
	}
	return string(buf[:k])
}

func at(port uint16) netip.AddrPort { return netip.AddrPortFrom(webVIP, port) }

func ports(numbers ...uint16) []Port {
	var out []Port
	for _, n := range numbers {
		out = append(out, Port{Number: n})
	}
	return out
}

func TestBoundOffersAndReleases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		b := bound(t, n)
		if err := b.Offer(t.Context(), web, webVIP, ports(80, 8080)); err != nil {
			t.Fatal(err)
		}
		for _, p := range []uint16{80, 8080} {
			if got := hears(n, at(p)); got != "web" {
				t.Errorf("port %d says %q, want web", p, got)
			}
		}
		time.Sleep(vipIdle - time.Minute)
		if err := b.Offer(t.Context(), web, webVIP, ports(80)); err != nil { // renews
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		if n.count() != 2 {
			t.Fatalf("%d listeners after a renewal, want 2", n.count())
		}
		time.Sleep(vipIdle)
		if n.count() != 0 {
			t.Errorf("%d listeners after %v, want none", n.count(), vipIdle)
		}
		if err := b.Offer(t.Context(), web, webVIP, ports(80)); err != nil || hears(n, at(80)) != "web" {
			t.Errorf("Offer after the release = %v", err)
		}
	})
}

func TestBoundKeepsOpenConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		b := bound(t, n)
		b.Offer(t.Context(), web, webVIP, ports(80))
		c, err := n.Dial(t.Context(), netip.Addr{}, at(80))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * vipIdle)
		if n.count() != 1 {
			t.Error("the port of an open connection was released")
		}
		c.Close()
		time.Sleep(vipIdle - time.Second)
		if n.count() != 1 {
			t.Error("the port was released before it was idle for long enough")
		}
		time.Sleep(vipSweep + time.Second)
		if n.count() != 0 {
			t.Error("the port was not released")
		}
	})
}

// Holders of all ports, of some, and a missing privilege.
func TestBoundConflicts(t *testing.T) {
	for _, c := range []struct {
		name       string
		wildcard   []uint16
		privileged uint16
		ports      []Port
		fails      bool
		says       []string // parts of the error
		problems   []uint16
		answers    []uint16
	}{
		{"free", nil, 0, ports(80), false, nil, nil, []uint16{80}},
		{"held", []uint16{6379}, 0, ports(6379), true, []string{"port 6379", "redis-server (pid 812)", "micro-net forward web", "outbound proxy", "CAP_NET_ADMIN"}, []uint16{6379}, nil},
		{"some held", []uint16{6379}, 0, ports(6379, 6380), false, nil, []uint16{6379}, []uint16{6380}},
		{"privileged", nil, 1024, ports(443), true, []string{"port 443", "may not take it", "forward"}, []uint16{443}, nil},
		{"optional privileged", nil, 1024, []Port{{80, true}, {8080, false}}, false, nil, nil, []uint16{8080}},
		{"optional only", []uint16{8080}, 0, []Port{{80, true}, {8080, false}}, false, nil, []uint16{8080}, []uint16{80}},
		{"both", []uint16{8080}, 1024, []Port{{80, true}, {8080, false}}, true, []string{"port 8080", "redis-server"}, []uint16{8080}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newMemNet()
				for _, p := range c.wildcard {
					n.Listen(t.Context(), netip.AddrPortFrom(netip.IPv4Unspecified(), p))
				}
				n.privileged = c.privileged
				b := bound(t, n)
				err := b.Offer(t.Context(), web, webVIP, c.ports)
				if (err != nil) != c.fails {
					t.Fatalf("Offer = %v", err)
				}
				if c.fails && micronet.KindOf(err) != micronet.Refused {
					t.Errorf("kind = %v, want refused", micronet.KindOf(err))
				}
				for _, part := range c.says {
					if !strings.Contains(err.Error(), part) {
						t.Errorf("%q does not name %q", err, part)
					}
				}
				var got []uint16
				for _, p := range b.Problems() {
					got = append(got, p.Addr.Port())
				}
				if fmt.Sprint(got) != fmt.Sprint(c.problems) {
					t.Errorf("problems = %v, want %v", got, c.problems)
				}
				for _, p := range c.answers {
					if got := hears(n, at(p)); got != "web" {
						t.Errorf("port %d says %q, want web", p, got)
					}
				}
			})
		})
	}
}

// A problem goes away with its cause, and with the interest in the name.
func TestBoundProblemsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		stranger, _ := n.Listen(t.Context(), netip.AddrPortFrom(netip.IPv4Unspecified(), 80))
		b := bound(t, n)
		if b.Offer(t.Context(), web, webVIP, ports(80)) == nil || len(b.Problems()) != 1 {
			t.Fatal("the stranger was not seen")
		}
		stranger.Close()
		if err := b.Offer(t.Context(), web, webVIP, ports(80)); err != nil || len(b.Problems()) != 0 {
			t.Errorf("Offer without the stranger = %v, problems %v", err, b.Problems())
		}
		other := netip.MustParseAddr("127.80.9.9")
		n.mu.Lock()
		n.privileged = 1024
		n.mu.Unlock()
		b.Offer(t.Context(), micronet.Destination{Service: "db"}, other, ports(443))
		time.Sleep(vipIdle + vipSweep)
		if got := b.Problems(); len(got) != 0 {
			t.Errorf("problems of a forgotten name: %v", got)
		}
	})
}

// Many questions for one name at once do not take each other for strangers.
func TestBoundOffersAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		b := bound(t, n)
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if err := b.Offer(t.Context(), web, webVIP, ports(80, 81, 82)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	})
}

func TestBoundEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		b := NewBound(BoundConfig{Env: micronet.Env{Net: n}, Handle: sayName})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- b.Run(ctx) }()
		b.Offer(t.Context(), web, webVIP, ports(80))
		b.Quiesce()
		if got := hears(n, at(80)); !strings.Contains(got, "refused") {
			t.Errorf("after Quiesce the port says %q", got)
		}
		if err := b.Offer(t.Context(), web, webVIP, ports(80)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Offer after Quiesce = %v, want net.ErrClosed", err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
}

// capNet adds redirection to memNet: connections to the prefix arrive at the listener.
type capNet struct {
	*memNet
	prefix netip.Prefix
	to     netip.AddrPort
	undone atomic.Bool
}

func (n *capNet) Redirect(_ context.Context, _ string, from netip.Prefix, to net.Listener) (func() error, error) {
	n.prefix, n.to = from, micronet.AddrPortOf(to.Addr())
	return func() error { n.undone.Store(true); return nil }, nil
}

func (n *capNet) Dial(ctx context.Context, from netip.Addr, to netip.AddrPort) (net.Conn, error) {
	if !n.prefix.Contains(to.Addr()) {
		return n.memNet.Dial(ctx, from, to)
	}
	n.memNet.mu.Lock()
	defer n.memNet.mu.Unlock()
	if n.listeners[n.to] == nil {
		return nil, syscall.ECONNREFUSED
	}
	n.next++
	a, b := memPair(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), n.next), to)
	n.listeners[n.to].queue <- b
	return a, nil
}

func TestCapture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &capNet{memNet: newMemNet()}
		// A stranger on all addresses is in nobody's way.
		n.Listen(t.Context(), netip.AddrPortFrom(netip.IPv4Unspecified(), 80))
		c, err := NewCapture(CaptureConfig{
			Env: micronet.Env{Net: n}, Prefix: DefaultVIPs(), Table: "micro-net", Handle: sayName,
			Addr: netip.MustParseAddrPort("127.0.0.1:0"),
			Lookup: func(vip netip.Addr) (micronet.Destination, bool) {
				return web, vip == webVIP
			},
			Ports: func(micronet.Destination) []Port { return ports(80, 8080) },
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Listen(t.Context()); err != nil {
			t.Fatal(err)
		}
		stop := running(t, c.Run)
		for to, want := range map[string]string{
			"127.80.3.4:80":   "web",
			"127.80.3.4:8080": "web",
			"127.80.3.4:22":   syscall.ECONNRESET.Error(), // no port of the service
			"127.80.9.9:80":   syscall.ECONNRESET.Error(), // no service
			"127.0.0.1:40001": syscall.ECONNRESET.Error(), // the listener itself
		} {
			if got := hears(n, netip.MustParseAddrPort(to)); got != want {
				t.Errorf("%s says %q, want %q", to, got, want)
			}
		}
		if err := c.Offer(t.Context(), web, webVIP, ports(80)); err != nil {
			t.Errorf("Offer = %v", err)
		}
		if err := c.Offer(t.Context(), web, webVIP, nil); micronet.KindOf(err) != micronet.NotFound {
			t.Errorf("Offer without a TCP port = %v, want NotFound", err)
		}
		c.Quiesce()
		if got := hears(n, netip.MustParseAddrPort("127.80.3.4:80")); got != syscall.ECONNREFUSED.Error() {
			t.Errorf("after Quiesce the port says %q", got)
		}
		if n.undone.Load() {
			t.Error("the redirect is gone while connections may still need it")
		}
		stop()
		if !n.undone.Load() {
			t.Error("the redirect stands after Run")
		}
	})
}

func TestCaptureNeedsPowers(t *testing.T) {
	if _, err := NewCapture(CaptureConfig{Env: micronet.Env{Net: newMemNet()}}); micronet.KindOf(err) != micronet.Unreachable {
		t.Errorf("NewCapture = %v, want Unreachable", err)
	}
}

// Beyond the limit the newest connection is reset, and counted.
func TestH24_AcceptorLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		drops := 0
		ev := &micronet.Events{PacketDropped: func(micronet.PacketDrop) { drops++ }}
		ev.EnsureDefaults()
		a := newAcceptor(ev, 2)
		ln, _ := n.Listen(t.Context(), at(80))
		a.wg.Go(func() {
			a.loop(t.Context(), ln, func(c net.Conn) { sayName(t.Context(), c, web) })
		})
		x, _ := n.Dial(t.Context(), netip.Addr{}, at(80))
		y, _ := n.Dial(t.Context(), netip.Addr{}, at(80))
		if got := hears(n, at(80)); got != syscall.ECONNRESET.Error() || drops != 1 {
			t.Errorf("the third says %q with %d drops, want a reset and 1", got, drops)
		}
		x.Close()
		synctest.Wait()
		if got := hears(n, at(80)); got != "web" {
			t.Errorf("after one left: %q, want web", got)
		}
		y.Close()
		ln.Close()
		a.wg.Wait()
	})
}
