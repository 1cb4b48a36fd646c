package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"

	micronet "github.com/micro/micro-net"
	"golang.org/x/sys/unix"
)

// hostNet is the network of the host that runs the tests.
type hostNet struct{ micronet.Network }

func (hostNet) Listen(ctx context.Context, at netip.AddrPort) (net.Listener, error) {
	var lc net.ListenConfig
	return lc.Listen(ctx, "tcp", at.String())
}

func (hostNet) Dial(ctx context.Context, from netip.Addr, to netip.AddrPort) (net.Conn, error) {
	var d net.Dialer
	if from.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
	}
	return d.DialContext(ctx, "tcp", to.String())
}

// stranger is a program that listens on all addresses and says so.
func stranger(port uint16, network, addr string, options ...int) (net.Listener, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		cerr := c.Control(func(fd uintptr) {
			for _, o := range options {
				err = errors.Join(err, unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, o, 1))
			}
		})
		return errors.Join(cerr, err)
	}}
	ln, err := lc.Listen(context.Background(), network, fmt.Sprint(addr, ":", port))
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, "stranger")
			c.Close()
		}
	}()
	return ln, nil
}

// freePort is one that nobody holds on any address.
func freePort(t *testing.T) uint16 {
	t.Helper()
	ln, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return micronet.AddrPortOf(ln.Addr()).Port()
}

// asUser runs f without root's rights, on a thread that ends with it.
func asUser(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		f()
		return
	}
	done := make(chan bool)
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked, so that the thread is not used again
		const keep = ^uintptr(0)
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, keep, 65534, keep); errno != 0 {
			return
		}
		f()
		done <- true
	}()
	if !<-done {
		t.Skip("this thread cannot become another user")
	}
}

var wildcards = []struct {
	name, network, addr string
	options             []int
}{
	{"IPv4", "tcp4", "0.0.0.0", nil},
	{"IPv6", "tcp", "[::]", nil},
	{"reuse port", "tcp4", "0.0.0.0", []int{unix.SO_REUSEPORT}},
	{"reuse address", "tcp4", "0.0.0.0", []int{unix.SO_REUSEADDR}},
}

// A program that held the port before: there is no answer, and the error names it. When it has
// gone, there is one, and it leads here.
func TestStrangerBefore(t *testing.T) {
	for _, w := range wildcards {
		for _, user := range []bool{false, true} {
			t.Run(fmt.Sprint(w.name, " user=", user), func(t *testing.T) {
				port := freePort(t)
				ln, err := stranger(port, w.network, w.addr, w.options...)
				if err != nil {
					t.Skip(err)
				}
				defer ln.Close()
				if got := hears(hostNet{}, at(port)); got != "stranger" {
					t.Fatalf("the VIP says %q: this host does not behave as expected", got)
				}
				b := NewBound(BoundConfig{Env: micronet.Env{Net: hostNet{}}, Handle: sayName})
				running(t, b.Run)
				offer := func() { err = b.Offer(context.Background(), web, webVIP, ports(port)) }
				if user {
					asUser(t, offer)
				} else {
					offer()
				}
				if micronet.KindOf(err) != micronet.Refused || !strings.Contains(err.Error(), fmt.Sprint("port ", port)) {
					t.Fatalf("Offer = %v, want a refusal that names the port", err)
				}
				ln.Close()
				if err := b.Offer(context.Background(), web, webVIP, ports(port)); err != nil || hears(hostNet{}, at(port)) != "web" {
					t.Errorf("Offer without the stranger = %v", err)
				}
			})
		}
	}
}

// A program that comes after: Linux refuses it the port as long as the VIP is offered.
func TestStrangerAfter(t *testing.T) {
	for _, w := range wildcards {
		t.Run(w.name, func(t *testing.T) {
			port := freePort(t)
			b := NewBound(BoundConfig{Env: micronet.Env{Net: hostNet{}}, Handle: sayName})
			running(t, b.Run)
			var err error
			asUser(t, func() { err = b.Offer(context.Background(), web, webVIP, ports(port)) })
			if err != nil {
				t.Fatal(err)
			}
			if ln, err := stranger(port, w.network, w.addr, w.options...); !errors.Is(err, syscall.EADDRINUSE) {
				if ln != nil {
					ln.Close()
				}
				t.Errorf("the stranger's listen = %v, want EADDRINUSE", err)
			}
			if got := hears(hostNet{}, at(port)); got != "web" {
				t.Errorf("the VIP says %q, want web", got)
			}
		})
	}
}

// A program that had bound the port before us and begins to listen after us is refused then.
func TestStrangerInBetween(t *testing.T) {
	port := freePort(t)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
		unix.Bind(fd, &unix.SockaddrInet4{Port: int(port)}),
	); err != nil {
		t.Fatal(err)
	}
	b := NewBound(BoundConfig{Env: micronet.Env{Net: hostNet{}}, Handle: sayName})
	running(t, b.Run)
	if err := b.Offer(context.Background(), web, webVIP, ports(port)); err != nil {
		t.Skipf("this kernel refuses earlier: %v", err)
	}
	if err := unix.Listen(fd, 8); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("the stranger's listen = %v, want EADDRINUSE", err)
	}
	if got := hears(hostNet{}, at(port)); got != "web" {
		t.Errorf("the VIP says %q, want web", got)
	}
}

// An ordinary user's daemon cannot take port 80: the name is answered on its own port only.
func TestPrivilegedPort(t *testing.T) {
	first, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	if err != nil || strings.TrimSpace(string(first)) == "0" {
		t.Skip("no port is privileged on this host")
	}
	b := NewBound(BoundConfig{Env: micronet.Env{Net: hostNet{}}, Handle: sayName})
	running(t, b.Run)
	port := freePort(t)
	var both, only error
	asUser(t, func() {
		both = b.Offer(context.Background(), web, webVIP, []Port{{80, true}, {port, false}})
		only = b.Offer(context.Background(), web, webVIP, ports(81))
	})
	if both != nil || hears(hostNet{}, at(port)) != "web" {
		t.Errorf("Offer of both = %v", both)
	}
	if micronet.KindOf(only) != micronet.Refused || !strings.Contains(only.Error(), "may not take it") {
		t.Errorf("Offer of port 81 alone = %v, want a refusal", only)
	}
}

// A loopback instance sees the address that stands for its caller, never 127.0.0.1.
func TestQ25_BackendSeesCaller(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	from := netip.MustParseAddr("127.81.7.9")
	env := micronet.Env{Net: hostNet{}, Host: micronet.Host{OS: "linux"}}
	c, err := dialBackend(t.Context(), env, from, micronet.AddrPortOf(ln.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got := micronet.AddrPortOf(s.RemoteAddr()).Addr(); got != from {
		t.Errorf("the backend sees %v, want %v", got, from)
	}
}
