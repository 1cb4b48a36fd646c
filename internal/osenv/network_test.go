package osenv

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func listen(t *testing.T, addr string) (net.Listener, uint16) {
	t.Helper()
	ln, err := Network{}.Listen(t.Context(), netip.MustParseAddrPort(addr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln, addrPort(ln.Addr()).Port()
}

func addrPort(a net.Addr) netip.AddrPort {
	ap := netip.MustParseAddrPort(a.String())
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

func dial(from netip.Addr, to string, port uint16) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return Network{}.Dial(ctx, from, netip.AddrPortFrom(netip.MustParseAddr(to), port))
}

// meet connects and accepts.
func meet(t *testing.T, ln net.Listener, from netip.Addr, to string, port uint16) (dialled, accepted net.Conn) {
	t.Helper()
	dialled, err := dial(from, to, port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dialled.Close() })
	if err := ln.(interface{ SetDeadline(time.Time) error }).SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	accepted, err = ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = accepted.Close() })
	return dialled, accepted
}

func hasIPv6(t *testing.T) bool {
	t.Helper()
	ln, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		return false
	}
	return ln.Close() == nil
}

func TestListenOnAllTakesIPv4(t *testing.T) {
	ln, port := listen(t, "[::]:0")
	_, accepted := meet(t, ln, netip.Addr{}, "127.0.0.1", port)
	if got := addrPort(accepted.RemoteAddr()).Addr().String(); got != "127.0.0.1" {
		t.Errorf("the caller is %s", got)
	}
	if hasIPv6(t) {
		meet(t, ln, netip.Addr{}, "::1", port)
	}
}

func TestListenOnIPv4LeavesIPv6Alone(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::ffff:127.0.0.1]:0", "0.0.0.0:0"} {
		ln, port := listen(t, addr)
		if got := addrPort(ln.Addr()); !got.Addr().Is4() {
			t.Errorf("%s listens on %s", addr, got)
		}
		meet(t, ln, netip.Addr{}, "127.0.0.1", port)
		if c, err := dial(netip.Addr{}, "::1", port); err == nil {
			t.Errorf("%s answers on ::1", addr)
			_ = c.Close()
		}
	}
}

func TestDialFrom(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has all of 127/8")
	}
	ln, port := listen(t, "127.0.0.1:0")
	_, accepted := meet(t, ln, netip.MustParseAddr("127.80.1.2"), "127.0.0.1", port)
	if got := addrPort(accepted.RemoteAddr()).Addr().String(); got != "127.80.1.2" {
		t.Errorf("the caller is %s", got)
	}
}

func TestHalfClose(t *testing.T) {
	ln, port := listen(t, "127.0.0.1:0")
	a, b := meet(t, ln, netip.Addr{}, "127.0.0.1", port)
	if _, err := a.Write([]byte("question")); err != nil {
		t.Fatal(err)
	}
	if err := a.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(b); string(got) != "question" || err != nil {
		t.Errorf("%q %v", got, err)
	}
	if _, err := b.Write([]byte("answer")); err != nil {
		t.Fatal(err)
	}
	if err := b.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(a); string(got) != "answer" || err != nil {
		t.Errorf("%q %v", got, err)
	}
}

func TestPackets(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::]:0"} {
		pc, err := Network{}.ListenPacket(t.Context(), netip.MustParseAddrPort(addr))
		if err != nil {
			t.Fatal(err)
		}
		defer pc.Close()
		c, err := Network{}.DialPacket(t.Context(), netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), addrPort(pc.LocalAddr()).Port()))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write([]byte("ping")); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 16)
		if err := pc.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		n, from, err := pc.ReadFrom(buf)
		if err != nil || string(buf[:n]) != "ping" || addrPort(from) != addrPort(c.LocalAddr()) {
			t.Errorf("%s: %q from %v: %v", addr, buf[:n], from, err)
		}
	}
}

func TestClosedIsErrClosed(t *testing.T) {
	ln, _ := listen(t, "127.0.0.1:0")
	ended := make(chan error, 1)
	go func() { _, err := ln.Accept(); ended <- err }()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	if err := within(t, "the end of Accept", ended); !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v", err)
	}
}

func TestPortTaken(t *testing.T) {
	_, port := listen(t, "127.0.0.1:0")
	_, err := Network{}.Listen(t.Context(), netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port))
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("%v", err)
	}
}

// socketPath is short enough for a socket whatever the test is called.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "mn")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "api.sock")
}

func listenUnix(t *testing.T, path string) net.Listener {
	t.Helper()
	ln, err := Network{}.ListenUnix(t.Context(), path, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func TestUnixSocket(t *testing.T) {
	path := socketPath(t)
	old := syscall.Umask(0o077)
	ln := listenUnix(t, path)
	syscall.Umask(old)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o666 {
		t.Errorf("mode %v %v", info.Mode(), err)
	}
	c, err := Network{}.DialUnix(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.Close(), ln.Close()); err != nil {
		t.Fatal(err)
	}
	if exists(path) {
		t.Error("the file is there after Close")
	}
}

func TestQ36_StaleSocketIsReplaced(t *testing.T) {
	path := socketPath(t)
	c := startChild(t, "unix="+path)
	if c.says != "done <nil>" {
		t.Fatal(c.says)
	}
	if _, err := (Network{}).ListenUnix(t.Context(), path, 0o600); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("while another process listens: %v", err)
	}
	conn, err := Network{}.DialUnix(t.Context(), path)
	if err != nil {
		t.Fatalf("the other process lost its socket: %v", err)
	}
	_ = conn.Close()
	c.kill()
	if !exists(path) {
		t.Fatal("a killed process left no socket")
	}
	listenUnix(t, path)
}

// Whatever cannot be told from a socket in use is left alone.
func TestQ36_SocketsInUseAreKept(t *testing.T) {
	path := socketPath(t)
	ln := listenUnix(t, path)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (Network{}).ListenUnix(ctx, path, 0o600); err == nil || !exists(path) {
		t.Errorf("with an ended context: %v", err)
	}
	go func() { _, _ = ln.Accept() }()
	if c, err := (Network{}).DialUnix(t.Context(), path); err != nil {
		t.Errorf("the socket is dead: %v", err)
	} else {
		_ = c.Close()
	}
}

func TestQ36_SocketWithAFullQueueIsInUse(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("queues of sockets are others elsewhere")
	}
	path := socketPath(t)
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		c, err := Network{}.DialUnix(t.Context(), path)
		if errors.Is(err, syscall.EAGAIN) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	if _, err := (Network{}).ListenUnix(t.Context(), path, 0o600); !errors.Is(err, syscall.EADDRINUSE) || !exists(path) {
		t.Errorf("%v", err)
	}
}

func TestQ36_WhatIsNoSocketIsKept(t *testing.T) {
	path := socketPath(t)
	other := filepath.Join(filepath.Dir(path), "other")
	write(t, other, "precious")
	if err := os.Symlink(other, path); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{other, path} {
		if _, err := (Network{}).ListenUnix(t.Context(), p, 0o600); err == nil || err.Error() != p+" exists and is no socket" {
			t.Errorf("%v", err)
		}
	}
	if got, err := os.ReadFile(other); string(got) != "precious" || err != nil {
		t.Errorf("%q %v", got, err)
	}
	if _, err := (Network{}).ListenUnix(t.Context(), "/nowhere/at/all/api.sock", 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	long := "/tmp/" + strings.Repeat("a", 200)
	if _, err := (Network{}).ListenUnix(t.Context(), long, 0o600); err == nil || err.Error() != "listen unix "+long+": the path has 205 bytes, a socket's has at most 103" {
		t.Errorf("%v", err)
	}
}

func TestInterfaces(t *testing.T) {
	all, err := Network{}.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range all {
		if n.Loopback && slices.Contains(n.Prefixes, netip.MustParsePrefix("127.0.0.1/8")) && n.MTU > 0 && n.Name != "" {
			return
		}
	}
	t.Errorf("no loopback interface in %+v", all)
}

func TestLookupHost(t *testing.T) {
	got, err := Network{}.LookupHost(t.Context(), "localhost")
	if err != nil || len(got) == 0 {
		t.Fatalf("%v %v", got, err)
	}
	for _, a := range got {
		if !a.IsLoopback() || a.Is4In6() {
			t.Errorf("localhost is %s", a)
		}
	}
}
