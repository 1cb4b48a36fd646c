package netsim

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	micronet "github.com/micro/micro-net"
)

func TestCrashIsSilentForPeersAndLoudAtHome(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		c, s := pair(t, w)
		u := listenPacket(t, w.b, wild(8085))
		env := w.b.Env()
		home := make(chan error, 1)
		go func() { _, err := s.Read(make([]byte, 1)); home <- err }()
		time.Sleep(time.Second)
		w.b.Crash()
		wantErr(t, "Read at the crashed host", <-home, net.ErrClosed)
		_, _, err := u.ReadFrom(make([]byte, 1))
		wantErr(t, "ReadFrom at the crashed host", err, net.ErrClosed)
		_, err = env.Net.Listen(t.Context(), wild(81))
		wantErr(t, "Listen at the crashed host", err, net.ErrClosed)

		_ = c.SetReadDeadline(time.Now().Add(time.Hour))
		_, err = c.Read(make([]byte, 1))
		wantErr(t, "Read at the peer", err, os.ErrDeadlineExceeded)

		w.b.Restart()
		_ = c.SetReadDeadline(time.Now().Add(time.Hour))
		write(t, c, "still there?")
		_, err = c.Read(make([]byte, 1))
		wantErr(t, "Read at the peer after the restart", err, syscall.ECONNRESET)
		_, err = env.Net.Listen(t.Context(), wild(81))
		wantErr(t, "Listen of the first life", err, net.ErrClosed)
		listen(t, w.b, wild(80))
		dial(t, w.a, at(addrB, 80))
	})
}

func TestCrashUnderWay(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		c, _ := pair(t, w)
		time.Sleep(time.Second)
		write(t, c, "in flight when the host crashes")
		w.b.Crash()
		time.Sleep(time.Second)
		w.b.Restart()
		_ = c.SetReadDeadline(time.Now().Add(time.Minute))
		_, err := c.Read(make([]byte, 1))
		wantErr(t, "Read", err, syscall.ECONNRESET)
	})
}

func TestCrashEndsDial(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		w.Partition([]*Host{w.a})
		time.AfterFunc(time.Second, w.a.Crash)
		_, err := w.a.Dial(t.Context(), netip.Addr{}, at(addrB, 80))
		wantErr(t, "Dial", err, net.ErrClosed)
	})
}

func TestCrashFreesPortsAndSockets(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		listen(t, w.a, wild(80))
		if _, err := w.a.ListenUnix(t.Context(), "/api.sock", 0o600); err != nil {
			t.Fatal(err)
		}
		w.a.Crash()
		if w.a.Up() {
			t.Error("a crashed host is up")
		}
		w.a.Restart()
		listen(t, w.a, wild(80))
		l, err := w.a.ListenUnix(t.Context(), "/api.sock", 0o600)
		if err != nil {
			t.Fatal(err)
		}
		closeQuietly(t, l)
	})
}

func TestSetAddrsMovesTheHost(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		a, b := listenPacket(t, w.a, wild(8085)), listenPacket(t, w.b, wild(8085))
		ctx, cancel := context.WithCancel(t.Context())
		changes := w.b.Env().Net.WatchInterfaces(ctx)
		moved := netip.MustParseAddr("10.0.0.9")
		w.b.SetAddrs(prefix(moved))
		w.b.SetAddrs(prefix(moved))
		<-changes
		select {
		case <-changes:
			t.Error("two changes that nobody took are one")
		default:
		}
		send(t, a, "old", at(addrB, 8085))
		send(t, a, "new", at(moved, 8085))
		if text, _ := hear(t, b, time.Second); text != "new" {
			t.Errorf("heard %q, want what was sent to the new address", text)
		}
		list, err := w.b.Interfaces()
		if err != nil || len(list) != 2 || !list[0].Loopback || !slices.Equal(list[1].Prefixes, []netip.Prefix{prefix(moved)}) {
			t.Errorf("Interfaces = %+v, %v", list, err)
		}
		cancel()
		w.b.SetAddrs()
		select {
		case <-changes:
			t.Error("a change was told after the context ended")
		default:
		}
	})
}

func TestMovedAddressStallsStreams(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		c, s := pair(t, w)
		time.Sleep(time.Second)
		w.b.SetAddrs()
		write(t, c, "anyone?")
		_ = s.SetReadDeadline(time.Now().Add(time.Minute))
		_, err := s.Read(make([]byte, 1))
		wantErr(t, "Read at the host that lost its address", err, os.ErrDeadlineExceeded)
		w.c.SetAddrs(prefix(addrC), prefix(addrB))
		_, err = c.Read(make([]byte, 1))
		wantErr(t, "Read once another host has the address", err, syscall.ECONNRESET)
	})
}

func TestTakenNamesAndAddressesPanic(t *testing.T) {
	for name, build := range map[string]func(w *three){
		"name":    func(w *three) { w.Host("a") },
		"address": func(w *three) { w.Host("d", prefix(addrA)) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("a taken %s did not panic", name)
				}
			}()
			build(newThree(1, Options{}))
		}()
	}
}

func TestRunTwiceIsRefused(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		synctest.Wait()
		if err := w.Run(t.Context()); micronet.KindOf(err) != micronet.Invalid {
			t.Errorf("second Run = %v, want Invalid", err)
		}
	})
}

func TestEnvIsCompleteAndRepeats(t *testing.T) {
	draw := func(e micronet.Env) (string, uint64) {
		b := make([]byte, 16)
		if _, err := io.ReadFull(e.Entropy, b); err != nil {
			t.Fatal(err)
		}
		return string(b), e.Rand("probe").Uint64()
	}
	one, two := newThree(1, Options{}), newThree(1, Options{})
	first := one.a.Env()
	b1, r1 := draw(first)
	if b, r := draw(two.a.Env()); b != b1 || r != r1 {
		t.Error("the first Env of a host is not the same in two worlds of one seed")
	}
	if b, r := draw(one.a.Env()); b == b1 || r == r1 {
		t.Error("two Envs of a host draw the same")
	}
	if b, r := draw(one.b.Env()); b == b1 || r == r1 {
		t.Error("two hosts draw the same")
	}
	if first.Rand("probe").Uint64() != r1 || first.Rand("gossip").Uint64() == r1 {
		t.Error("Rand is not one stream per use")
	}
	cloneA, cloneB := one.a.Env(9), one.b.Env(9)
	bA, _ := draw(cloneA)
	if bB, _ := draw(cloneB); bA != bB {
		t.Error("clones draw different entropy")
	}
	if b, _ := draw(one.a.Env(10)); b == bA {
		t.Error("entropy seeds 9 and 10 draw the same")
	}
	if first.Net == nil || first.FS == nil || first.Exec == nil || first.Events == nil || first.Log == nil {
		t.Error("Env lacks something")
	}
}

func TestEnvTellsOfTheHost(t *testing.T) {
	w := newThree(1, Options{})
	w.a.Setenv("STATE_DIRECTORY", "/var/lib/micro-net")
	w.a.SetCredentials(nobody())
	e := w.a.Env()
	if e.Host.Name != "a" || e.Host.OS != "linux" || e.Host.UID != 65534 ||
		e.Host.Getenv("STATE_DIRECTORY") != "/var/lib/micro-net" || e.Host.Getenv("HOME") != "" {
		t.Errorf("Host = %+v", e.Host)
	}
	if m := w.a.Env().Host.Machine; m != e.Host.Machine || m == w.b.Env().Host.Machine || m == "" {
		t.Errorf("Machine %q is not that of one host", m)
	}
	w.a.Restart()
	if m := w.a.Env().Host.Machine; m == e.Host.Machine {
		t.Errorf("Machine %q is the same after a boot", m)
	}
	if a, b := e.Phase, w.b.Env().Phase; a == b || a <= 0 || a > 2*phaseMax {
		t.Errorf("phases %v and %v are not small and unique", a, b)
	}
}

func TestWallClockSkew(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		e := w.a.Env()
		if d := time.Until(e.Wall()); d != 0 {
			t.Errorf("skew = %v at first, want none", d)
		}
		w.a.SetSkew(-time.Hour)
		if d := time.Until(e.Wall()); d != -time.Hour {
			t.Errorf("skew = %v, want -1h", d)
		}
	})
}

func TestCommands(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		w.a.Command("upper", func(_ context.Context, in io.Reader, out, _ io.Writer, args []string) int {
			b, _ := io.ReadAll(in)
			_, _ = io.WriteString(out, strings.ToUpper(string(b))+strings.Join(args, ","))
			return 3
		})
		var out strings.Builder
		p := start(t, w.a, micronet.Command{
			Argv: []string{"/usr/bin/upper", "x", "y"}, Stdin: strings.NewReader("abc "), Stdout: &out,
		})
		if code, err := p.Wait(); code != 3 || err != nil || out.String() != "ABC x,y" {
			t.Errorf("Wait = %d, %v with %q, want 3 and ABC x,y", code, err, out.String())
		}
		if err := p.Signal(syscall.SIGTERM); micronet.KindOf(err) != micronet.Closed {
			t.Errorf("Signal after the end = %v, want Closed", err)
		}
		_, err := w.a.Start(t.Context(), micronet.Command{Argv: []string{"nothing"}})
		wantErr(t, "Start of nothing", err, os.ErrNotExist)
		if got := w.a.Commands(); !slices.Equal(got, []string{"upper"}) {
			t.Errorf("Commands = %v", got)
		}
	})
}

func start(t *testing.T, e micronet.Exec, c micronet.Command) micronet.Process {
	t.Helper()
	p, err := e.Start(t.Context(), c)
	if err != nil {
		t.Fatalf("Start(%v): %v", c.Argv, err)
	}
	return p
}

func TestCommandsEnd(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		w.a.Command("sleep", func(ctx context.Context, _ io.Reader, _, _ io.Writer, _ []string) int {
			<-ctx.Done()
			return 0
		})
		w.a.Command("polite", func(ctx context.Context, _ io.Reader, _, _ io.Writer, _ []string) int {
			select {
			case sig := <-CaughtSignals(ctx):
				return int(sig)
			case <-ctx.Done():
				return 99
			}
		})
		code := func(p micronet.Process) int { n, _ := p.Wait(); return n }
		ctx, cancel := context.WithCancel(t.Context())
		p, err := w.a.Start(ctx, micronet.Command{Argv: []string{"sleep"}})
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		if got := code(p); got != 128+9 {
			t.Errorf("a command whose context ended = %d, want 137", got)
		}
		for _, c := range []struct {
			name string
			sig  syscall.Signal
			want int
		}{{"sleep", syscall.SIGTERM, 128 + 15}, {"polite", syscall.SIGTERM, 15}, {"polite", syscall.SIGKILL, 128 + 9}} {
			p := start(t, w.a, micronet.Command{Argv: []string{c.name}})
			synctest.Wait()
			if err := p.Signal(c.sig); err != nil {
				t.Fatal(err)
			}
			if got := code(p); got != c.want {
				t.Errorf("%s after %v = %d, want %d", c.name, c.sig, got, c.want)
			}
		}
		p = start(t, w.a, micronet.Command{Argv: []string{"sleep"}})
		w.a.Crash()
		if got := code(p); got != 128+9 {
			t.Errorf("a command on a crashed host = %d, want 137", got)
		}
		_, err = w.a.Start(t.Context(), micronet.Command{Argv: []string{"sleep"}})
		wantErr(t, "Start on a crashed host", err, net.ErrClosed)
	})
}

func TestSignalsLoseRepetitionsOnly(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		ctx, cancel := context.WithCancel(t.Context())
		c := w.a.Env().Exec.Signals(ctx, syscall.SIGHUP, syscall.SIGTERM)
		for range 2 * signalsMax {
			w.a.Raise(syscall.SIGHUP)
		}
		w.a.Raise(syscall.SIGINT)
		w.a.Raise(syscall.SIGTERM)
		var got []syscall.Signal
		for len(c) > 0 {
			got = append(got, <-c)
		}
		if got[0] != syscall.SIGHUP || !slices.Contains(got, syscall.SIGTERM) || slices.Contains(got, syscall.SIGINT) {
			t.Errorf("got %v, want hang-ups, then the termination", got)
		}
		cancel()
		w.a.Raise(syscall.SIGTERM)
		if len(c) != 0 {
			t.Error("a signal came after the context ended")
		}
		if CaughtSignals(t.Context()) != nil {
			t.Error("CaughtSignals outside of a program is not nil")
		}
	})
}

func TestErrorsAreThoseOfPackageNet(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		_, err := w.a.Dial(t.Context(), netip.Addr{}, at(addrB, 80))
		if _, ok := errors.AsType[*net.OpError](err); !ok {
			t.Errorf("Dial = %T, want *net.OpError", err)
		}
		if got := err.Error(); got != "connect tcp 10.0.0.2:80: connect: connection refused" {
			t.Errorf("Dial = %q", got)
		}
	})
}

func TestSettleRunsAfterEachEvent(t *testing.T) {
	opts := steady()
	var events atomic.Int32
	opts.Settle = func() { synctest.Wait(); events.Add(1) }
	inWorld(t, 1, opts, func(t *testing.T, w *three) {
		a, b := listenPacket(t, w.a, wild(8085)), listenPacket(t, w.b, wild(8085))
		for range 5 {
			send(t, a, "x", at(addrB, 8085))
		}
		for range 5 {
			hear(t, b, time.Second)
		}
		time.Sleep(time.Second)
		if n := events.Load(); n != 5 {
			t.Errorf("Settle was called %d times for 5 packets", n)
		}
	})
}
