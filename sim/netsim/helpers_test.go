package netsim

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	micronet "github.com/micro/micro-net"
)

const testLatency = 20 * time.Millisecond

var (
	addrA = netip.MustParseAddr("10.0.0.1")
	addrB = netip.MustParseAddr("10.0.0.2")
	addrC = netip.MustParseAddr("10.0.0.3")
	addr6 = netip.MustParseAddr("2001:db8::1")
)

func prefix(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, 24) }

// three is a world with three hosts.
type three struct {
	*World
	a, b, c *Host
}

// inWorld runs f in a bubble, in a world of three hosts, and ends the world after it.
func inWorld(t *testing.T, seed uint64, opts Options, f func(t *testing.T, w *three)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newThree(seed, opts)
		t.Cleanup(runWorld(t, w.World))
		f(t, w)
	})
}

func newThree(seed uint64, opts Options) *three {
	w := New(seed, opts)
	return &three{w, w.Host("a", prefix(addrA)), w.Host("b", prefix(addrB)), w.Host("c", prefix(addrC))}
}

func steady() Options { return Options{Link: Link{Latency: testLatency}} }

func at(a netip.Addr, port uint16) netip.AddrPort { return netip.AddrPortFrom(a, port) }

func wild(port uint16) netip.AddrPort { return at(netip.IPv4Unspecified(), port) }

func listenPacket(t *testing.T, n micronet.Network, addr netip.AddrPort) net.PacketConn {
	t.Helper()
	c, err := n.ListenPacket(t.Context(), addr)
	if err != nil {
		t.Fatalf("ListenPacket(%v): %v", addr, err)
	}
	t.Cleanup(func() { closeQuietly(t, c) })
	return c
}

func listen(t *testing.T, n micronet.Network, addr netip.AddrPort) net.Listener {
	t.Helper()
	l, err := n.Listen(t.Context(), addr)
	if err != nil {
		t.Fatalf("Listen(%v): %v", addr, err)
	}
	t.Cleanup(func() { closeQuietly(t, l) })
	return l
}

func dial(t *testing.T, n micronet.Network, to netip.AddrPort) *stream {
	t.Helper()
	c, err := n.Dial(t.Context(), netip.Addr{}, to)
	if err != nil {
		t.Fatalf("Dial(%v): %v", to, err)
	}
	t.Cleanup(func() { closeQuietly(t, c) })
	return c.(*stream)
}

func accept(t *testing.T, l net.Listener) *stream {
	t.Helper()
	c, err := l.Accept()
	if err != nil {
		t.Fatalf("Accept: %v", err)
	}
	t.Cleanup(func() { closeQuietly(t, c) })
	return c.(*stream)
}

// pair is a connection from a to b, both ends.
func pair(t *testing.T, w *three) (client, server *stream) {
	t.Helper()
	l := listen(t, w.b, wild(80))
	client = dial(t, w.a, at(addrB, 80))
	return client, accept(t, l)
}

func closeQuietly(t *testing.T, c io.Closer) {
	t.Helper()
	if err := c.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		t.Errorf("Close: %v", err)
	}
}

func send(t *testing.T, c net.PacketConn, text string, to netip.AddrPort) {
	t.Helper()
	if _, err := c.WriteTo([]byte(text), net.UDPAddrFromAddrPort(to)); err != nil {
		t.Fatalf("WriteTo(%v): %v", to, err)
	}
}

// hear returns the next datagram within d, "" when there is none.
func hear(t *testing.T, c net.PacketConn, d time.Duration) (string, netip.AddrPort) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(d)); err != nil {
		t.Fatalf("SetReadDeadline: %v", err)
	}
	b := make([]byte, 2048)
	n, from, err := c.ReadFrom(b)
	if isTimeout(err) {
		return "", netip.AddrPort{}
	}
	if err != nil {
		t.Fatalf("ReadFrom: %v", err)
	}
	return string(b[:n]), from.(*net.UDPAddr).AddrPort()
}

func isTimeout(err error) bool {
	ne, ok := errors.AsType[net.Error](err)
	return ok && ne.Timeout()
}

func write(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if n, err := c.Write([]byte(text)); n != len(text) || err != nil {
		t.Fatalf("Write(%d bytes) = %d, %v", len(text), n, err)
	}
}

func read(t *testing.T, c net.Conn) string {
	t.Helper()
	b := make([]byte, 2048)
	n, err := c.Read(b)
	if err != nil {
		t.Fatalf("Read: %v", err)
	}
	return string(b[:n])
}

// wantErr checks that err is want, and of the form that package net gives errors.
func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// wantTook checks a time to the noise of n one-way trips.
func wantTook(t *testing.T, what string, got, want time.Duration, trips int) {
	t.Helper()
	if got < want || got >= want+time.Duration(trips)*noiseMax {
		t.Errorf("%s took %v, want %v and at most %d µs more", what, got, want, trips)
	}
}

// runWorld runs w until the returned func is called.
func runWorld(t *testing.T, w *World) func() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	}
}

func nobody() micronet.Credentials { return micronet.Credentials{UID: 65534, GID: 65534, PID: 7} }
