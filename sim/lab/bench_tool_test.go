//go:build linux

package lab

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The measurements need small programs of their own on the hosts: an echo server and clients that
// measure latency. They are modes of this test binary. They use blocking sockets, so that Go's
// poller is not part of what is measured.

var benchTool = flag.String("bench-tool", "", "internal: run one of the benchmark's own programs")

// benchPatience ends an exchange that gets no answer.
const benchPatience = 3 * time.Second

// TestBenchTool is where the programs begin; alone it does nothing.
func TestBenchTool(t *testing.T) {
	if *benchTool == "" {
		t.Skip("only for the benchmark's own programs")
	}
	args := strings.Fields(*benchTool)
	programs := map[string]func([]string) error{
		"echo": benchEcho, "ping": benchPing, "rate": benchRate, "connect": benchConnect,
		"quic-server": benchQUICServer, "quic-client": benchQUICClient,
		"mux-server": benchMuxServer, "mux-client": benchMuxClient,
	}
	program, ok := programs[args[0]]
	if !ok {
		t.Fatalf("no program %q", args[0])
	}
	if err := program(args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		syscall.Exit(1)
	}
	syscall.Exit(0) // a program has nothing to do with what the tests do at their end
}

// benchProgram is the command line of one of the programs.
func benchProgram(t testing.TB, args ...string) []string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return []string{self, "-test.run=^TestBenchTool$", "-bench-tool=" + strings.Join(args, " ")}
}

// benchSockets is benchProgram for those that block in system calls: each thread has a processor
// of its own, so that none waits for another, and no signal of the runtime ends a call.
func benchSockets(t testing.TB, args ...string) []string {
	t.Helper()
	return append([]string{"env", "GOMAXPROCS=64", "GOGC=off", "GODEBUG=asyncpreemptoff=1"}, benchProgram(t, args...)...)
}

// benchLatency is what a client prints.
type benchLatency struct {
	N      int     `json:"n"`
	Errors int     `json:"errors"`
	P50    float64 `json:"p50_us"`
	P99    float64 `json:"p99_us"`
	First  string  `json:"first_error"`
}

// summarise makes the figures out of latencies and errors.
func summarise(latencies []time.Duration, failed []error) benchLatency {
	l := benchLatency{N: len(latencies), Errors: len(failed)}
	if len(failed) > 0 {
		l.First = failed[0].Error()
	}
	if len(latencies) > 0 {
		slices.Sort(latencies)
		l.P50 = float64(latencies[len(latencies)/2]) / 1e3
		l.P99 = float64(latencies[len(latencies)*99/100]) / 1e3
	}
	return l
}

func (l benchLatency) print() error {
	out, err := json.Marshal(l)
	fmt.Println(string(out))
	return err
}

// benchSocket is a connected, blocking TCP socket.
type benchSocket int

func benchDial(to netip.AddrPort) (benchSocket, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	patience := unix.NsecToTimeval(benchPatience.Nanoseconds())
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &patience),
		unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}),
	)
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return benchSocket(fd), nil
}

func (s benchSocket) close() { _ = unix.Close(int(s)) }

// exchange sends buf and reads as much back.
func (s benchSocket) exchange(buf []byte) error {
	if n, err := unix.Write(int(s), buf); err != nil || n != len(buf) {
		return fmt.Errorf("wrote %d bytes: %w", n, err)
	}
	for got := 0; got < len(buf); {
		n, err := unix.Read(int(s), buf[got:])
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return err
		case n == 0:
			return errors.New("the connection ended")
		default:
			got += n
		}
	}
	return nil
}

// benchMessage is the size of a message of the latency clients.
const benchMessage = 64

// benchPing sends one message after the other on one connection: ADDR:PORT TIME.
func benchPing(args []string) error {
	to, period := netip.MustParseAddrPort(args[0]), benchDuration(args[1])
	s, err := benchDial(to)
	if err != nil {
		return err
	}
	defer s.close()
	buf := make([]byte, benchMessage)
	latencies := make([]time.Duration, 0, 1<<20)
	for begin := time.Now(); time.Since(begin) < period; {
		sent := time.Now()
		if err := s.exchange(buf); err != nil {
			return err
		}
		latencies = append(latencies, time.Since(sent))
	}
	return summarise(latencies, nil).print()
}

// benchRate sends messages at a fixed rate over several connections, whether answers come or not,
// and counts from the moment a message was due: ADDR:PORT TIME CONNECTIONS RATE.
func benchRate(args []string) error {
	to, period := netip.MustParseAddrPort(args[0]), benchDuration(args[1])
	clients, rate := benchNumber(args[2]), benchNumber(args[3])
	step := time.Second * time.Duration(clients) / time.Duration(rate)
	return benchClients(clients, func(i int) (latencies []time.Duration, failed []error) {
		s, err := benchDial(to)
		if err != nil {
			return nil, []error{err}
		}
		defer s.close()
		buf := make([]byte, benchMessage)
		if err := s.exchange(buf); err != nil {
			return nil, []error{err}
		}
		begin := time.Now().Add(50*time.Millisecond + step*time.Duration(i)/time.Duration(clients))
		for due := begin; due.Sub(begin) < period; due = due.Add(step) {
			benchSleepUntil(due)
			if err := s.exchange(buf); err != nil {
				return latencies, []error{err}
			}
			latencies = append(latencies, time.Since(due))
		}
		return latencies, nil
	})
}

// benchConnect opens a connection, sends a byte, waits for its echo and closes, again and again:
// ADDR:PORT TIME CLIENTS.
func benchConnect(args []string) error {
	to, period := netip.MustParseAddrPort(args[0]), benchDuration(args[1])
	return benchClients(benchNumber(args[2]), func(int) (latencies []time.Duration, failed []error) {
		buf := make([]byte, 1)
		for begin := time.Now(); time.Since(begin) < period; {
			started := time.Now()
			s, err := benchDial(to)
			if err == nil {
				err = s.exchange(buf)
				s.close()
			}
			if err != nil {
				failed = append(failed, err)
				time.Sleep(time.Millisecond)
				continue
			}
			latencies = append(latencies, time.Since(started))
		}
		return latencies, failed
	})
}

func benchClients(n int, client func(i int) ([]time.Duration, []error)) error {
	var mu sync.Mutex
	var all []time.Duration
	var failed []error
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			latencies, f := client(i)
			mu.Lock()
			defer mu.Unlock()
			all, failed = append(all, latencies...), append(failed, f...)
		})
	}
	group.Wait()
	return summarise(all, failed).print()
}

// benchSleepUntil sleeps in the kernel: Go's timers would add the scheduler's delay.
func benchSleepUntil(due time.Time) {
	for left := time.Until(due); left > 0; left = time.Until(due) {
		ts := unix.NsecToTimespec(left.Nanoseconds())
		_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &ts, nil)
	}
}

// benchEcho answers every byte, one thread for all connections: ADDR:PORT.
func benchEcho(args []string) error {
	at := netip.MustParseAddrPort(args[0])
	ln, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	err = errors.Join(
		unix.SetsockoptInt(ln, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
		unix.Bind(ln, &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}),
		unix.Listen(ln, 4096),
	)
	if err != nil {
		return err
	}
	poll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return err
	}
	watch := func(fd int) error {
		return unix.EpollCtl(poll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
	}
	if err := watch(ln); err != nil {
		return err
	}
	events, buf := make([]unix.EpollEvent, 64), make([]byte, 64<<10)
	for {
		n, err := unix.EpollWait(poll, events, -1)
		if err != nil && !errors.Is(err, syscall.EINTR) {
			return err
		}
		for _, e := range events[:max(n, 0)] {
			if int(e.Fd) != ln {
				echoOnce(int(e.Fd), buf)
			} else if fd, _, err := unix.Accept4(ln, unix.SOCK_CLOEXEC); err == nil {
				if err := errors.Join(unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1), watch(fd)); err != nil {
					_ = unix.Close(fd)
				}
			}
		}
	}
}

// echoOnce answers what is there. Messages are far smaller than socket buffers, so that writing
// does not block.
func echoOnce(fd int, buf []byte) {
	n, err := unix.Read(fd, buf)
	if err == nil && n > 0 {
		_, err = unix.Write(fd, buf[:n])
	}
	if err != nil || n <= 0 {
		_ = unix.Close(fd)
	}
}

func benchDuration(s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		panic(err)
	}
	return d
}

func benchNumber(s string) (n int) {
	if _, err := fmt.Sscan(s, &n); err != nil {
		panic(err)
	}
	return n
}
