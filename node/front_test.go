package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/sim/netsim"
	"github.com/micro/micro-net/tunnel"
)

func TestHostResolvers(t *testing.T) {
	const stub, real = "nameserver 127.0.0.53\noptions edns0\n", "nameserver 10.0.0.53\nnameserver 10.0.0.54\n"
	for _, c := range []struct {
		name, resolv, resolved string
		upstreams              []string
		want                   string
	}{
		{"none", "", "", nil, "[]"},
		{"the host's", real, "", nil, "[10.0.0.53:53 10.0.0.54:53]"},
		{"behind systemd-resolved", stub, real, nil, "[10.0.0.53:53 10.0.0.54:53]"},
		{"a local resolver of another kind", stub, "", nil, "[127.0.0.53:53]"},
		{"ourselves", "nameserver 127.0.0.1\n", "", nil, "[]"},
		{"configured", real, "", []string{"192.0.2.1:53", "127.0.0.1:53"}, "[192.0.2.1:53]"},
	} {
		h := netsim.New(1, netsim.Options{}).Host("h")
		for path, text := range map[string]string{resolvConf: c.resolv, resolvedConf: c.resolved} {
			if text == "" {
				continue
			}
			if err := h.FS().MkdirAll(parent(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := micronet.WriteFile(h.FS(), path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		d := &Daemon{DNS: netip.MustParseAddrPort("127.0.0.1:53")}
		for _, u := range c.upstreams {
			d.Upstreams = append(d.Upstreams, netip.MustParseAddrPort(u))
		}
		f := newFront(&life{env: h.Env(), config: &Config{Daemon: d}})
		if got := f.resolvers(); len(got) != 0 {
			t.Errorf("%s: before the first look %v", c.name, got)
		}
		f.readResolvers(h.Env(), d)
		if got := f.resolvers(); fmt.Sprint(got) != c.want {
			t.Errorf("%s: %v, want %s", c.name, got, c.want)
		}
	}
}

// With the right to redirect, no VIP port is bound and every service port leads to the service, also
// where a program listens on all addresses.
func TestCapture(t *testing.T) {
	inBubble(t, 110, func(t *testing.T, b *bubble) {
		capture := func(c *Config) { c.Daemon.Capture = CaptureOn }
		a := b.start("a", "", capture)
		other := b.start("b", b.invite(a), capture)
		b.listen(other.host, "0.0.0.0:7000")
		b.serve(a, "echo", "a")
		b.await(5*time.Second, "b calls echo", b.answers(other, "echo", "a"))
		if got := other.backend().listeners().VIPs; got != "capture" {
			t.Errorf("VIPs are %q", got)
		}
		vip, err := b.lookup(context.Background(), other, "echo")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if got, err := b.talk(ctx, other.host, netip.AddrPortFrom(vip, 7001), "x"); err == nil {
			t.Errorf("a port that the service has not answers %q", got)
		}
		b.halt(other)
		b.start("b", "", capture) // the redirect has gone with its daemon

		user := b.prepare("user")
		user.host.SetCredentials(micronet.Credentials{UID: 1000, GID: 1000, PID: 7})
		b.launch("user", "", capture)
		wantError(t, "as an ordinary user", b.ended(user, time.Minute), micronet.Refused, "CAP_NET_ADMIN", "--capture off")
		b.start("user", "", func(c *Config) { c.Daemon.Capture = CaptureAuto })
		if got := user.backend().listeners().VIPs; got != "bound" {
			t.Errorf("VIPs of an ordinary user are %q", got)
		}
	})
}

// TestH23_ControlStreams: requests that a peer may not make are refused with a reason, in time, and counted
// against it.
func TestH23_ControlStreams(t *testing.T) {
	inBubble(t, 111, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c")
		ctx := context.Background()
		l := all[1].life()
		wantError(t, "an unknown verb", l.ask(ctx, all[0].node.ID(), controlRequest{Verb: "dance"}, nil), micronet.Invalid, "dance")
		wantError(t, "a node that is no authority", l.ask(ctx, all[2].node.ID(), controlRequest{Verb: verbRelease}, nil), micronet.Refused, "no authority")
		s, err := l.tun.Open(ctx, all[0].node.ID(), tunnel.Opening{Purpose: tunnel.PurposeControl})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(s, "no JSON")
		_ = s.CloseWrite()
		wantError(t, "garbage", s.Answered(ctx), micronet.Invalid, "no JSON object")
		s.Abort()
		odd, err := l.tun.Open(ctx, all[0].node.ID(), tunnel.Opening{Purpose: 99})
		if err != nil {
			t.Fatal(err)
		}
		wantError(t, "a purpose of the future", odd.Answered(ctx), micronet.Invalid, "does not know")
		odd.Abort()
		silent, err := l.tun.Open(ctx, all[0].node.ID(), tunnel.Opening{Purpose: tunnel.PurposeControl})
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if err := silent.Answered(ctx); err == nil || time.Since(begin) > controlTime+time.Second {
			t.Errorf("who says nothing is answered %v after %v", err, time.Since(begin))
		}
		silent.Abort()
		got := counted(t, all[0].node.metrics)
		for _, rule := range []string{`where="control",why="unknown-verb"`, `where="control",why="malformed"`, `where="node",why="unknown-purpose"`} {
			if name := `micronet_peer_packets_dropped_total{node="b",` + rule + "}"; got[name] == 0 {
				t.Errorf("%s is 0", name)
			}
		}
		if name := `micronet_peer_packets_dropped_total{node="b",where="control",why="no-authority"}`; counted(t, all[2].node.metrics)[name] != 1 {
			t.Errorf("%s is not 1", name)
		}
		b.halt(all[2])
		if err := l.ask(ctx, all[2].node.ID(), controlRequest{Verb: verbRelease}, nil); err == nil {
			t.Error("one that is gone has answered")
		}
	})
}

// A guest that comes again and again does not fill the log.
func TestH34_GuestsDoNotFloodTheLog(t *testing.T) {
	inBubble(t, 112, func(t *testing.T, b *bubble) {
		log := &recorder{}
		a := b.start("a", "", func(c *Config) { c.Env.Log = log.logger() })
		used := b.invite(a)
		b.start("b", used)
		for i := range 5 {
			n := b.launch(fmt.Sprintf("x%d", i), used)
			_ = b.ended(n, time.Minute)
		}
		if got := log.count("was not admitted"); got < 1 || got > 2 {
			t.Errorf("five refusals within a second were told %d times", got)
		}
	})
}

// The API is asked all the time, while the node moves and while it ends.
func TestAPIAtTheEndOfALife(t *testing.T) {
	inBubble(t, 113, func(t *testing.T, b *bubble) {
		a := b.start("a", "")
		n := b.start("n", "", func(c *Config) { c.Cluster = "other" })
		b.serve(n, "echo", "n")
		ctx, cancel := context.WithCancel(context.Background())
		var asking sync.WaitGroup
		for i := range 3 {
			asking.Go(func() {
				for ctx.Err() == nil {
					if l := n.node.current.Load(); l != nil {
						askEverything(ctx, backend{l}, i)
					}
					time.Sleep(time.Duration(i+1) * time.Millisecond)
				}
			})
		}
		time.Sleep(500 * time.Millisecond)
		last := n.backend()
		if err := last.Join(ctx, b.invite(a)); err != nil {
			t.Fatal(err)
		}
		b.await(20*time.Second, "it is a member of the other cluster", func() error {
			if n.life() == nil {
				return fmt.Errorf("between two lives")
			}
			return b.alive(2, n, a)()
		})
		askEverything(ctx, last, 0) // of a life that is over
		b.halt(n)
		askEverything(ctx, last, 1)
		cancel()
		asking.Wait()
	})
}

func askEverything(ctx context.Context, b backend, i int) {
	_, _ = b.Status(), b.Nodes()
	_, _ = b.Services("")
	_, _ = b.Routes("")
	_, _ = b.Connections(), b.Graph()
	_, _, _ = b.Settings(), b.Healthy(), b.Ready()
	_ = b.Metrics(io.Discard)
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	_, _ = b.Resolve(short, "echo", "A")
	_, _ = b.Ping(short, "a")
	if c, err := b.Dial(short, "echo", micronet.Caller{}); err == nil {
		_ = c.Close()
	}
	name := fmt.Sprintf("extra-%d", i)
	if _, held, err := b.Hold(0, withoutChecks("held-"+name, 1)); err == nil {
		_ = held.Close()
	}
	_, _ = b.Register(0, withoutChecks(name, 1))
	_ = b.Deregister(0, name)
}

// A wish that was fulfilled while it waited is not sent.
func TestWantedAreThoseStillLacking(t *testing.T) {
	inBubble(t, 114, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b")
		r, other := all[0].life().records, all[1].node.ID()
		var v gossip.Version
		b.await(5*time.Second, "the record is here", func() error {
			if v = r.version(other); v == (gossip.Version{}) {
				return errors.New("it is not")
			}
			return nil
		})
		for _, c := range []struct {
			w    gossip.Want
			want bool
		}{
			{gossip.Want{Owner: other, Version: v}, false},
			{gossip.Want{Owner: other, Version: gossip.Version{Epoch: v.Epoch, Seq: v.Seq + 100}}, true},
			{gossip.Want{Owner: other}, true},
			{gossip.Want{Owner: id(9), Version: v}, true},
		} {
			if got := r.lacks(c.w); got != c.want {
				t.Errorf("lacks(%+v) = %v, want %v", c.w, got, c.want)
			}
		}
	})
}
