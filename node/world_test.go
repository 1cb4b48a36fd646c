package node

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/config"
	"github.com/micro/micro-net/node/api"
	"github.com/micro/micro-net/sim/netsim"
)

// testDir is the data folder of daemons in tests.
const testDir = "/var/lib/micro-net"

// bubble is a world with real nodes in virtual time.
type bubble struct {
	t     *testing.T
	world *netsim.World
	wg    sync.WaitGroup
	nodes map[string]*simNode
	open  []net.Listener
	boxes []func() // end routers
	hosts int
}

// simNode is a daemon on a host of its own. A stopped one can be started again.
type simNode struct {
	host *netsim.Host
	node *Node
	stop context.CancelFunc
	done chan struct{}
	err  error
}

// inBubble runs a test in a synctest bubble: it fails when a goroutine is left over.
func inBubble(t *testing.T, seed uint64, f func(t *testing.T, b *bubble)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := netsim.New(seed, netsim.Options{})
		w.SetDefaultLink(netsim.Link{Latency: 10 * time.Millisecond, Jitter: 2 * time.Millisecond})
		ctx, cancel := context.WithCancel(context.Background())
		b := &bubble{t: t, world: w, nodes: map[string]*simNode{}}
		b.wg.Go(func() { _ = w.Run(ctx) })
		defer b.end(cancel)
		f(t, b)
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
	for _, stop := range b.boxes {
		stop()
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

// daemon is a daemon's configuration with everything on that needs no privilege.
func daemon(env micronet.Env, token string) Config {
	return Config{
		Env: env, Cluster: "sim", Join: token, DataDir: testDir, ExpiredGrace: defaultGrace, Version: "test", Mesh: netip.MustParseAddrPort("[::]:8085"),
		Daemon: &Daemon{
			API: netip.MustParseAddrPort("127.0.0.1:8500"), Socket: "/run/micro-net/api.sock", DNS: netip.MustParseAddrPort("127.0.0.1:8600"),
			Proxy: netip.MustParseAddrPort("127.0.0.1:8081"), VIPs: netip.MustParsePrefix("127.80.0.0/12"), Capture: CaptureOff,
			Domains: []string{defaultDomain}, APIWrite: api.WriteServices, ConfigDir: "/etc/micro-net",
		},
	}
}

// prepare makes the host of a daemon that does not run yet, unless it is there.
func (b *bubble) prepare(name string) *simNode {
	n := b.nodes[name]
	if n == nil {
		n = &simNode{host: b.host(name), stop: func() {}, done: make(chan struct{})}
		close(n.done)
		b.nodes[name] = n
	}
	return n
}

// launch runs a daemon and does not wait for it; a token joins.
func (b *bubble) launch(name, token string, change ...func(*Config)) *simNode {
	b.t.Helper()
	n := b.prepare(name)
	c := daemon(n.host.Env(), token)
	for _, f := range change {
		f(&c)
	}
	var err error
	if n.node, err = build(c); err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	n.stop, n.done, n.err = cancel, done, nil
	go func() {
		n.err = n.node.Run(ctx)
		close(done)
	}()
	return n
}

// start runs a daemon until it is ready.
func (b *bubble) start(name, token string, change ...func(*Config)) *simNode {
	b.t.Helper()
	n := b.launch(name, token, change...)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := n.node.Ready(ctx); err != nil {
		b.t.Fatalf("%s is not ready: %v, %v", name, err, n.err)
	}
	return n
}

// ended waits for a daemon and returns what Run returned and how long that took.
func (b *bubble) ended(n *simNode, limit time.Duration) error {
	b.t.Helper()
	begin := time.Now()
	select {
	case <-n.done:
		return n.err
	case <-time.After(limit):
		b.t.Fatalf("the node has not ended after %v", time.Since(begin))
		return nil
	}
}

// halt stops a daemon politely.
func (b *bubble) halt(n *simNode) {
	b.t.Helper()
	n.stop()
	if err := b.ended(n, 30*time.Second); err != nil {
		b.t.Errorf("the node ended with %v", err)
	}
}

// crash cuts a host off and lets its daemon end unheard.
func (b *bubble) crash(n *simNode) {
	n.host.Crash()
	n.stop()
	<-n.done
}

// mesh starts one daemon per name, the first founds the cluster, and waits until all see all.
func (b *bubble) mesh(names ...string) []*simNode {
	b.t.Helper()
	all := []*simNode{b.start(names[0], "")}
	for _, name := range names[1:] {
		all = append(all, b.start(name, b.invite(all[0])))
	}
	b.await(15*time.Second, "all see all", b.alive(len(names), all...))
	return all
}

// alive checks how many nodes some nodes see alive.
func (b *bubble) alive(want int, by ...*simNode) func() error {
	return func() error {
		for _, n := range by {
			if got := n.backend().Status().Nodes; got.Alive != want {
				return fmt.Errorf("%s sees %+v, want %d alive", n.host.Name(), got, want)
			}
		}
		return nil
	}
}

func (n *simNode) life() *life      { return n.node.current.Load() }
func (n *simNode) backend() backend { return backend{n.life()} }

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

// listen opens a listener of a program, which the end of the bubble closes.
func (b *bubble) listen(h *netsim.Host, addr string) net.Listener {
	b.t.Helper()
	ln, err := h.Listen(context.Background(), netip.MustParseAddrPort(addr))
	if err != nil {
		b.t.Fatal(err)
	}
	b.open = append(b.open, ln)
	return ln
}

// accept serves the connections of a listener.
func (b *bubble) accept(ln net.Listener, serve func(net.Conn)) {
	b.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			b.wg.Go(func() {
				defer c.Close()
				serve(c)
			})
		}
	})
}

// echo answers everything a caller sent, once it is complete, with a word in front.
func echo(says string) func(net.Conn) {
	return func(c net.Conn) {
		if all, err := io.ReadAll(c); err == nil {
			_, _ = io.WriteString(c, says+":"+string(all))
		}
	}
}

// serve runs an echo server on a host and registers it.
func (b *bubble) serve(n *simNode, service, says string) net.Listener {
	b.t.Helper()
	ln := b.listen(n.host, "127.0.0.1:0")
	b.accept(ln, echo(says))
	b.register(n, service, ln)
	return ln
}

// register offers what listens under the port 7000 of a service.
func (b *bubble) register(n *simNode, service string, ln net.Listener) {
	b.t.Helper()
	s := complete(b.t, config.Service{Name: service, Port: int(micronet.AddrPortOf(ln.Addr()).Port()), ServicePort: 7000})
	if _, err := n.backend().Register(0, []config.Service{s}); err != nil {
		b.t.Fatal(err)
	}
}

func complete(t testing.TB, s config.Service) config.Service {
	t.Helper()
	out, err := config.Complete(s)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// call resolves a name at a node's DNS and talks to the VIP, as a program would.
func (b *bubble) call(n *simNode, service, what string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	vip, err := b.lookup(ctx, n, service)
	if err != nil {
		return "", err
	}
	return b.talk(ctx, n.host, netip.AddrPortFrom(vip, 7000), what)
}

// talk sends to an address, and returns the answer.
func (b *bubble) talk(ctx context.Context, h *netsim.Host, to netip.AddrPort, what string) (string, error) {
	c, err := h.Dial(ctx, netip.Addr{}, to)
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

// answers checks that a call from a node gets an answer from an instance with that word.
func (b *bubble) answers(n *simNode, service, says string) func() error {
	return func() error {
		got, err := b.call(n, service, "x")
		if err == nil && got != says+":x" {
			err = fmt.Errorf("got %q", got)
		}
		return err
	}
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

func (b *bubble) invite(n *simNode) string { return b.inviteWith(n, api.InviteRequest{}) }

func (b *bubble) inviteWith(n *simNode, r api.InviteRequest) string {
	b.t.Helper()
	inv, err := n.backend().Invite(r)
	if err != nil {
		b.t.Fatal(err)
	}
	return inv.Token
}

// seen checks the status of one node as others see it.
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

// program runs a node inside a program on a host of its own until the bubble's end.
func (b *bubble) program(name string, opts ...Option) *simNode {
	b.t.Helper()
	n := &simNode{host: b.host(name), done: make(chan struct{})}
	var err error
	if n.node, err = New(append([]Option{WithEnv(n.host.Env())}, opts...)...); err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	n.stop = cancel
	b.nodes[name] = n
	go func() {
		n.err = n.node.Run(ctx)
		close(n.done)
	}()
	return n
}

// wantError checks kind and words of an error, and that it is one line.
func wantError(t testing.TB, what string, err error, kind micronet.Kind, words ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error, want %v", what, kind)
		return
	}
	if got := micronet.KindOf(err); got != kind {
		t.Errorf("%s: %v is of kind %v, want %v", what, err, got, kind)
	}
	contains(t, what, err.Error(), words...)
}

// recorder keeps what a node logs.
type recorder struct {
	mu    sync.Mutex
	lines []string
}

func (r *recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, string(p))
	return len(p), nil
}

func (r *recorder) logger() *slog.Logger { return slog.New(slog.NewTextHandler(r, nil)) }

// count tells how many lines contain a word.
func (r *recorder) count(word string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.lines {
		if strings.Contains(l, word) {
			n++
		}
	}
	return n
}

// contains checks that words stand in a text, in that order.
func contains(t testing.TB, what, text string, words ...string) {
	t.Helper()
	rest := text
	for _, w := range words {
		_, after, ok := strings.Cut(rest, w)
		if !ok {
			t.Errorf("%s: %q lacks %q", what, text, w)
			return
		}
		rest = after
	}
}
