//go:build linux

package lab

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// offered registers port 7000 of the first host and returns where the second one reaches it.
func offered(all []*daemon, service string) string {
	all[0].t.Helper()
	all[0].must("register", "--service", service, "--port", "7000")
	all[1].awaitService(service, 1, "passing")
	return all[1].vip(service) + ":7000"
}

// TestE2EStreamTransfer: 100 MB arrive as they were sent, and after the half-close the answer
// comes back on the same connection.
func TestE2EStreamTransfer(t *testing.T) {
	all := cluster(t, 2)
	all[0].sink(t, "127.0.0.1:7000")
	addr := offered(all, "sink")
	payload := make([]byte, 100_000_000)
	if _, err := rand.NewChaCha8([32]byte{1}).Read(payload); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	got, err := all[1].send(addr, payload)
	if want := fmt.Sprintf("%x %d", sha256.Sum256(payload), len(payload)); err != nil || got != want {
		t.Errorf("the sink got %q, %v; want %q", got, err, want)
	}
	t.Logf("100 MB in %v", time.Since(begin))
}

// TestE2EStreamBackPressure: a server that does not read stops its caller after a bounded number
// of bytes, and gets all of them when it reads at last.
func TestE2EStreamBackPressure(t *testing.T) {
	all := cluster(t, 2)
	server := accepted(all[0].listen(t, "127.0.0.1:7000"))
	addr := offered(all, "slow")
	c, err := all[1].dial(addr, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	sent, chunk := 0, make([]byte, 64<<10)
	for err == nil && sent < 1<<30 {
		_ = c.SetWriteDeadline(time.Now().Add(2 * time.Second))
		var n int
		n, err = c.Write(chunk)
		sent += n
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) || sent > 128<<20 {
		t.Fatalf("%d bytes were taken without a reader (%v), want it to stop before 128 MiB", sent, err)
	}
	t.Logf("the caller was stopped after %d KiB", sent>>10)
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	s := <-server
	defer s.Close()
	_ = s.SetDeadline(time.Now().Add(time.Minute))
	if n, err := io.Copy(io.Discard, s); err != nil || int(n) != sent {
		t.Errorf("the server read %d bytes, %v; want %d", n, err, sent)
	}
}

// accepted returns the connections on which something is said; health checks say nothing.
func accepted(ln net.Listener) <-chan net.Conn {
	out := make(chan net.Conn, 1)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				first := make([]byte, 1)
				if _, err := io.ReadFull(c, first); err != nil {
					_ = c.Close()
					return
				}
				out <- &prefixed{Conn: c, first: first}
			}()
		}
	}()
	return out
}

// prefixed is a connection whose first byte was read already.
type prefixed struct {
	net.Conn
	first []byte
}

func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.first) > 0 && len(b) > 0 {
		n := copy(b, p.first)
		p.first = p.first[n:]
		return n, nil
	}
	return p.Conn.Read(b)
}

// TestE2EStreamHalfClose: each side may end its direction and go on with the other.
func TestE2EStreamHalfClose(t *testing.T) {
	all := cluster(t, 2)
	server := accepted(all[0].listen(t, "127.0.0.1:7000"))
	addr := offered(all, "halves")

	c, s := pairOf(t, all[1], addr, server)
	if err := s.(*prefixed).Conn.(*net.TCPConn).CloseWrite(); err != nil { // the server ends first
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(c); err != nil || len(rest) != 0 {
		t.Errorf("the caller read %q, %v; want the end", rest, err)
	}
	if _, err := c.Write([]byte("still here")); err != nil {
		t.Errorf("write after the other side's end: %v", err)
	}
	_ = c.CloseWrite()
	if got, err := io.ReadAll(s); err != nil || string(got) != "!still here" {
		t.Errorf("the server read %q, %v", got, err)
	}
}

// pairOf is one connection, seen from both ends, after its first byte.
func pairOf(t *testing.T, d *daemon, addr string, server <-chan net.Conn) (*net.TCPConn, net.Conn) {
	t.Helper()
	c, err := d.dial(addr, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := c.Write([]byte("!")); err != nil {
		t.Fatal(err)
	}
	select {
	case s := <-server:
		t.Cleanup(func() { _ = s.Close() })
		for _, end := range []net.Conn{c, s} {
			_ = end.SetDeadline(time.Now().Add(20 * time.Second))
		}
		return c, s
	case <-time.After(10 * time.Second):
		t.Fatal("the connection did not arrive")
		return nil, nil
	}
}

// TestE2EStreamReset: a reset is a reset on the other side, in both directions, never an end that
// looks like a good one.
func TestE2EStreamReset(t *testing.T) {
	all := cluster(t, 2)
	server := accepted(all[0].listen(t, "127.0.0.1:7000"))
	addr := offered(all, "resets")

	c, s := pairOf(t, all[1], addr, server)
	_ = s.(*prefixed).Conn.(*net.TCPConn).SetLinger(0)
	_ = s.Close()
	if _, err := io.ReadAll(c); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the server reset, the caller read %v; want a reset", err)
	}

	c, s = pairOf(t, all[1], addr, server)
	_ = c.SetLinger(0)
	_ = c.Close()
	if _, err := io.ReadAll(s); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the caller reset, the server read %v; want a reset", err)
	}
}
