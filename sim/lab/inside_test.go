//go:build linux

package lab

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// A socket belongs to the network namespace of the thread that made it, so the test itself can
// have sockets on a host.

// dial opens a TCP connection from the host to an address.
func (h *Host) dial(addr string, timeout time.Duration) (*net.TCPConn, error) {
	var c net.Conn
	err := inside(h.ns, func() (err error) {
		c, err = net.DialTimeout("tcp", addr, timeout)
		return err
	})
	if err != nil {
		return nil, err
	}
	return c.(*net.TCPConn), nil
}

// dialContext is dial for an HTTP transport.
func (h *Host) dialContext(ctx context.Context, _, addr string) (net.Conn, error) {
	var c net.Conn
	err := inside(h.ns, func() (err error) {
		c, err = new(net.Dialer).DialContext(ctx, "tcp", addr)
		return err
	})
	return c, err
}

// read connects and reads to the end.
func (h *Host) read(t testing.TB, addr string) string {
	t.Helper()
	c, err := h.dial(addr, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	raw, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// listen opens a TCP listener on the host, until the test ends.
func (h *Host) listen(t testing.TB, addr string) net.Listener {
	t.Helper()
	var ln net.Listener
	if err := inside(h.ns, func() (err error) {
		ln, err = net.Listen("tcp", addr)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln
}

// packets opens a UDP socket on the host, until the test ends.
func (h *Host) packets(t testing.TB, addr string) net.PacketConn {
	t.Helper()
	var pc net.PacketConn
	if err := inside(h.ns, func() (err error) {
		pc, err = net.ListenPacket("udp4", addr)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.Close() })
	return pc
}

// eventually polls until ok, and fails the test when that takes too long.
func eventually(t testing.TB, within time.Duration, what string, ok func() bool) time.Duration {
	t.Helper()
	begin := time.Now()
	for !ok() {
		if time.Since(begin) > within {
			t.Fatalf("not within %v: %s", within, what)
		}
		time.Sleep(50 * time.Millisecond)
	}
	return time.Since(begin)
}

func lines(s string) []string {
	if s = strings.TrimSpace(s); s == "" {
		return nil
	}
	return strings.Split(s, "\n")
}
