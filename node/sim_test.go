package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/config"
	"github.com/micro/micro-net/node/api"
	"github.com/micro/micro-net/sim/netsim"
)

// bubble is a world with real nodes in virtual time.
type bubble struct {
	t     *testing.T
	world *netsim.World
	wg    sync.WaitGroup
	nodes map[string]*simNode
	open  []net.Listener
	hosts int
}

type simNode struct {
	host *netsim.Host
	node *Node
	stop context.CancelFunc
	done chan struct{}
	err  error
}

// inBubble runs a test in a synctest bubble: it fails when a goroutine is left over.
func inBubble(t *testing.T, seed uint64, f func(b *bubble)) {
	synctest.Test(t, func(t *testing.T) {
		w := netsim.New(seed, netsim.Options{})
		w.SetDefaultLink(netsim.Link{Latency: 10 * time.Millisecond, Jitter: 2 * time.Millisecond})
		ctx, cancel := context.WithCancel(t.Context())
		b := &bubble{t: t, world: w, nodes: map[string]*simNode{}}
		b.wg.Go(func() { _ = w.Run(ctx) })
		defer b.end(cancel)
		f(b)
	})
}

// end stops everything, also after a failure: what is left running fails the bubble.
func (b *bubble) end(cancel context.CancelFunc) {
	for _, n := range b.nodes {
		n.stop()
	}
	for _, n := range b.nodes {
		<-n.done
	}
	for _, ln := range b.open {
		_ = ln.Close()
	}
	// What memberlist leaves behind ends by its own timers.
	time.Sleep(time.Minute)
	cancel()
	b.wg.Wait()
}

func (b *bubble) host(name string) *netsim.Host {
	b.hosts++
	return b.world.Host(name, netip.MustParsePrefix(fmt.Sprintf("10.0.0.%d/24", b.hosts)))
}

// start runs a daemon on a host; a token joins.
func (b *bubble) start(name, token string) *simNode {
	b.t.Helper()
	n := b.nodes[name]
	if n == nil {
		n = &simNode{host: b.host(name)}
		b.nodes[name] = n
	}
	c := Config{
		Env: n.host.Env(), Cluster: "sim", Join: token, DataDir: "/var/lib/micro-net", Version: "test",
		Mesh: netip.MustParseAddrPort("[::]:8085"),
		Daemon: &Daemon{
			API: netip.MustParseAddrPort("127.0.0.1:8500"), Socket: "/run/micro-net/api.sock", DNS: netip.MustParseAddrPort("127.0.0.1:8600"),
			Proxy: netip.MustParseAddrPort("127.0.0.1:8081"), VIPs: netip.MustParsePrefix("127.80.0.0/12"), Capture: CaptureOff,
			Domains: []string{defaultDomain}, APIWrite: api.WriteServices, ConfigDir: "/etc/micro-net",
		},
	}
	var err error
	if n.node, err = build(c); err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	n.stop, n.done = cancel, make(chan struct{})
	go func() {
		n.err = n.node.Run(ctx)
		close(n.done)
	}()
	b.await(30*time.Second, name+" is ready", func() error {
		ctx, cancel := context.WithTimeout(b.t.Context(), time.Millisecond)
		defer cancel()
		select {
		case <-n.done:
			b.t.Fatalf("%s ended: %v", name, n.err)
		default:
		}
		return n.node.Ready(ctx)
	})
	return n
}

func (n *simNode) backend() backend { return backend{n.node.current.Load()} }

// await polls in virtual time.
func (b *bubble) await(limit time.Duration, what string, ok func() error) {
	b.t.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := ok()
		if err == nil {
			return
		}
		if !time.Now().Before(deadline) {
			b.t.Fatalf("%s: not within %v: %v", what, limit, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// serve runs an HTTP-less echo server on a host and registers it.
func (b *bubble) serve(n *simNode, service, says string) net.Listener {
	b.t.Helper()
	ln, err := n.host.Listen(b.t.Context(), netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		b.t.Fatal(err)
	}
	b.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			b.wg.Go(func() {
				defer c.Close()
				all, _ := io.ReadAll(c)
				_, _ = io.WriteString(c, says+":"+string(all))
			})
		}
	})
	b.open = append(b.open, ln)
	s, err := config.Complete(config.Service{Name: service, Port: int(addrPortOf(ln.Addr()).Port()), ServicePort: 7000})
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := n.backend().Register(0, []config.Service{s}); err != nil {
		b.t.Fatal(err)
	}
	return ln
}

// call resolves a name at a node's DNS and talks to the VIP, as a program would.
func (b *bubble) call(n *simNode, service, what string) (string, error) {
	ctx, cancel := context.WithTimeout(b.t.Context(), 5*time.Second)
	defer cancel()
	vip, err := b.lookup(ctx, n, service)
	if err != nil {
		return "", err
	}
	c, err := n.host.Dial(ctx, netip.Addr{}, netip.AddrPortFrom(vip, 7000))
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(c, what); err != nil {
		return "", err
	}
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		return "", err
	}
	out, err := io.ReadAll(c)
	return string(out), err
}

// lookup asks a node's DNS server for an address, in packets: net.Resolver keeps channels of the
// first bubble it was used in.
func (b *bubble) lookup(ctx context.Context, n *simNode, service string) (netip.Addr, error) {
	c, err := n.host.DialPacket(ctx, netip.MustParseAddrPort("127.0.0.1:8600"))
	if err != nil {
		return netip.Addr{}, err
	}
	defer c.Close()
	q := []byte{0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}
	for _, label := range []string{service, "micro", "internal"} {
		q = append(append(q, byte(len(label))), label...)
	}
	if _, err := c.Write(append(q, 0, 0, 1, 0, 1)); err != nil {
		return netip.Addr{}, err
	}
	if err := c.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		return netip.Addr{}, err
	}
	reply := make([]byte, 1500)
	k, err := c.Read(reply)
	if err != nil {
		return netip.Addr{}, err
	}
	// One answer and nothing behind it: its last four bytes are the address.
	if k < 16 || reply[7] != 1 || reply[9] != 0 || reply[11] != 0 {
		return netip.Addr{}, fmt.Errorf("no answer for %s: rcode %d", service, reply[3]&15)
	}
	return netip.AddrFrom4([4]byte(reply[k-4 : k])), nil
}

func (b *bubble) invite(n *simNode) string {
	b.t.Helper()
	inv, err := n.backend().Invite(api.InviteRequest{})
	if err != nil {
		b.t.Fatal(err)
	}
	return inv.Token
}

// statuses of one node as all others see it.
func (b *bubble) seen(name string, want micronet.NodeStatus, by ...string) func() error {
	return func() error {
		for _, observer := range by {
			got := micronet.NodeStatus("unknown")
			for _, n := range b.nodes[observer].backend().Nodes() {
				if n.Name == name {
					got = n.Status
				}
			}
			if got != want {
				return fmt.Errorf("%s sees %s as %q, want %q", observer, name, got, want)
			}
		}
		return nil
	}
}

func TestThreeNodesInVirtualTime(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		a := b.start("a", "")
		b.start("b", b.invite(a))
		c := b.start("c", b.invite(a))
		b.await(5*time.Second, "all see all", func() error {
			for _, n := range []string{"a", "b", "c"} {
				if got := b.nodes[n].backend().Status().Nodes.Alive; got != 3 {
					return fmt.Errorf("%s sees %d", n, got)
				}
			}
			return nil
		})
		b.serve(b.nodes["b"], "echo", "b")
		b.await(5*time.Second, "c calls echo", func() error {
			got, err := b.call(c, "echo", "hello")
			if err == nil && got != "b:hello" {
				err = fmt.Errorf("got %q", got)
			}
			return err
		})
	})
}

func TestDeathAndReturn(t *testing.T) {
	inBubble(t, 2, func(b *bubble) {
		a := b.start("a", "")
		n := b.start("b", b.invite(a))
		b.start("c", b.invite(a))
		b.serve(n, "echo", "b")
		b.await(5*time.Second, "echo is known at c", func() error { _, err := b.call(b.nodes["c"], "echo", "x"); return err })

		n.host.Crash()
		n.stop()
		<-n.done
		b.await(12*time.Second, "b is dead everywhere", b.seen("b", micronet.Dead, "a", "c"))
		if s, err := b.nodes["c"].backend().Services("echo"); err == nil {
			b.t.Errorf("the instance of a dead node is still there: %+v", s)
		}
		n.host.Restart()
		b.start("b", "")
		b.await(10*time.Second, "b is back", b.seen("b", micronet.Alive, "a", "c"))
	})
}

func TestPoliteStopIsLeftAtOnce(t *testing.T) {
	inBubble(t, 3, func(b *bubble) {
		a := b.start("a", "")
		n := b.start("b", b.invite(a))
		b.start("c", b.invite(a))
		b.await(5*time.Second, "all alive", b.seen("b", micronet.Alive, "a", "c"))
		n.stop()
		<-n.done
		if n.err != nil {
			b.t.Fatalf("b ended with %v", n.err)
		}
		b.await(time.Second, "b has left", b.seen("b", micronet.Left, "a", "c"))
		b.start("b", "")
		b.await(10*time.Second, "b is back without a token", b.seen("b", micronet.Alive, "a", "c"))
	})
}

func TestTokens(t *testing.T) {
	inBubble(t, 4, func(b *bubble) {
		a := b.start("a", "")
		token := b.invite(a)
		b.start("b", token)
		for name, bad := range map[string]struct {
			token string
			want  micronet.Kind
		}{
			"used":  {token, micronet.Refused},
			"short": {token[:len(token)-3], micronet.Invalid},
		} {
			n, err := build(Config{Env: b.host("x" + name).Env(), Cluster: "main", Join: bad.token, Mesh: anyPort()})
			if err != nil {
				b.t.Fatal(err)
			}
			err = n.Run(b.t.Context())
			if micronet.KindOf(err) != bad.want {
				b.t.Errorf("%s token: %v, want kind %v", name, err, bad.want)
			}
		}
	})
}

func TestEmbedded(t *testing.T) {
	inBubble(t, 5, func(b *bubble) {
		a := b.start("a", "")
		inv, err := a.backend().Invite(api.InviteRequest{Uses: 2})
		if err != nil {
			b.t.Fatal(err)
		}
		var nodes []*Node
		var wg sync.WaitGroup
		ctx, cancel := context.WithCancel(b.t.Context())
		for i := range 2 {
			h := b.world.Host(fmt.Sprintf("e%d", i), netip.MustParsePrefix(fmt.Sprintf("10.0.1.%d/24", i+1)))
			n, err := New(WithEnv(h.Env()), WithJoin(inv.Token), WithName(fmt.Sprintf("worker-%d", i)))
			if err != nil {
				b.t.Fatal(err)
			}
			nodes = append(nodes, n)
			wg.Go(func() {
				if err := n.Run(ctx); err != nil {
					b.t.Errorf("worker: %v", err)
				}
			})
		}
		ln, err := nodes[0].Listen(b.t.Context(), "greeter")
		if err != nil {
			b.t.Fatal(err)
		}
		wg.Go(func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				_, _ = io.WriteString(c, "hi")
				_ = c.Close()
			}
		})
		b.await(5*time.Second, "the other program dials", func() error {
			c, err := nodes[1].Dial(b.t.Context(), "greeter")
			if err != nil {
				return err
			}
			defer c.Close()
			got, err := io.ReadAll(c)
			if string(got) != "hi" {
				return errors.Join(err, fmt.Errorf("got %q", got))
			}
			return nil
		})
		if err := ln.Close(); err != nil {
			b.t.Fatal(err)
		}
		cancel()
		wg.Wait()
	})
}
