package node

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
)

// Whoever waits for a node that failed hears why it did.
func TestWhyTheNodeHasStopped(t *testing.T) {
	inBubble(t, 339, func(t *testing.T, b *bubble) {
		a := b.start("a", "")
		token := b.invite(a)
		b.crash(a)
		n := b.program("p", WithJoin(token))
		err := b.ended(n, time.Minute)
		wantError(t, "run", err, micronet.Unreachable, "no address of the token answered")
		ctx := context.Background()
		_, dialErr := n.node.Dial(ctx, "x")
		_, listenErr := n.node.Listen(ctx, "x")
		for what, got := range map[string]error{"ready": n.node.Ready(ctx), "dial": dialErr, "listen": listenErr} {
			wantError(t, what, got, micronet.Closed, "the node has stopped", "no address of the token answered")
			if !errors.Is(got, err) {
				t.Errorf("%s: %v does not wrap what Run returned", what, got)
			}
		}
		polite := b.program("q")
		if err := polite.node.Ready(ctx); err != nil {
			t.Fatal(err)
		}
		b.halt(polite)
		wantError(t, "after a polite end", polite.node.Ready(ctx), micronet.Closed, "the node has stopped")
	})
}

// The log says when stopping begins, what is waited for, and when it is over.
func TestStoppingIsLogged(t *testing.T) {
	inBubble(t, 340, func(t *testing.T, b *bubble) {
		logs := &recorder{}
		a := b.start("a", "")
		n := b.start("b", b.invite(a), func(c *Config) { c.Env.Log = logs.logger() })
		b.await(10*time.Second, "both see both", b.alive(2, a, n))
		if logs.count("msg=stopping") != 0 {
			t.Error("it says that it stops while it runs")
		}
		b.halt(n)
		if logs.count(`msg=stopping connections=0 wait=5s nodes=1`) != 1 || logs.count("msg=stopped dur=") != 1 {
			t.Errorf("the log says %q", logs.lines)
		}
	})
}

// A node that is seen for the first time was nothing before, also when it was remembered or named by
// others first.
func TestFirstSightOfANode(t *testing.T) {
	inBubble(t, 341, func(t *testing.T, b *bubble) {
		changes := &changeLog{}
		a := b.start("a", "", changes.watch)
		other := b.start("b", b.invite(a), changes.watch)
		b.await(10*time.Second, "both see both", b.alive(2, a, other))
		b.halt(other)
		other = b.start("b", "", changes.watch)
		b.await(10*time.Second, "both see both again", b.alive(2, a, other))
		b.crash(other)
		b.await(time.Minute, "b is dead", b.seen("b", micronet.Dead, "a"))
		for _, c := range []struct {
			of   string
			want []string
		}{
			{"a", []string{">alive", ">alive"}}, // as b saw it in its two lives
			{"b", []string{">alive", "alive>left", "left>alive", "alive>suspect", "suspect>dead"}},
		} {
			if got := changes.of(c.of); !slices.Equal(got, c.want) {
				t.Errorf("%s was told to be %q, want %q", c.of, got, c.want)
			}
		}
	})
}

// changeLog notes what is said of nodes.
type changeLog struct {
	mu  sync.Mutex
	all map[string][]string
}

func (l *changeLog) watch(c *Config) {
	c.Env.Events = &micronet.Events{NodeChanged: func(n micronet.NodeChange) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.all == nil {
			l.all = map[string][]string{}
		}
		l.all[n.Name] = append(l.all[n.Name], string(n.From)+">"+string(n.To))
	}}
}

func (l *changeLog) of(name string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all[name]
}

// The warning about a port at a VIP names the proxy of this very daemon.
func TestVIPWarningNamesTheProxy(t *testing.T) {
	inBubble(t, 342, func(t *testing.T, b *bubble) {
		taken := func(n *simNode) {
			b.listen(n.host, "0.0.0.0:7000")
			b.serve(n, "echo", n.host.Name())
			_, _ = b.lookup(context.Background(), n, "echo")
		}
		a := b.start("a", "", func(c *Config) { c.Daemon.Proxy = netip.MustParseAddrPort("127.0.0.1:9081") })
		taken(a)
		none := b.start("none", "", func(c *Config) { c.Daemon.Proxy = netip.AddrPort{} })
		taken(none)
		fix := func(n *simNode) string {
			for _, w := range n.backend().Status().Warnings {
				if w.Code == "vip-port" {
					return w.Fix
				}
			}
			return ""
		}
		contains(t, "a", fix(a), "forward echo`, use the proxy on 127.0.0.1:9081, or start")
		contains(t, "without a proxy", fix(none), "forward echo`, or start")
	})
}
