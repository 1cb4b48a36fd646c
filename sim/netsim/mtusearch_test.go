package netsim

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go"
)

func TestSyscallConnIsAnOption(t *testing.T) {
	for _, search := range []bool{false, true} {
		inWorld(t, 1, Options{MTUSearch: search}, func(t *testing.T, w *three) {
			c := listenPacket(t, w.a, wild(1))
			sc, ok := c.(syscall.Conn)
			if ok != search {
				t.Fatalf("MTUSearch %v: SyscallConn is there: %v", search, ok)
			}
			if _, ok := c.(quic.OOBCapablePacketConn); ok {
				t.Error("quic-go would take the socket for a kernel's")
			}
			if !ok {
				return
			}
			raw, err := sc.SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			if err := raw.Control(func(uintptr) { t.Error("Control called with a descriptor") }); err != nil {
				t.Errorf("Control = %v", err)
			}
			for _, call := range []func(func(uintptr) bool) error{raw.Read, raw.Write} {
				wantErr(t, "Read or Write", call(func(uintptr) bool { return true }), errors.ErrUnsupported)
			}
		})
	}
}

// quicTransfer sends a MiB to and fro over QUIC and returns the largest datagram that a got through.
func quicTransfer(t *testing.T, opts Options, conf *quic.Config) (largest int) {
	t.Helper()
	t.Setenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING", "true")
	synctest.Test(t, func(t *testing.T) {
		w := newThree(1, opts)
		w.Trace = func(e Event) {
			if e.Step == Delivered && e.From == "a" {
				largest = max(largest, e.Size)
			}
		}
		t.Cleanup(runWorld(t, w.World))
		serverTLS, clientTLS := testTLS(t)
		server := &quic.Transport{Conn: listenPacket(t, w.b, wild(8085))}
		client := &quic.Transport{Conn: listenPacket(t, w.a, wild(8085))}
		l, err := server.Listen(serverTLS, conf)
		if err != nil {
			t.Fatal(err)
		}
		echoed := make(chan error, 1)
		go func() { echoed <- echoOnce(t.Context(), l) }()
		conn, err := client.Dial(t.Context(), net.UDPAddrFromAddrPort(at(addrB, 8085)), clientTLS, conf)
		if err != nil {
			t.Fatal(err)
		}
		s, err := conn.OpenStreamSync(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		const size = 1 << 20
		go func() {
			for range 16 {
				_, _ = io.CopyN(s, zeros{}, size/16)
				time.Sleep(time.Second) // the search sends a probe every five round trips
			}
			_ = s.Close()
		}()
		if n, err := io.Copy(io.Discard, s); n != size || err != nil {
			t.Errorf("echoed %d bytes, %v, want %d", n, err, size)
		}
		if err := <-echoed; err != nil {
			t.Error(err)
		}
		_ = conn.CloseWithError(0, "")
		closeQuietly(t, client)
		closeQuietly(t, server)
	})
	return largest
}

func TestQUICFindsTheMTU(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 1)
	for _, c := range []struct {
		name     string
		mtu      int
		icmp     bool
		search   bool
		from, to int
	}{
		{"no search", 1428 + 28, false, false, 1200, 1200},
		{"a tunnel", 1428 + 28, false, true, 1400, 1428},
		{"a tunnel that reports", 1428 + 28, true, true, 1400, 1428},
		{"ethernet", 1500, false, true, 1430, 1452},
		{"the least of IPv6", 1280, false, true, 1200, 1252},
		{"the least of IPv6 that reports", 1280, true, true, 1200, 1252},
	} {
		t.Run(c.name, func(t *testing.T) {
			opts := steady()
			opts.MTUSearch = c.search
			opts.Link.MTU, opts.Link.ICMP = c.mtu, c.icmp
			if largest := quicTransfer(t, opts, &quic.Config{InitialPacketSize: 1200}); largest < c.from || largest > c.to {
				t.Errorf("the largest datagram had %d bytes, want %d to %d", largest, c.from, c.to)
			}
		})
	}
}
