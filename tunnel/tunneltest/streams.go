package tunneltest

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
)

func testEcho(t *testing.T, f *fixture) {
	out := f.open(t)
	in := f.take(t)
	if in.From() != f.IDA || in.Opening() != opening {
		t.Errorf("From, Opening = %v, %+v, want %v, %+v", in.From().Short(), in.Opening(), f.IDA.Short(), opening)
	}
	for _, c := range []struct {
		what string
		got  net.Addr
		want micronet.NodeID
	}{
		{"caller's local", out.LocalAddr(), f.IDA},
		{"caller's remote", out.RemoteAddr(), f.IDB},
		{"callee's local", in.LocalAddr(), f.IDB},
		{"callee's remote", in.RemoteAddr(), f.IDA},
	} {
		if c.got.String() != c.want.UDPAddr().String() {
			t.Errorf("%s address = %v, want %v", c.what, c.got, c.want.UDPAddr())
		}
	}
	must(t, "accepting", in.Accept())
	for _, word := range []string{"one", "two", strings.Repeat("three", 1000)} {
		send(t, out, word)
		expect(t, in, word)
		send(t, in, word)
		expect(t, out, word)
	}
	must(t, "closing", out.Close())
	expectEnd(t, in)
	must(t, "closing", in.Close())
}

func testInvalidOpenings(t *testing.T, f *fixture) {
	for _, c := range []struct {
		name string
		to   micronet.NodeID
		o    tunnel.Opening
	}{
		{"no purpose", f.IDB, tunnel.Opening{Service: "web"}},
		{"too long", f.IDB, tunnel.Opening{Purpose: tunnel.PurposeService, Service: strings.Repeat("x", tunnel.MaxOpening)}},
		{"no UTF-8", f.IDB, tunnel.Opening{Purpose: tunnel.PurposeService, Service: "\xff"}},
		{"itself", f.IDA, opening},
		{"nobody", micronet.NodeID{}, opening},
	} {
		if _, err := f.A.Open(within(t), c.to, c.o); micronet.KindOf(err) != micronet.Invalid {
			t.Errorf("%s: Open = %v, want Invalid", c.name, err)
		}
	}
}

func testHalfCloseByCaller(t *testing.T, f *fixture) {
	out, in := f.call(t)
	send(t, out, "question")
	must(t, "CloseWrite", out.CloseWrite())
	expectEnd(t, expectThen(t, in, "question"))
	if _, err := out.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Write after CloseWrite = %v, want net.ErrClosed", err)
	}
	send(t, in, "answer")
	must(t, "CloseWrite", in.CloseWrite())
	expectEnd(t, expectThen(t, out, "answer"))
}

func testHalfCloseByCallee(t *testing.T, f *fixture) {
	out, in := f.call(t)
	must(t, "CloseWrite", in.CloseWrite())
	expectEnd(t, out)
	send(t, out, "still here")
	must(t, "CloseWrite", out.CloseWrite())
	expectEnd(t, expectThen(t, in, "still here"))
}

func testCloseDelivers(t *testing.T, f *fixture) {
	out, in := f.call(t)
	want := strings.Repeat("0123456789abcdef", 1<<14)
	var group sync.WaitGroup
	group.Go(func() {
		if _, err := io.WriteString(out, want); err != nil {
			t.Errorf("Write = %v", err)
		}
		if err := out.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
	})
	got, err := io.ReadAll(in)
	if err != nil || string(got) != want {
		t.Errorf("read %d bytes and %v, want %d and the end", len(got), err, len(want))
	}
	group.Wait()
	// The other side reads no more, and a writer learns of it.
	if err := writeUntilError(in); !errors.Is(err, net.ErrClosed) || tunnel.IsReset(err) {
		t.Errorf("Write to a closed stream = %v, want net.ErrClosed and no reset", err)
	}
}

func testCloseEndsOwnCalls(t *testing.T, f *fixture) {
	out, _ := f.call(t)
	var group sync.WaitGroup
	group.Go(func() {
		if _, err := out.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Read = %v, want net.ErrClosed", err)
		}
	})
	group.Go(func() {
		if err := writeUntilError(out); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Write = %v, want net.ErrClosed", err)
		}
	})
	time.Sleep(200 * time.Millisecond) // until the writer has filled all buffers
	must(t, "Close", out.Close())
	group.Wait()
	must(t, "closing twice", out.Close())
}

func testCloseWithoutAnswer(t *testing.T, f *fixture) {
	out, in := f.open(t), f.take(t)
	must(t, "Close", in.Close())
	if err := out.Answered(within(t)); micronet.KindOf(err) != micronet.Closed {
		t.Errorf("Answered = %v, want Closed", err)
	}
	must(t, "Close", out.Close())
}

func testAbortByCallee(t *testing.T, f *fixture) {
	out, in := f.call(t)
	send(t, out, "x")
	expect(t, in, "x")
	in.Abort()
	expectReset(t, out)
}

func testAbortByCaller(t *testing.T, f *fixture) {
	out, in := f.call(t)
	out.Abort()
	expectReset(t, in)
	if _, err := out.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) || tunnel.IsReset(err) {
		t.Errorf("own Read after Abort = %v, want net.ErrClosed and no reset", err)
	}
}

func testAbortBeforeAnswer(t *testing.T, f *fixture) {
	out, in := f.open(t), f.take(t)
	in.Abort()
	if err := out.Answered(within(t)); !tunnel.IsReset(err) {
		t.Errorf("Answered = %v, want a reset", err)
	}
	expectReset(t, out)
	must(t, "Close", out.Close())
}

func testRefuse(t *testing.T, f *fixture) {
	out := f.open(t)
	send(t, out, "lost")
	in := f.take(t)
	must(t, "Refuse", in.Refuse(micronet.NotFound, "no such instance here"))
	for range 2 {
		err := out.Answered(within(t))
		if micronet.KindOf(err) != micronet.NotFound || !strings.Contains(err.Error(), "no such instance here") {
			t.Errorf("Answered = %v, want NotFound with the peer's words", err)
		}
	}
	if n, err := out.Read(make([]byte, 1)); n != 0 || micronet.KindOf(err) != micronet.NotFound {
		t.Errorf("Read = %d, %v, want the refusal", n, err)
	}
	must(t, "Close", out.Close())
}

func testAnswerOnce(t *testing.T, f *fixture) {
	out, in := f.open(t), f.take(t)
	if _, err := in.Write([]byte("x")); err == nil {
		t.Error("Write before Accept succeeded")
	}
	must(t, "accepting", in.Accept())
	if err := in.Accept(); err == nil {
		t.Error("accepting twice succeeded")
	}
	must(t, "Answered", out.Answered(within(t)))
	closeBoth(out, in)
}

// expectReset demands that reads and writes fail as those of an aborted stream.
func expectReset(t *testing.T, s tunnel.Stream) {
	t.Helper()
	must(t, "SetDeadline", s.SetDeadline(time.Now().Add(patience)))
	if _, err := s.Read(make([]byte, 1)); !tunnel.IsReset(err) || !errors.Is(err, net.ErrClosed) {
		t.Errorf("Read = %v, want a reset that is net.ErrClosed", err)
	}
	if err := writeUntilError(s); !tunnel.IsReset(err) || !errors.Is(err, net.ErrClosed) {
		t.Errorf("Write = %v, want a reset that is net.ErrClosed", err)
	}
}

func writeUntilError(s tunnel.Stream) error {
	for {
		if _, err := s.Write(make([]byte, 1<<12)); err != nil {
			return err
		}
		time.Sleep(time.Microsecond) // in virtual time nothing happens before it passes
	}
}

func must(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s = %v", what, err)
	}
}

func send(t *testing.T, s tunnel.Stream, word string) {
	t.Helper()
	if n, err := io.WriteString(s, word); err != nil || n != len(word) {
		t.Fatalf("Write = %d, %v, want %d", n, err, len(word))
	}
}

func expect(t *testing.T, s tunnel.Stream, want string) {
	t.Helper()
	must(t, "SetReadDeadline", s.SetReadDeadline(time.Now().Add(patience)))
	got := make([]byte, len(want))
	if n, err := io.ReadFull(s, got); err != nil || string(got) != want {
		t.Fatalf("read %.40q and %v, want %.40q", got[:n], err, want)
	}
}

func expectThen(t *testing.T, s tunnel.Stream, want string) tunnel.Stream {
	t.Helper()
	expect(t, s, want)
	return s
}

func expectEnd(t *testing.T, s tunnel.Stream) {
	t.Helper()
	if n, err := s.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Fatalf("Read = %d, %v, want the end", n, err)
	}
}
