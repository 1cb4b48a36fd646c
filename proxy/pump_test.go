package proxy

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// pumped starts a pump between two connections in memory and returns their other ends.
func pumped() (client, backend *memConn, done chan Carried) {
	client, a := memPair(netip.AddrPort{}, netip.AddrPort{})
	backend, b := memPair(netip.AddrPort{}, netip.AddrPort{})
	done = make(chan Carried, 1)
	go func() { done <- Pump(a, b) }()
	return client, backend, done
}

func TestH24_PumpHalfClose(t *testing.T) {
	for _, swap := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			client, backend, done := pumped()
			if swap {
				client, backend = backend, client
			}
			client.Write([]byte("question"))
			client.CloseWrite()
			if got, err := io.ReadAll(backend); string(got) != "question" || err != nil {
				t.Fatalf("backend read %q, %v", got, err)
			}
			time.Sleep(time.Hour) // the other direction may be idle for as long as it likes
			backend.Write([]byte("answer"))
			backend.CloseWrite()
			if got, err := io.ReadAll(client); string(got) != "answer" || err != nil {
				t.Fatalf("client read %q, %v", got, err)
			}
			r := <-done
			if swap {
				r.AToB, r.BToA = r.BToA, r.AToB
			}
			if r != (Carried{AToB: 8, BToA: 6}) {
				t.Errorf("carried = %+v, want 8 and 6 bytes", r)
			}
		})
	}
}

func TestH24_PumpPassesResets(t *testing.T) {
	for _, swap := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			client, backend, done := pumped()
			if swap {
				client, backend = backend, client
			}
			client.Write([]byte("half a req"))
			client.Abort()
			r := <-done
			if !errors.Is(r.Err, syscall.ECONNRESET) {
				t.Errorf("carried = %+v, want ECONNRESET", r)
			}
			if _, err := io.ReadAll(backend); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the other side read %v, want ECONNRESET", err)
			}
		})
	}
}

// A reset after a half-close is passed on too, as soon as the other direction meets it.
func TestPumpResetAfterHalfClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, backend, done := pumped()
		client.CloseWrite()
		io.ReadAll(backend)
		client.Abort()
		backend.Write([]byte("too late"))
		<-done
		if _, err := backend.Write([]byte("x")); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("backend's write = %v, want ECONNRESET", err)
		}
	})
}

// A reader that stops makes the writer wait; memory stays bounded.
func TestH24_PumpBackPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, backend, done := pumped()
		sent := 0
		client.SetWriteDeadline(time.Now().Add(time.Second))
		for {
			n, err := client.Write(make([]byte, 10_000))
			sent += n
			if err != nil {
				break
			}
		}
		if limit := 2*halfMax + busyBuffer; sent > limit {
			t.Errorf("%d bytes were taken from a client whose backend reads nothing, want at most %d", sent, limit)
		}
		client.CloseWrite()
		if got, err := io.Copy(io.Discard, backend); int(got) != sent || err != nil {
			t.Errorf("backend read %d, %v, want %d", got, err, sent)
		}
		backend.Close()
		<-done
	})
}

func TestCopierChangesBuffers(t *testing.T) {
	var c Copier
	one := oneCopy{lender: &c, small: make([]byte, idleBuffer)}
	for i, step := range []struct{ read, want int }{
		{100, idleBuffer}, {idleBuffer, busyBuffer}, {busyBuffer, busyBuffer}, {idleBuffer, busyBuffer}, {idleBuffer - 1, idleBuffer},
	} {
		one.fit(step.read)
		if got := len(one.buffer()); got != step.want {
			t.Errorf("step %d: buffer of %d after a read of %d, want %d", i, got, step.read, step.want)
		}
	}
}

// tcpPair is a real connection.
func tcpPair(t testing.TB) (a, b *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	x, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	y, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close(); y.Close() })
	return x.(*net.TCPConn), y.(*net.TCPConn)
}

// The kernel's connections behave as those in memory: half-close, counts, and resets.
func TestPumpTCP(t *testing.T) {
	client, a := tcpPair(t)
	backend, b := tcpPair(t)
	done := make(chan Carried, 1)
	go func() { done <- Pump(local{a}, b) }()
	payload := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	go func() {
		client.Write(payload)
		client.CloseWrite()
	}()
	if got, err := io.ReadAll(backend); !bytes.Equal(got, payload) || err != nil {
		t.Fatalf("backend read %d bytes, %v, want %d", len(got), err, len(payload))
	}
	backend.Write([]byte("ok"))
	backend.Close()
	if got, err := io.ReadAll(client); string(got) != "ok" || err != nil {
		t.Fatalf("client read %q, %v", got, err)
	}
	if r := <-done; r.AToB != int64(len(payload)) || r.BToA != 2 || r.Err != nil {
		t.Errorf("carried = %+v", r)
	}
}

func TestPumpTCPReset(t *testing.T) {
	client, a := tcpPair(t)
	backend, b := tcpPair(t)
	done := make(chan Carried, 1)
	go func() { done <- Pump(a, b) }()
	client.SetLinger(0)
	client.Close()
	if _, err := io.ReadAll(backend); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("backend read %v, want ECONNRESET", err)
	}
	if r := <-done; r.Err == nil {
		t.Errorf("carried = %+v, want an error", r)
	}
}
