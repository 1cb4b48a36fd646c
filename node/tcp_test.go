package node

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/node/api"
	"github.com/micro/micro-net/sim/netsim"
	"github.com/micro/micro-net/tunnel"
)

// TestTCPOfTheMesh: the TCP port of the mesh is taken along where it is free, and must be free where the user chose it.
func TestTCPOfTheMesh(t *testing.T) {
	inBubble(t, 71, func(t *testing.T, b *bubble) {
		a := b.start("a", "")
		if port := a.life().listeners.tcpPort(); port != tunnel.TCPSamePort {
			t.Errorf("TCP port %d", port)
		}
		if at := a.backend().Status().Listeners.TCP; at != "[::]:8085" {
			t.Errorf("status shows TCP at %s", at)
		}
		env := a.host.Env()
		busy, err := env.Net.Listen(t.Context(), netip.MustParseAddrPort("[::]:9085"))
		if err != nil {
			t.Fatal(err)
		}
		defer busy.Close()
		open := func(c Config) (*listeners, error) {
			c.Mesh = netip.MustParseAddrPort("[::]:9085")
			return openListeners(t.Context(), env, &c, nil, nil)
		}
		closed := func(l *listeners) {
			if err := l.close(context.Background()); err != nil {
				t.Error(err)
			}
		}
		l, err := open(Config{})
		if err != nil || l.tcp != nil || l.tcpPort() != 0 || l.noTCP == nil {
			t.Fatalf("with a port that others have: %+v, %v", l, err)
		}
		if l.noTCP.state() != api.PortTaken || l.noTCP.words != "in use" {
			t.Errorf("shown as %s: %s", l.noTCP.state(), l.noTCP.words)
		}
		closed(l)
		if l, err = open(Config{NoTCP: true}); err != nil || l.tcp != nil || l.noTCP != nil {
			t.Fatalf("without TCP: %+v, %v", l, err)
		}
		closed(l)
		if l, err = open(Config{TCP: netip.MustParseAddrPort("[::]:443")}); err != nil || l.tcpPort() != 443 {
			t.Fatalf("with a port of its own: %+v, %v", l, err)
		}
		closed(l)
		same := Config{Daemon: &Daemon{API: netip.MustParseAddrPort("127.0.0.1:9086"), Socket: "/home/x.sock"}, Mesh: netip.MustParseAddrPort("[::]:9086")}
		if l, err = openListeners(t.Context(), env, &same, nil, nil); err != nil || l.api == nil || l.tcp != nil {
			t.Fatalf("with the API at the port of the mesh: %+v, %v", l, err)
		}
		closed(l)
		_, err = open(Config{TCP: netip.MustParseAddrPort("[::]:9085")})
		if err == nil || !strings.Contains(err.Error(), "mesh [::]:9085 (tcp) is in use") || !strings.Contains(err.Error(), "--tcp-addr '[::]:0'") {
			t.Errorf("the error is %v", err)
		}
	})
}

// forbidden is a network on which nobody may listen at the TCP port of the mesh.
type forbidden struct {
	micronet.Network
	err error
}

func (f forbidden) Listen(ctx context.Context, at netip.AddrPort) (net.Listener, error) {
	if at.Port() == 8085 {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Err: os.NewSyscallError("bind", f.err)}
	}
	return f.Network.Listen(ctx, at)
}

// TestWhyNoTCP: status says why there is no TCP port for the mesh, and that others have it only where they do.
func TestWhyNoTCP(t *testing.T) {
	inBubble(t, 73, func(t *testing.T, b *bubble) {
		for _, c := range []struct {
			err           error
			shown, reason string
		}{
			{syscall.EADDRINUSE, api.PortTaken, "in use"},
			{syscall.EACCES, api.PortFailed, "not permitted for this user"},
			{syscall.EPERM, api.PortFailed, "not permitted for this user"},
			{syscall.EADDRNOTAVAIL, api.PortFailed, "not an address of this host"},
			{syscall.EMFILE, api.PortFailed, "too many open files"},
			{nil, "[::]:8085", ""},
		} {
			a := b.start("a", "", func(conf *Config) {
				if c.err != nil {
					conf.Env.Net = forbidden{conf.Env.Net, c.err}
				}
			})
			got := a.backend().Status().Listeners
			if got.TCP != c.shown || !strings.Contains(got.TCPReason, c.reason) || (c.reason == "") != (got.TCPReason == "") {
				t.Errorf("%v: status shows %q, %q; want %q, %q", c.err, got.TCP, got.TCPReason, c.shown, c.reason)
			}
			b.halt(a)
		}
	})
}

// TestUDPIsBlocked: a node whose UDP is blocked goes on over TCP, and everything says so.
func TestUDPIsBlocked(t *testing.T) {
	inBubble(t, 72, func(t *testing.T, b *bubble) {
		a := b.start("a", "")
		c := b.start("c", b.invite(a))
		b.await(drainFor, "both see both", b.alive(2, a, c))
		b.serve(c, "echo", "c")
		b.await(drainFor, "the first calls it", b.answers(a, "echo", "c"))
		b.world.SetFirewall(c.host, netsim.Firewall{BlockUDP: true})
		b.await(drainFor, "a call gets through", b.answers(a, "echo", "c"))
		b.await(drainFor, "routes show TCP", func() error {
			routes, err := a.backend().Routes("")
			if err != nil {
				return err
			}
			for _, r := range routes {
				if r.Node == "c" && r.Transport != micronet.TransportTCP {
					return net.ErrClosed
				}
			}
			return nil
		})
		pong, err := a.backend().Ping(t.Context(), "c")
		if err != nil || pong.Transport != micronet.TransportTCP || pong.Path != micronet.PathDirect {
			t.Errorf("ping: %+v, %v", pong, err)
		}
		trace, err := a.backend().Trace(t.Context(), "c")
		if err != nil || len(trace.Ways) < 2 || trace.Ways[0].Transport != micronet.TransportTCP || trace.Ways[0].State != api.WayInUse {
			t.Errorf("trace: %+v, %v", trace, err)
		}
		var text bytes.Buffer
		if err := a.backend().Metrics(&text); err != nil {
			t.Fatal(err)
		}
		for _, line := range []string{"\nmicronet_trunks_open ", "\n# TYPE micronet_relayed_bytes_total counter\n", `micronet_path_changes_total{reason="silent",to="tcp"} `} {
			if !strings.Contains(text.String(), line) {
				t.Errorf("metrics lack %q", line)
			}
		}
		for _, n := range a.backend().Nodes() {
			if n.Name == "a" && !slices.Contains(n.Roles, api.RoleRelay) {
				t.Errorf("a node in the open is %v", n.Roles)
			}
		}
		for _, x := range a.backend().Connections() {
			if x.Node == "c" && x.Transport != micronet.TransportTCP {
				t.Errorf("connections: %+v", x)
			}
		}
	})
}

// TestJoinWhereUDPIsBlocked: a host that cannot send datagrams, or whose authority cannot, joins over TCP and is a member like
// all others.
func TestJoinWhereUDPIsBlocked(t *testing.T) {
	for name, c := range map[string]struct {
		authority func(*Config)
		blocked   string
	}{
		"of the guest":               {blocked: "n"},
		"of the authority":           {blocked: "a"},
		"and TCP is at another port": {func(c *Config) { c.TCP = netip.MustParseAddrPort("[::]:443") }, "n"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 73, func(t *testing.T, b *bubble) {
				if c.authority == nil {
					c.authority = func(*Config) {}
				}
				a := b.start("a", "", c.authority)
				token := b.invite(a)
				b.world.SetFirewall(b.prepare(c.blocked).host, netsim.Firewall{BlockUDP: true})
				begin := time.Now()
				n := b.start("n", token)
				if took := time.Since(begin); took > 5*time.Second {
					t.Errorf("it is ready after %v", took)
				}
				b.await(drainFor, "both see both", b.alive(2, a, n))
				b.serve(n, "echo", "n")
				b.await(drainFor, "the founder calls it", b.answers(a, "echo", "n"))
				other := b.launch("other", token)
				wantError(t, "the token again", b.ended(other, time.Minute), micronet.Refused, "used")
			})
		})
	}
}

// TestJoinTellsWhatToOpen: who gets through neither way hears what each met, and what to open.
func TestJoinTellsWhatToOpen(t *testing.T) {
	inBubble(t, 75, func(t *testing.T, b *bubble) {
		a := b.start("a", "")
		other := b.start("other", "", func(c *Config) { c.TCP = netip.MustParseAddrPort("[::]:443") })
		token, elsewhere := b.invite(a), b.invite(other)
		b.world.SetFirewall(a.host, netsim.Firewall{BlockUDP: true, BlockTCP: true})
		b.world.SetFirewall(other.host, netsim.Firewall{BlockUDP: true, BlockTCP: true})
		for name, c := range map[string]struct {
			token string
			set   func(*Config)
			want  []string
		}{
			"both":       {token, func(*Config) {}, []string{"10.0.0.1:8085: over UDP: no answer to the handshake, over TCP 8085: no answer", "open UDP or TCP port 8085 towards"}},
			"other-port": {elsewhere, func(*Config) {}, []string{"over TCP 8085: no answer, over TCP 443: no answer", "open UDP port 8085 or TCP port 443 towards"}},
			"no-tcp":     {token, func(c *Config) { c.NoTCP = true }, []string{"10.0.0.1:8085: no answer to the handshake", "open UDP port 8085 towards"}},
		} {
			n := b.launch(name, c.token, c.set)
			wantError(t, name, b.ended(n, time.Minute), micronet.Unreachable, c.want...)
		}
	})
}

// TestH4_StrangersAtTheTCPPort: who stalls, talks nonsense or wants to join where nobody can is hung up on, a member that offers
// to join gets no trunk, and others join meanwhile.
func TestH4_StrangersAtTheTCPPort(t *testing.T) {
	inBubble(t, 76, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "member")
		a, member := all[0], all[1]
		x := b.host("stranger")
		connect := func(to *simNode) net.Conn {
			c, err := x.Dial(t.Context(), netip.Addr{}, netip.AddrPortFrom(to.host.Addr(), 8085))
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		// ends waits for the other side to hang up.
		ends := func(c net.Conn) time.Duration {
			begin := time.Now()
			_, _ = io.Copy(io.Discard, c)
			_ = c.Close()
			return time.Since(begin)
		}
		var held []net.Conn
		for range 20 {
			held = append(held, connect(a))
		}
		b.world.SetFirewall(b.prepare("n").host, netsim.Firewall{BlockUDP: true})
		b.start("n", b.invite(a))
		for _, c := range held {
			if took := ends(c); took > 6*time.Second {
				t.Errorf("who says nothing is there for %v", took)
			}
		}
		junk := connect(a)
		_, _ = io.WriteString(junk, "GET / HTTP/1.0\r\n\r\n")
		if took := ends(junk); took > time.Second {
			t.Errorf("who speaks no TLS is there for %v", took)
		}
		conf := member.life().gate.client(identity.ALPNTrunk, a.life().self)
		conf.NextProtos, conf.VerifyConnection = []string{identity.ALPNTrunk, identity.ALPNJoin}, nil
		guest := tls.Client(connect(a), conf)
		if _, err := guest.Write(append([]byte{0, 200}, make([]byte, 200)...)); err != nil {
			t.Fatal(err)
		}
		if took := ends(guest); took > 11*time.Second || guest.ConnectionState().NegotiatedProtocol != identity.ALPNJoin {
			t.Errorf("a member that offers to join is there for %v, as %q", took, guest.ConnectionState().NegotiatedProtocol)
		}
		conf = &tls.Config{InsecureSkipVerify: true, NextProtos: []string{identity.ALPNJoin}}
		if err := tls.Client(connect(member), conf).HandshakeContext(t.Context()); err == nil || !strings.Contains(err.Error(), "no application protocol") {
			t.Errorf("at a node that is no authority: %v", err)
		}
		b.await(drainFor, "one trunk is open", func() error {
			if got := a.life().under.Counters()["trunks_open"]; got != 1 {
				return fmt.Errorf("%d are, and that of the node which joined is all there may be", got)
			}
			return nil
		})
	})
}
