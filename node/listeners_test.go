package node

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/node/api"
)

// Every taken port is told in one error, with a command that works.
func TestTakenPorts(t *testing.T) {
	inBubble(t, 60, func(t *testing.T, b *bubble) {
		n := b.prepare("a")
		first := b.listen(n.host, "127.0.0.1:8500")
		b.listen(n.host, "127.0.0.1:8081")
		udp, err := n.host.ListenPacket(context.Background(), netip.MustParseAddrPort("127.0.0.1:8600"))
		if err != nil {
			t.Fatal(err)
		}
		defer udp.Close()
		mesh, err := n.host.ListenPacket(context.Background(), netip.MustParseAddrPort("0.0.0.0:8085"))
		if err != nil {
			t.Fatal(err)
		}
		socket, err := n.host.ListenUnix(context.Background(), "/run/micro-net/api.sock", 0o666)
		if err != nil {
			t.Fatal(err)
		}
		flags := func(c *Config) {
			c.Daemon.Settings = []api.Setting{
				{Key: "join", Value: "(redacted)", Origin: "flag"},
				{Key: "data-dir", Value: "/my data", Origin: "flag"},
				{Key: "service", Value: []string{"a:1", "b:2"}, Origin: "flag"},
				{Key: "proxy-pass", Value: true, Origin: "flag"},
				{Key: "api-addr", Value: "127.0.0.1:8500", Origin: "flag"},
				{Key: "domain", Value: "x.internal", Origin: "file:x"},
			}
		}
		b.launch("a", "", flags)
		err = b.ended(n, drainFor)
		wantError(t, "taken", err, micronet.Refused, "mesh [::]:8085 (udp) is in use", "API 127.0.0.1:8500 (tcp)", "DNS 127.0.0.1:8600 (udp)",
			"proxy 127.0.0.1:8081 (tcp)", "another daemon answers on /run/micro-net/api.sock",
			"micro-net up --join @FILE --data-dir '/my data' --service a:1 --service b:2 --proxy-pass=true"+
				" --api-addr 127.0.0.1:0 --api-socket /var/lib/micro-net/api.sock --dns-addr 127.0.0.1:0 --listen '[::]:0' --proxy-addr 127.0.0.1:0")
		if micronet.KindOf(err).ExitCode() != micronet.ExitRefused || strings.Contains(err.Error(), "\n") {
			t.Errorf("it is %d, and reads %q", micronet.KindOf(err).ExitCode(), err)
		}
		if files, err := n.host.FS().ReadDir(testDir); err != nil || len(files) != 1 {
			t.Errorf("the data folder holds %v, %v; want the lock alone", files, err)
		}
		// The socket alone.
		for _, c := range []interface{ Close() error }{first, mesh, udp, b.open[1]} {
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
		}
		b.launch("a", "")
		wantError(t, "the socket", b.ended(n, drainFor), micronet.Refused, "another daemon answers on /run/micro-net/api.sock", "--api-socket")
		if err := socket.Close(); err != nil {
			t.Fatal(err)
		}
		b.start("a", "") // nothing was left half open
	})
}

func TestOtherSocket(t *testing.T) {
	for _, c := range []struct{ dir, socket, want string }{
		{"/data", "/run/x/api.sock", "/data/api.sock"},
		{"/data", "/data/api.sock", "/data/api.sock.2"},
		{"", "/run/api.sock", "/run/api.sock.2"},
	} {
		if got := (&Config{DataDir: c.dir, Daemon: &Daemon{Socket: c.socket}}).otherSocket(); got != c.want {
			t.Errorf("instead of %s with %q: %s, want %s", c.socket, c.dir, got, c.want)
		}
	}
}

// holding is a network that knows who holds a port.
type holding struct{ micronet.Network }

func (holding) PortHolder(network string, _ netip.AddrPort) string { return "nginx over " + network }

func TestDescribeTaken(t *testing.T) {
	at := netip.MustParseAddrPort("127.0.0.1:53")
	op := func(network string, err error) error { return &net.OpError{Op: "listen", Net: network, Err: err} }
	for _, c := range []struct {
		err  error
		net  micronet.Network
		want string
	}{
		{op("tcp4", syscall.EADDRINUSE), nil, "DNS 127.0.0.1:53 (tcp) is in use"},
		{op("udp4", syscall.EADDRINUSE), holding{}, "DNS 127.0.0.1:53 (udp) is held by nginx over udp"},
		{op("tcp", syscall.EACCES), nil, "DNS 127.0.0.1:53 (tcp) is not permitted for this user"},
		{op("tcp", syscall.EADDRNOTAVAIL), nil, "DNS 127.0.0.1:53 (tcp) is not an address of this host"},
		{errors.New("odd"), nil, "DNS 127.0.0.1:53 (tcp) is odd"},
	} {
		tk := taken{"DNS", "--dns-addr", "tcp", at, c.err}
		if got := tk.describe(micronet.Env{Net: c.net}); got != c.want {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
}

func TestQuoted(t *testing.T) {
	for in, want := range map[string]string{"plain-1.2:3/x@y,z": "plain-1.2:3/x@y,z", "": "''", "a b": "'a b'", "it's": `'it'\''s'`, "[::]:0": "'[::]:0'", "$x": "'$x'"} {
		if got := quoted(in); got != want {
			t.Errorf("quoted(%q) = %s, want %s", in, got, want)
		}
	}
}

// Two daemons on one host, with places of their own, are members of one cluster.
func TestTwoDaemonsOnOneHost(t *testing.T) {
	inBubble(t, 61, func(t *testing.T, b *bubble) {
		a := b.start("a", "")
		second := &simNode{host: a.host, stop: func() {}, done: make(chan struct{})}
		close(second.done)
		b.nodes["second"] = second
		elsewhere := func(c *Config) {
			c.Name, c.DataDir, c.Mesh = "second", "/home/second", netip.MustParseAddrPort("[::]:9085")
			c.Daemon.API, c.Daemon.DNS, c.Daemon.Proxy = netip.AddrPort{}, netip.AddrPort{}, netip.AddrPort{}
			c.Daemon.Socket, c.Daemon.VIPs, c.Daemon.ConfigDir = "/home/second/api.sock", netip.MustParsePrefix("127.96.0.0/12"), ""
		}
		b.start("second", b.invite(a), elsewhere)
		b.await(drainFor, "both see both", b.alive(2, a, second))
		b.serve(second, "echo", "second")
		b.await(drainFor, "the first calls it", b.answers(a, "echo", "second"))
		l := second.backend().listeners()
		if l.API != "off" || l.DNS != "off" || l.Proxy != "off" || l.VIPs != "bound" || l.Mesh != "[::]:9085" {
			t.Errorf("listeners are %+v", l)
		}
		third := &simNode{host: a.host, stop: func() {}, done: make(chan struct{})}
		close(third.done)
		b.nodes["third"] = third
		b.launch("third", "")
		wantError(t, "a third on the folder of the first", b.ended(third, drainFor), micronet.Refused, "another daemon uses /var/lib/micro-net", "--data-dir")
	})
}

// TestRefusalNamesTheSocket: who asks through TCP for more than that may do is told where to ask, at this daemon.
func TestRefusalNamesTheSocket(t *testing.T) {
	inBubble(t, 35, func(t *testing.T, b *bubble) {
		n := b.start("a", "", func(c *Config) { c.Daemon.Socket = "/run/second/api.sock" })
		_, err := api.NewClient(n.host.Env().Net, "http://127.0.0.1:8500").Invite(t.Context(), api.InviteRequest{})
		wantError(t, "invite", err, micronet.Refused, "--api unix:///run/second/api.sock")
	})
}
