package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/config"
	"github.com/micro/micro-net/node/api"
)

func TestNewChecksNames(t *testing.T) {
	for _, o := range []Option{WithName("No_Label"), WithCluster("service"), WithCluster("Upper")} {
		_, err := New(o)
		wantError(t, "a bad name", err, micronet.Invalid)
	}
}

func TestRunOnce(t *testing.T) {
	inBubble(t, 100, func(t *testing.T, b *bubble) {
		n := b.start("a", "")
		if n.node.ID().IsZero() {
			t.Error("a running node has no id")
		}
		wantError(t, "a second Run", n.node.Run(context.Background()), micronet.Invalid, "runs once", "node.New")
		b.halt(n)
		wantError(t, "Run after the end", n.node.Run(context.Background()), micronet.Invalid, "runs once")
		wantError(t, "Ready after the end", n.node.Ready(context.Background()), micronet.Closed, "stopped")
		_, err := n.node.Dial(context.Background(), "x")
		wantError(t, "Dial after the end", err, micronet.Closed, "stopped")
		if n.node.ID().IsZero() {
			t.Error("the id is gone with the end")
		}
	})
}

func TestReadyWaits(t *testing.T) {
	inBubble(t, 101, func(t *testing.T, b *bubble) {
		n, err := New(WithEnv(b.host("h").Env()))
		if err != nil {
			t.Fatal(err)
		}
		if !n.ID().IsZero() {
			t.Error("a node that never ran has an id")
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		begin := time.Now()
		wantError(t, "not started", n.Ready(ctx), micronet.Timeout, "not ready")
		if time.Since(begin) != time.Second {
			t.Errorf("it waited %v", time.Since(begin))
		}
		_, err = n.Listen(ctx, "web")
		wantError(t, "Listen", err, micronet.Timeout)
	})
}

// greet answers connections with a word until the listener ends.
func greet(wg *sync.WaitGroup, ln net.Listener, says string) {
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, says)
			_ = c.Close()
		}
	})
}

func dialed(n *simNode, service, want string) func() error {
	return func() error {
		c, err := n.node.Dial(context.Background(), service)
		if err != nil {
			return err
		}
		defer c.Close()
		got, err := io.ReadAll(c)
		if string(got) != want {
			return errors.Join(err, fmt.Errorf("got %q", got))
		}
		return nil
	}
}

// Nodes inside programs, with a daemon among them.
func TestEmbedded(t *testing.T) {
	inBubble(t, 102, func(t *testing.T, b *bubble) {
		var wg sync.WaitGroup
		a := b.start("a", "")
		token := b.inviteWith(a, api.InviteRequest{Uses: 3})
		one := b.program("one", WithJoin(token), WithName("worker-1"))
		two := b.program("two", WithJoin(token), WithName("worker-2"))
		ln, err := one.node.Listen(context.Background(), "greeter") // waits for readiness
		if err != nil {
			t.Fatal(err)
		}
		greet(&wg, ln, "hi")
		if err := dialed(one, "greeter", "hi")(); err != nil {
			t.Errorf("right after Listen its own node dials: %v", err)
		}
		b.await(5*time.Second, "the other program dials", dialed(two, "greeter", "hi"))
		b.await(5*time.Second, "and by the long name", dialed(two, "greeter.service.sim", "hi"))
		_, err = two.node.Dial(context.Background(), "nobody")
		wantError(t, "an unknown service", err, micronet.NotFound, "nobody")
		_, err = two.node.Dial(context.Background(), "a.b")
		wantError(t, "no service's name", err, micronet.Invalid, "a.b")
		_, err = one.node.Listen(context.Background(), "localhost")
		wantError(t, "a reserved name", err, micronet.Invalid, "reserved")
		if l := one.backend().listeners(); l.API != "off" || l.DNS != "off" || l.Proxy != "off" || l.VIPs != "off" || l.Socket != "off" {
			t.Errorf("a node inside a program listens: %+v", l)
		}

		if err := ln.Close(); err != nil {
			t.Fatal(err)
		}
		b.await(5*time.Second, "the service is withdrawn", func() error {
			if _, err := two.node.Dial(context.Background(), "greeter"); micronet.KindOf(err) != micronet.NotFound {
				return fmt.Errorf("Dial = %w", err)
			}
			return nil
		})
		// A node's end ends its listeners, and its name is free at once: it never comes back.
		if ln, err = one.node.Listen(context.Background(), "greeter"); err != nil {
			t.Fatal(err)
		}
		greet(&wg, ln, "hi")
		begin := time.Now()
		b.halt(one)
		if took := time.Since(begin); took > time.Second {
			t.Errorf("an idle node took %v to stop", took)
		}
		wg.Wait()
		_, err = one.node.Listen(context.Background(), "greeter")
		wantError(t, "Listen after the end", err, micronet.Closed)
		again := b.program("three", WithJoin(token), WithName("worker-1"))
		if err := again.node.Ready(context.Background()); err != nil {
			t.Fatal(err)
		}
		if again.node.ID() == one.node.ID() {
			t.Error("without a folder the node has its old identity")
		}
	})
}

// With a data folder a node inside a program is the same one at each start.
func TestEmbeddedWithAFolder(t *testing.T) {
	inBubble(t, 103, func(t *testing.T, b *bubble) {
		a := b.start("a", "")
		opts := []Option{WithJoin(b.invite(a)), WithDataDir("/var/lib/worker"), WithVersion("7")}
		n := b.program("worker", opts...)
		if err := n.node.Ready(context.Background()); err != nil {
			t.Fatal(err)
		}
		b.halt(n)
		again, err := New(append(opts, WithEnv(n.host.Env()))...)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := again.Run(ctx); err != nil {
				t.Errorf("with a token that was used by itself: %v", err)
			}
		})
		if err := again.Ready(context.Background()); err != nil {
			t.Fatal(err)
		}
		b.await(10*time.Second, "it is back", b.seen("worker", micronet.Alive, "a"))
		if again.ID() != n.node.ID() {
			t.Error("it is another node")
		}
		for _, seen := range a.backend().Nodes() {
			if seen.Name == "worker" && seen.Version != "7" {
				t.Errorf("its version is %q", seen.Version)
			}
		}
		cancel()
		wg.Wait()
	})
}

// An id that the user has taken does not keep a program from listening.
func TestListenFindsAnID(t *testing.T) {
	inBubble(t, 104, func(t *testing.T, b *bubble) {
		n := b.start("a", "", func(c *Config) { c.Services = append(idOf("web", "web-1"), idOf("web", "web-2")...) })
		var open []net.Listener
		for range 2 {
			ln, err := n.node.Listen(context.Background(), "web")
			if err != nil {
				t.Fatal(err)
			}
			open = append(open, ln)
		}
		time.Sleep(time.Second) // the view is a moment behind
		s, err := n.backend().Services("web")
		ids := map[string]bool{}
		for _, i := range s[0].Instances {
			ids[i.ID] = true
		}
		if err != nil || len(ids) != 4 || !ids["web-1"] || !ids["web-2"] {
			t.Errorf("instances are %v, %v; want four", ids, err)
		}
		for _, ln := range open {
			if err := ln.Close(); err != nil {
				t.Fatal(err)
			}
			if err := ln.Close(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("closing twice = %v", err)
			}
		}
		if got := len(n.node.registry.all()); got != 2 || len(n.node.open.open) != 0 {
			t.Errorf("%d instances are left, want the user's two; %d listeners are kept", got, len(n.node.open.open))
		}
	})
}

// idOf is one service with an id that its user chose.
func idOf(name, id string) []config.Service {
	s := withoutChecks(name, 80)
	s[0].ID = id
	return s
}

// HTTP between programs, by the names of services.
func TestHTTPClient(t *testing.T) {
	inBubble(t, 105, func(t *testing.T, b *bubble) {
		a := b.start("a", "")
		server := b.program("server", WithJoin(b.invite(a)))
		client := b.program("client", WithJoin(b.invite(a)))
		ln, err := server.node.Listen(context.Background(), "greeter")
		if err != nil {
			t.Fatal(err)
		}
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = fmt.Fprintf(w, "hello %s at %s", r.URL.Path, r.Host)
		})}
		b.wg.Go(func() { _ = srv.Serve(ln) })
		get := func(url, want string) func() error {
			return func() error {
				res, err := client.node.HTTPClient().Get(url)
				if err != nil {
					return err
				}
				defer res.Body.Close()
				body, err := io.ReadAll(res.Body)
				if string(body) != want {
					return errors.Join(err, fmt.Errorf("got %q", body))
				}
				return nil
			}
		}
		b.await(5*time.Second, "a request", get("http://greeter/world", "hello /world at greeter"))
		for range 5 {
			if err := get("http://greeter.micro.internal:80/x", "hello /x at greeter.micro.internal:80")(); err != nil {
				t.Error(err)
			}
		}
		if n := client.life().flows.Active(); n != 2 {
			t.Errorf("%d connections are open, want one for each name", n)
		}
		if err := get("http://nobody/", "")(); micronet.KindOf(err) != micronet.NotFound {
			t.Errorf("an unknown service: %v", err)
		}
		// Idle connections do not hold up the end.
		begin := time.Now()
		b.halt(client)
		if took := time.Since(begin); took > time.Second {
			t.Errorf("with idle connections the node took %v to stop", took)
		}
		_ = srv.Close()
	})
}
