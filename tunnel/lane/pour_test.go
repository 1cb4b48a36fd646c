//go:build unix

package lane

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
	"github.com/micro/micro-net/tunnel/tunneltest"
)

// sockets returns both ends of a TCP connection of the system.
func sockets(t *testing.T) (here, there *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	d, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); d.Close() })
	return c.(*net.TCPConn), d.(*net.TCPConn)
}

// poured is what WriteTo returned.
type poured struct {
	n   int64
	err error
}

// pouring runs two nodes over the system's loopback: what is written to out comes out of there.
func pouring(t *testing.T) (out tunnel.Outbound, in tunnel.Inbound, there *net.TCPConn, done <-chan poured) {
	t.Helper()
	f := newField()
	env := micronet.Env{Net: loopback{}}
	a, b := f.newNode(t, env, tunneltest.NewIdentity(t, 1), "127.0.0.1:0"), f.newNode(t, env, tunneltest.NewIdentity(t, 2), "127.0.0.1:0")
	start(t, a, b)
	out, in = call(t, a, b)
	here, there := sockets(t)
	ended := make(chan poured, 1)
	go func() {
		n, err := in.(io.WriterTo).WriteTo(here)
		_ = here.Close()
		ended <- poured{n, err}
	}()
	t.Cleanup(out.Abort)
	return out, in, there, ended
}

// bytesBySocket is how many bytes readers have written to the socket of a stream themselves.
func bytesBySocket(t *testing.T, in tunnel.Inbound) int64 {
	t.Helper()
	s := sessionOf(t, in)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pour.bytes
}

// TestPourWakesNobody: words that come one by one are written by who reads the lane.
func TestPourWakesNobody(t *testing.T) {
	out, in, there, done := pouring(t)
	const words = 200
	for range words {
		say(t, out, there, "hello")
	}
	if got := bytesBySocket(t, in); got < words*5/2 { // the user may be on its way to sleep when a word comes
		t.Errorf("readers wrote %d of %d bytes", got, words*5)
	}
	if err := out.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if p := <-done; p.n != words*5 || p.err != nil {
		t.Errorf("WriteTo = %d and %v, want %d bytes", p.n, p.err, words*5)
	}
	expectEnd(t, there)
}

// TestPourIntoFullSocket: what the socket does not take at once comes after what it has taken, also when the session changes
// its carrier meanwhile, and the sender waits for a slow reader.
func TestPourIntoFullSocket(t *testing.T) {
	out, in, there, done := pouring(t)
	if err := there.SetReadBuffer(16 << 10); err != nil {
		t.Fatal(err)
	}
	data := make([]byte, 24<<20)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(data)
	var group sync.WaitGroup
	defer group.Wait()
	group.Go(func() {
		for rest := data; len(rest) > 0; {
			n := min(len(rest), 1+int(r.Uint64()%100_000))
			if _, err := out.Write(rest[:n]); err != nil {
				t.Errorf("Write = %v", err)
				return
			}
			rest = rest[n:]
		}
		_ = out.CloseWrite()
	})
	var got bytes.Buffer
	for {
		n, err := io.CopyN(&got, there, 8<<20)
		if err != nil {
			break
		}
		if c := laneOf(t, in); c != nil && n > 0 {
			c.end() // the lane breaks
		}
	}
	if !bytes.Equal(got.Bytes(), data) {
		t.Errorf("%d bytes arrived, or others than the %d that were sent", got.Len(), len(data))
	}
	if p := <-done; p.n != int64(len(data)) || p.err != nil {
		t.Errorf("WriteTo = %d and %v", p.n, p.err)
	}
}

// TestPourEnds: a reset of the peer and a socket that is gone end it with an error.
func TestPourEnds(t *testing.T) {
	t.Run("reset", func(t *testing.T) {
		out, _, there, done := pouring(t)
		say(t, out, there, "hello")
		out.Abort()
		if p := <-done; p.n != 5 || !tunnel.IsReset(p.err) {
			t.Errorf("WriteTo = %d and %v, want a reset", p.n, p.err)
		}
	})
	t.Run("socket gone", func(t *testing.T) {
		out, in, there, done := pouring(t)
		say(t, out, there, "hello")
		_ = there.SetLinger(0)
		_ = there.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		for ctx.Err() == nil {
			if _, err := io.WriteString(out, "more"); err != nil {
				break
			}
			select {
			case p := <-done:
				if p.err == nil {
					t.Error("WriteTo has no error")
				}
				in.Abort()
				return
			case <-time.After(time.Millisecond):
			}
		}
		t.Error("WriteTo goes on without its socket")
	})
}
