package netsim

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	micronet "github.com/micro/micro-net"
)

func TestDialTakesARoundTrip(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		l := listen(t, w.b, wild(80))
		start := time.Now()
		c := dial(t, w.a, at(addrB, 80))
		wantTook(t, "Dial", time.Since(start), 2*testLatency, 2)
		s := accept(t, l)
		wantTook(t, "Accept", time.Since(start), 3*testLatency, 3)
		start = time.Now()
		write(t, c, "ping")
		if got := read(t, s); got != "ping" {
			t.Errorf("server read %q, want ping", got)
		}
		write(t, s, "pong")
		if got := read(t, c); got != "pong" {
			t.Errorf("client read %q, want pong", got)
		}
		wantTook(t, "ping and pong", time.Since(start), 2*testLatency, 2)
		if c.LocalAddr().String() != s.RemoteAddr().String() || s.LocalAddr().String() != "10.0.0.2:80" {
			t.Errorf("client is %v, server sees %v at %v", c.LocalAddr(), s.RemoteAddr(), s.LocalAddr())
		}
	})
}

func TestHalfClose(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		c, s := pair(t, w)
		write(t, c, "last words")
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(s)
		if string(got) != "last words" || err != nil {
			t.Errorf("server read %q, %v, want the last words and EOF", got, err)
		}
		_, err = c.Write([]byte("x"))
		wantErr(t, "Write after CloseWrite", err, syscall.EPIPE)
		write(t, s, "answer")
		closeQuietly(t, s)
		got, err = io.ReadAll(c)
		if string(got) != "answer" || err != nil {
			t.Errorf("client read %q, %v, want the answer after its own end", got, err)
		}
	})
}

func TestCloseDeliversWhatWasWritten(t *testing.T) {
	opts := steady()
	opts.Link.Loss = 0.3
	inWorld(t, 1, opts, func(t *testing.T, w *three) {
		c, s := pair(t, w)
		sent := bytes.Repeat([]byte("0123456789"), 20_000)
		if _, err := c.Write(sent); err != nil {
			t.Fatal(err)
		}
		closeQuietly(t, c)
		got, err := io.ReadAll(s)
		if !bytes.Equal(got, sent) || err != nil {
			t.Errorf("read %d bytes, %v, want %d as they were sent", len(got), err, len(sent))
		}
	})
}

func TestResets(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(s *stream) error
	}{
		{"SetLinger(0) and Close", func(s *stream) error { _ = s.SetLinger(0); return s.Close() }},
		{"Abort", func(s *stream) error { s.Abort(); return nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, 1, steady(), func(t *testing.T, w *three) {
				client, server := pair(t, w)
				start := time.Now()
				if err := c.end(server); err != nil {
					t.Fatal(err)
				}
				_, err := client.Read(make([]byte, 1))
				wantErr(t, "Read", err, syscall.ECONNRESET)
				wantTook(t, "the reset", time.Since(start), testLatency, 1)
				_, err = client.Write([]byte("x"))
				wantErr(t, "Write", err, syscall.ECONNRESET)
				_, err = server.Read(make([]byte, 1))
				wantErr(t, "own Read", err, net.ErrClosed)
			})
		})
	}
}

func TestCloseWithUnreadInputResets(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		c, s := pair(t, w)
		write(t, c, "never read")
		time.Sleep(time.Second)
		closeQuietly(t, s)
		_, err := c.Read(make([]byte, 1))
		wantErr(t, "Read", err, syscall.ECONNRESET)
	})
}

func TestWriteToAClosedPeerIsReset(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		c, s := pair(t, w)
		closeQuietly(t, s)
		if _, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("Read = %v, want EOF", err)
		}
		write(t, c, "anybody there?")
		time.Sleep(time.Second)
		_, err := c.Write([]byte("x"))
		wantErr(t, "second Write", err, syscall.ECONNRESET)
	})
}

func TestResetsAreForOneLifeOfTheHost(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		_, s := pair(t, w)
		w.a.Restart()
		before := w.Stats().NoSocket
		s.Abort()
		time.Sleep(time.Second)
		if n := w.Stats().NoSocket - before; n != 1 {
			t.Errorf("NoSocket = %d, want 1: the reset came to a host that knows nothing", n)
		}
	})
}

func TestAnswersAreForOneLifeOfTheHost(t *testing.T) {
	for _, port := range []uint16{80, 81} { // somebody listens, nobody does
		inWorld(t, 1, steady(), func(t *testing.T, w *three) {
			listen(t, w.b, wild(80))
			time.AfterFunc(testLatency*3/2, w.a.Restart)
			_, err := w.a.Dial(t.Context(), netip.Addr{}, at(addrB, port))
			wantErr(t, "Dial", err, net.ErrClosed)
			time.Sleep(time.Second)
			if s := w.Stats(); s.NoSocket != 1 || s.Sent != 2 {
				t.Errorf("%+v, want two packets and the answer at a host that knows nothing", s)
			}
		})
	}
}

func TestDataBeforeAResetIsRead(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		c, s := pair(t, w)
		write(t, s, "data")
		s.Abort()
		time.Sleep(time.Second)
		if got := read(t, c); got != "data" {
			t.Errorf("read %q, want data", got)
		}
		_, err := c.Read(make([]byte, 1))
		wantErr(t, "Read", err, syscall.ECONNRESET)
	})
}

func TestRefusedAndUnanswered(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		start := time.Now()
		_, err := w.a.Dial(t.Context(), netip.Addr{}, at(addrB, 80))
		wantErr(t, "Dial", err, syscall.ECONNREFUSED)
		wantTook(t, "the refusal", time.Since(start), 2*testLatency, 2)

		listen(t, w.b, wild(80))
		w.Partition([]*Host{w.a})
		start = time.Now()
		_, err = w.a.Dial(t.Context(), netip.Addr{}, at(addrB, 80))
		wantErr(t, "Dial in a partition", err, syscall.ETIMEDOUT)
		if d := time.Since(start); d.Truncate(time.Second) != 127*time.Second || !isTimeout(err) {
			t.Errorf("timed out after %v, want 127s", d)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err = w.a.Dial(ctx, netip.Addr{}, at(addrB, 80))
		wantErr(t, "Dial with a deadline", err, context.DeadlineExceeded)
		if !isTimeout(err) {
			t.Error("a dial that met its deadline is no timeout")
		}
		time.AfterFunc(2*time.Second, w.Heal)
		start = time.Now()
		dial(t, w.a, at(addrB, 80))
		wantTook(t, "a dial that is healed after 2s", time.Since(start), 3*time.Second+2*testLatency, 3)
	})
}

func TestOneWayCutNeverAcceptsAGhost(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		l := listen(t, w.b, wild(80)).(*listener)
		w.Cut(w.b, w.a)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		_, err := w.a.Dial(ctx, netip.Addr{}, at(addrB, 80))
		wantErr(t, "Dial", err, context.DeadlineExceeded)
		_ = l.SetDeadline(time.Now().Add(time.Minute))
		_, err = l.Accept()
		wantErr(t, "Accept", err, os.ErrDeadlineExceeded)
	})
}

func TestBackPressure(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		c, s := pair(t, w)
		sent := bytes.Repeat([]byte{1}, 4*windowMax)
		done := make(chan error, 1)
		go func() {
			_, err := c.Write(sent)
			_ = c.CloseWrite()
			done <- err
		}()
		time.Sleep(time.Hour)
		select {
		case err := <-done:
			t.Fatalf("Write returned %v while nobody read", err)
		default:
		}
		w.mu.Lock()
		held := s.in.size
		w.mu.Unlock()
		if held != windowMax {
			t.Errorf("%d bytes wait for the reader, want the window, %d", held, windowMax)
		}
		got, err := io.ReadAll(s)
		if !bytes.Equal(got, sent) || err != nil || <-done != nil {
			t.Errorf("read %d bytes, %v, want %d", len(got), err, len(sent))
		}
	})
}

func TestStreamDeadlines(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		c, s := pair(t, w)
		_ = c.SetDeadline(time.Now().Add(time.Second))
		_, err := c.Read(make([]byte, 1))
		wantErr(t, "Read", err, os.ErrDeadlineExceeded)
		_, err = c.Write([]byte("x"))
		wantErr(t, "Write after the deadline", err, os.ErrDeadlineExceeded)
		_ = c.SetDeadline(time.Time{})
		_ = c.SetWriteDeadline(time.Now().Add(time.Second))
		n, err := c.Write(make([]byte, 2*windowMax))
		wantErr(t, "Write into a full window", err, os.ErrDeadlineExceeded)
		if n != windowMax {
			t.Errorf("wrote %d, want the window", n)
		}
		time.AfterFunc(time.Second, func() { closeQuietly(t, c) })
		_, err = c.Read(make([]byte, 1))
		wantErr(t, "Read while Close", err, net.ErrClosed)
		wantErr(t, "Close again", c.Close(), net.ErrClosed)
		closeQuietly(t, s)
	})
}

func TestStreamSurvivesAPartition(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		c, s := pair(t, w)
		time.Sleep(time.Second)
		w.Partition([]*Host{w.a})
		write(t, c, "one ")
		write(t, c, "two ")
		time.Sleep(time.Minute)
		write(t, c, "three")
		w.Heal()
		_ = s.SetReadDeadline(time.Now().Add(retryMax))
		var got []byte
		for len(got) < len("one two three") {
			got = append(got, read(t, s)...)
		}
		if string(got) != "one two three" {
			t.Errorf("read %q, want all in order", got)
		}
	})
}

func TestStreamTimesOutInALongPartition(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		c, s := pair(t, w)
		time.Sleep(time.Second)
		w.Partition([]*Host{w.a})
		start := time.Now()
		write(t, c, "lost")
		_, err := c.Read(make([]byte, 1))
		wantErr(t, "Read", err, syscall.ETIMEDOUT)
		if d := time.Since(start).Truncate(time.Millisecond); d != 4*testLatency+924600*time.Millisecond {
			t.Errorf("timed out after %v, want 924.6s after the probe", d)
		}
		_ = s.SetReadDeadline(time.Now().Add(time.Hour))
		_, err = s.Read(make([]byte, 1))
		wantErr(t, "the other end", err, os.ErrDeadlineExceeded)
	})
}

func TestListenerCloseResetsWhoWaits(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		l := listen(t, w.b, wild(80))
		c := dial(t, w.a, at(addrB, 80))
		time.Sleep(time.Second)
		closeQuietly(t, l)
		_, err := c.Read(make([]byte, 1))
		wantErr(t, "Read", err, syscall.ECONNRESET)
		_, err = l.Accept()
		wantErr(t, "Accept", err, net.ErrClosed)
		listen(t, w.b, wild(80))
	})
}

func TestBacklogIsBounded(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		listen(t, w.b, wild(80))
		for range backlogMax {
			dial(t, w.a, at(addrB, 80))
		}
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := w.a.Dial(ctx, netip.Addr{}, at(addrB, 80))
		wantErr(t, "one more", err, context.DeadlineExceeded)
	})
}

func TestLoopbackLikeLinux(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		vip := netip.MustParseAddr("127.80.3.4")
		wildcard := listen(t, w.a, wild(80))
		_, err := w.a.Listen(t.Context(), at(vip, 80))
		wantErr(t, "127.80.3.4:80 beside 0.0.0.0:80", err, syscall.EADDRINUSE)
		start := time.Now()
		dial(t, w.a, at(vip, 80))
		wantTook(t, "a local dial", time.Since(start), 2*localLatency, 2)
		s := accept(t, wildcard)
		if s.LocalAddr().String() != "127.80.3.4:80" || s.RemoteAddr().(*net.TCPAddr).IP.String() != "127.0.0.1" {
			t.Errorf("the wildcard listener got %v from %v", s.LocalAddr(), s.RemoteAddr())
		}
		_, err = w.b.Dial(t.Context(), netip.Addr{}, at(vip, 80))
		wantErr(t, "another host's 127.80.3.4:80", err, syscall.ECONNREFUSED)
		c, err := w.a.Dial(t.Context(), netip.MustParseAddr("127.90.0.1"), at(vip, 80))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { closeQuietly(t, c) })
		if got := accept(t, wildcard).RemoteAddr().(*net.TCPAddr).IP.String(); got != "127.90.0.1" {
			t.Errorf("dialled from 127.90.0.1, the listener sees %s", got)
		}
		_, err = w.a.Dial(t.Context(), netip.MustParseAddr("127.90.0.1"), at(addrB, 80))
		wantErr(t, "leaving the host from 127.x", err, syscall.EINVAL)
		closeQuietly(t, wildcard)
		listen(t, w.a, at(vip, 80))
		_, err = w.a.Listen(t.Context(), wild(80))
		wantErr(t, "0.0.0.0:80 beside 127.80.3.4:80", err, syscall.EADDRINUSE)
	})
}

func TestLoopbackIgnoresPartitions(t *testing.T) {
	opts := steady()
	opts.Link.Loss = 1
	inWorld(t, 1, opts, func(t *testing.T, w *three) {
		w.Partition([]*Host{w.a}, []*Host{w.b}, []*Host{w.c})
		listen(t, w.a, wild(80))
		dial(t, w.a, at(addrA, 80))
	})
}

func TestIPv6(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(1, steady())
		a := w.Host("a", netip.MustParsePrefix("2001:db8::1/64"))
		b := w.Host("b", netip.MustParsePrefix("10.0.0.2/24"), netip.MustParsePrefix("2001:db8::2/64"))
		t.Cleanup(runWorld(t, w))
		l := listen(t, b, netip.MustParseAddrPort("[::]:80"))
		dial(t, a, netip.MustParseAddrPort("[2001:db8::2]:80"))
		if got := accept(t, l).RemoteAddr().(*net.TCPAddr).IP.String(); got != "2001:db8::1" {
			t.Errorf("remote = %s, want 2001:db8::1", got)
		}
		_, err := a.Dial(t.Context(), netip.Addr{}, netip.MustParseAddrPort("10.0.0.2:80"))
		wantErr(t, "IPv4 from an IPv6 host", err, syscall.ENETUNREACH)
	})
}

func TestRedirect(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		vips, here := netip.MustParsePrefix("127.80.0.0/12"), netip.MustParseAddrPort("127.0.0.1:15001")
		vip := netip.MustParseAddrPort("127.80.0.7:5432")
		l := listen(t, w.a, here)
		undo, err := w.a.Redirect(t.Context(), "micro-net", vips, l)
		if err != nil {
			t.Fatal(err)
		}
		c := dial(t, w.a, vip)
		s := accept(t, l)
		if got := micronet.AddrPortOf(s.LocalAddr()); got != vip {
			t.Errorf("what was accepted was meant for %v, want %v", got, vip)
		}
		if c.RemoteAddr().String() != vip.String() {
			t.Errorf("the program sees %v, want %v", c.RemoteAddr(), vip)
		}
		dial(t, w.a, here)
		if got := micronet.AddrPortOf(accept(t, l).LocalAddr()); got != here {
			t.Errorf("a direct connection was meant for %v, want %v", got, here)
		}
		if err := undo(); err != nil {
			t.Fatal(err)
		}
		_, err = w.a.Dial(t.Context(), netip.Addr{}, vip)
		wantErr(t, "Dial after undo", err, syscall.ECONNREFUSED)
		w.a.SetCredentials(nobody())
		_, err = w.a.Redirect(t.Context(), "micro-net", vips, l)
		wantErr(t, "Redirect without privilege", err, syscall.EPERM)
	})
}

func TestUnixSockets(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		const path = "/run/micro-net/api.sock"
		_, err := w.a.DialUnix(t.Context(), path)
		wantErr(t, "DialUnix of nothing", err, os.ErrNotExist)
		l, err := w.a.ListenUnix(t.Context(), path, 0o666)
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.a.ListenUnix(t.Context(), path, 0o666)
		wantErr(t, "ListenUnix again", err, syscall.EADDRINUSE)
		_, err = w.b.DialUnix(t.Context(), path)
		wantErr(t, "DialUnix at another host", err, os.ErrNotExist)

		w.a.SetCredentials(nobody())
		c, err := w.a.DialUnix(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { closeQuietly(t, c) })
		s := accept(t, l)
		write(t, c, "hello")
		if got := read(t, s); got != "hello" {
			t.Errorf("read %q, want hello", got)
		}
		if cred, err := w.a.PeerCredentials(s); cred.UID != 65534 || err != nil {
			t.Errorf("PeerCredentials = %+v, %v, want uid 65534", cred, err)
		}
		closeQuietly(t, l)
		_, err = w.a.DialUnix(t.Context(), path)
		wantErr(t, "DialUnix after Close", err, os.ErrNotExist)
	})
}

func TestRestartDuringAHandshakeRefuses(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		listen(t, w.b, wild(80))
		w.Cut(w.b, w.a)
		time.AfterFunc(500*time.Millisecond, func() {
			w.b.Crash()
			w.b.Restart()
			w.Heal()
		})
		_, err := w.a.Dial(t.Context(), netip.Addr{}, at(addrB, 80))
		wantErr(t, "Dial", err, syscall.ECONNREFUSED)
	})
}

func TestWriteOfNothing(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		c, _ := pair(t, w)
		if n, err := c.Write(nil); n != 0 || err != nil {
			t.Errorf("Write(nil) = %d, %v", n, err)
		}
		closeQuietly(t, c)
		_, err := c.Write(nil)
		wantErr(t, "Write(nil) after Close", err, net.ErrClosed)
	})
}

// TestStreamsCarryEveryByteThroughChaos writes random pieces over bad links that break and heal.
func TestStreamsCarryEveryByteThroughChaos(t *testing.T) {
	link := Link{Latency: testLatency, Jitter: 30 * time.Millisecond, Loss: 0.1, Duplicate: 0.1, Reorder: 0.2}
	for seed := range uint64(5) {
		inWorld(t, seed, Options{Link: link}, func(t *testing.T, w *three) {
			l := listen(t, w.b, wild(80))
			var group sync.WaitGroup
			for i := range uint64(4) {
				c := dial(t, w.a, at(addrB, 80))
				s := accept(t, l)
				group.Go(func() { scribble(t, c, rand.New(rand.NewPCG(seed, i))) })
				group.Go(func() { compare(t, s, rand.New(rand.NewPCG(seed, i))) })
			}
			for range 10 {
				time.Sleep(time.Second)
				w.Partition([]*Host{w.a})
				time.Sleep(time.Second)
				w.Heal()
				w.Cut(w.b, w.a)
				time.Sleep(time.Second)
				w.Heal()
			}
			group.Wait()
		})
	}
}

const (
	pieces   = 200
	pieceMax = 5000
)

// scribble writes what compare expects of the same random numbers.
func scribble(t *testing.T, c *stream, rng *rand.Rand) {
	for range pieces {
		if _, err := c.Write(piece(rng)); err != nil {
			t.Errorf("Write: %v", err)
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	if err := c.CloseWrite(); err != nil {
		t.Errorf("CloseWrite: %v", err)
	}
}

func compare(t *testing.T, s *stream, rng *rand.Rand) {
	for i := range pieces {
		want := piece(rng)
		got := make([]byte, len(want))
		if _, err := io.ReadFull(s, got); err != nil || !bytes.Equal(got, want) {
			t.Errorf("piece %d differs (%v)", i, err)
			return
		}
	}
	if _, err := s.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after the last piece: %v, want EOF", err)
	}
}

func piece(rng *rand.Rand) []byte {
	b := make([]byte, 1+rng.IntN(pieceMax))
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}
