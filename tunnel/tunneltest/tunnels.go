package tunneltest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
)

func testNotRunning(t *testing.T, p Pair) {
	t.Helper()
	ctx := within(t)
	if _, err := p.A.Open(ctx, p.IDB, opening); micronet.KindOf(err) != micronet.Closed {
		t.Errorf("Open before Run = %v, want Closed", err)
	}
	if _, err := p.A.Accept(ctx); micronet.KindOf(err) != micronet.Closed {
		t.Errorf("Accept before Run = %v, want Closed", err)
	}
	stop := runTunnel(t, p.A)
	stop()
	if _, err := p.A.Open(ctx, p.IDB, opening); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Open after Run = %v, want net.ErrClosed", err)
	}
	if _, err := p.A.Accept(ctx); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Run = %v, want net.ErrClosed", err)
	}
	if err := p.A.Run(ctx); err == nil {
		t.Error("running twice succeeded")
	}
}

func testConcurrentOpens(t *testing.T, f *fixture) {
	const calls = 64
	var group sync.WaitGroup
	for i := range calls {
		group.Go(func() { oneCall(t, f.A, f.IDB, fmt.Sprint(i)) })
	}
	for range calls {
		in := f.take(t)
		group.Go(func() { echo(t, in) })
	}
	group.Wait()
	for _, c := range []struct {
		tun  tunnel.Tunnel
		peer micronet.NodeID
	}{{f.A, f.IDB}, {f.B, f.IDA}} {
		infos := c.tun.Connections()
		if len(infos) != 1 || infos[0].Peer != c.peer {
			t.Errorf("Connections = %+v, want one, to %v", infos, c.peer.Short())
		}
	}
}

func testBothOpenAtOnce(t *testing.T, f *fixture) {
	const calls = 16
	var group sync.WaitGroup
	for i := range calls {
		group.Go(func() { oneCall(t, f.A, f.IDB, fmt.Sprint(i)) })
		group.Go(func() { oneCall(t, f.B, f.IDA, fmt.Sprint(i)) })
	}
	for _, tun := range []tunnel.Tunnel{f.A, f.B} {
		for range calls {
			in, err := tun.Accept(within(t))
			must(t, "Accept", err)
			group.Go(func() { echo(t, in) })
		}
	}
	group.Wait()
}

// oneCall opens a stream, sends a word and wants it back.
func oneCall(t *testing.T, from tunnel.Tunnel, to micronet.NodeID, word string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := from.Open(ctx, to, opening)
	if err != nil {
		t.Errorf("Open = %v", err)
		return
	}
	_, err = io.WriteString(out, word)
	err = errors.Join(err, out.CloseWrite())
	got, readErr := io.ReadAll(out)
	if err = errors.Join(err, readErr, out.Close()); err != nil || string(got) != word {
		t.Errorf("echo of %q = %q, %v", word, got, err)
	}
}

func echo(t *testing.T, in tunnel.Inbound) {
	t.Helper()
	err := in.Accept()
	if err == nil {
		_, err = io.Copy(struct{ io.Writer }{in}, struct{ io.Reader }{in})
	}
	if err = errors.Join(err, in.Close()); err != nil {
		t.Errorf("echoing = %v", err)
	}
}

func testPayloadBeforeAnswer(t *testing.T, f *fixture) {
	out := f.open(t)
	send(t, out, "early")
	must(t, "CloseWrite", out.CloseWrite())
	in := f.take(t)
	expectEnd(t, expectThen(t, in, "early"))
	must(t, "SetReadDeadline", out.SetReadDeadline(time.Now().Add(100*time.Millisecond)))
	if n, err := out.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read before the answer = %d, %v, want the deadline", n, err)
	}
	must(t, "accepting", in.Accept())
	send(t, in, "late")
	expect(t, out, "late")
	closeBoth(out, in)
}

func testAnsweredIsInterruptible(t *testing.T, f *fixture) {
	out := f.open(t)
	in := f.take(t)
	var group sync.WaitGroup
	group.Go(func() { // a reader waits all the time
		got := make([]byte, 2)
		if _, err := io.ReadFull(out, got); err != nil || string(got) != "ok" {
			t.Errorf("Read = %q, %v", got, err)
		}
	})
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if err := out.Answered(ctx); micronet.KindOf(err) != micronet.Timeout {
			t.Errorf("Answered = %v, want Timeout", err)
		}
		cancel()
	}
	group.Go(func() {
		if err := out.Answered(within(t)); err != nil {
			t.Errorf("Answered = %v", err)
		}
	})
	time.Sleep(20 * time.Millisecond)
	must(t, "accepting", in.Accept())
	send(t, in, "ok")
	group.Wait()

	// Without a reader the wait ends as well, and a deadline set meanwhile is kept.
	out2, in2 := f.open(t), f.take(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := out2.Answered(ctx); micronet.KindOf(err) != micronet.Timeout {
		t.Errorf("Answered = %v, want Timeout", err)
	}
	must(t, "accepting", in2.Accept())
	must(t, "Answered", out2.Answered(within(t)))
	closeBoth(out, in)
	closeBoth(out2, in2)
}

func testBackPressure(t *testing.T, f *fixture) {
	out, in := f.call(t)
	must(t, "SetWriteDeadline", out.SetWriteDeadline(time.Now().Add(500*time.Millisecond)))
	sent := 0
	for {
		n, err := out.Write(make([]byte, 10_000))
		sent += n
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		must(t, "Write", err)
		if sent > 4*f.Buffered {
			t.Fatalf("%d bytes were taken while nobody reads, want at most %d", sent, f.Buffered)
		}
	}
	if sent > f.Buffered {
		t.Errorf("%d bytes were taken while nobody reads, want at most %d", sent, f.Buffered)
	}
	must(t, "SetWriteDeadline", out.SetWriteDeadline(time.Time{}))
	must(t, "CloseWrite", out.CloseWrite())
	got, err := io.Copy(io.Discard, in)
	if err != nil || got != int64(sent) {
		t.Errorf("read %d bytes and %v, want %d and the end", got, err, sent)
	}
}

func testDeadlines(t *testing.T, f *fixture) {
	out, in := f.call(t)
	for _, s := range []tunnel.Stream{out, in} {
		began := time.Now()
		must(t, "SetReadDeadline", s.SetReadDeadline(began.Add(150*time.Millisecond)))
		_, err := s.Read(make([]byte, 1))
		var timeout net.Error
		if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("Read = %v, want a timeout that is a net.Error", err)
		}
		if took := time.Since(began); took < 150*time.Millisecond || took > 5*time.Second {
			t.Errorf("the deadline of 150ms came after %v", took)
		}
		must(t, "SetDeadline", s.SetDeadline(time.Time{}))
	}
	// A deadline set while a read waits ends it, and an expired one stops no later bytes.
	var group sync.WaitGroup
	group.Go(func() {
		if _, err := out.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Read = %v, want the deadline", err)
		}
	})
	time.Sleep(20 * time.Millisecond)
	must(t, "SetDeadline", out.SetDeadline(time.Now()))
	group.Wait()
	send(t, in, "later")
	must(t, "SetDeadline", out.SetDeadline(time.Time{}))
	expect(t, out, "later")
}

func testTransfer(t *testing.T, f *fixture) {
	const size = 8 << 20
	out, in := f.call(t)
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i * 2654435761 >> 13)
	}
	want := sha256.Sum256(data)
	var group sync.WaitGroup
	for _, s := range []tunnel.Stream{out, in} {
		group.Go(func() {
			if _, err := s.Write(data); err != nil {
				t.Errorf("Write = %v", err)
			}
			if err := s.CloseWrite(); err != nil {
				t.Errorf("CloseWrite = %v", err)
			}
		})
		group.Go(func() {
			h := sha256.New()
			n, err := io.Copy(h, s)
			if err != nil || n != size || [32]byte(h.Sum(nil)) != want {
				t.Errorf("read %d bytes and %v, want %d with the same hash", n, err, size)
			}
		})
	}
	group.Wait()
}

func testDisconnect(t *testing.T, f *fixture) {
	out, in := f.call(t)
	f.A.Disconnect(f.IDB, "by a test")
	if _, err := out.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("own Read = %v, want net.ErrClosed", err)
	}
	expectReset(t, in)
	if infos := f.A.Connections(); len(infos) != 0 {
		t.Errorf("Connections = %+v, want none", infos)
	}
	again, back := f.call(t)
	send(t, again, "again")
	expect(t, back, "again")
}

func testEndOfRun(t *testing.T, f *fixture) {
	out, in := f.call(t)
	var group sync.WaitGroup
	group.Go(func() {
		if _, err := out.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("own Read = %v, want net.ErrClosed", err)
		}
	})
	group.Go(func() {
		if _, err := f.A.Accept(t.Context()); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept = %v, want net.ErrClosed", err)
		}
	})
	time.Sleep(20 * time.Millisecond)
	f.stopA()
	group.Wait()
	if _, err := out.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("own Write = %v, want net.ErrClosed", err)
	}
	expectReset(t, in)
	if infos := f.A.Connections(); len(infos) != 0 {
		t.Errorf("Connections = %+v, want none", infos)
	}
}

func testUnknownPeer(t *testing.T, f *fixture) {
	unknown := micronet.NodeID{1: 1}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := f.A.Open(ctx, unknown, opening)
	if kind := micronet.KindOf(err); kind != micronet.Timeout && kind != micronet.Unreachable {
		t.Errorf("Open = %v, want Timeout or Unreachable", err)
	}
	ctx2, cancel2 := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel2)
	if _, err = f.A.Open(ctx2, unknown, opening); err == nil {
		t.Error("Open succeeded")
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("two Opens took %v, their contexts ended long before", took)
	}
}
