package quic

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
	"github.com/micro/micro-net/tunnel/tunneltest"
)

// greeter answers each guest with what the guest said and with an exported secret, or hangs.
type greeter struct {
	*tunneltest.Identity
	hang   bool
	mu     sync.Mutex
	served int
}

func (g *greeter) JoinServer() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{g.Certificate}}
}

func (g *greeter) Serve(ctx context.Context, c tunnel.GuestConn) {
	g.mu.Lock()
	g.served++
	g.mu.Unlock()
	if g.hang {
		<-ctx.Done()
		return
	}
	said, err := io.ReadAll(c)
	if err != nil {
		return
	}
	secret, err := c.Exporter("micro-net join", said, 32)
	if err != nil {
		return
	}
	_, _ = c.Write(append(said, secret...))
}

func joinable(g *greeter) func(*Config) {
	return func(c *Config) { c.Guest = g }
}

// joiner is a node that b knows nothing of.
func joiner(t *testing.T, m *memNet, seed byte, real string) *testNode {
	t.Helper()
	n := &testNode{Identity: tunneltest.NewIdentity(t, seed), drops: make(map[string]int)}
	n.conn = m.socket(n.ID, real, true)
	tun, err := New(Config{Self: n.ID, Socket: n.conn, TLS: n.Identity})
	if err != nil {
		t.Fatal(err)
	}
	n.Tunnel = tun
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { _ = tun.Run(ctx) })
	n.stop = func() { cancel(); group.Wait() }
	t.Cleanup(n.stop)
	<-tun.Ready()
	return n
}

func TestGuest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(10 * time.Millisecond)
		g := &greeter{Identity: tunneltest.NewIdentity(t, 2)}
		b := startNode(t, m, g.Identity, "10.0.0.2:8085", joinable(g))
		j := joiner(t, m, 1, "10.0.0.9:40000")
		c, err := j.DialGuest(t.Context(), b.conn.real, j.Client(b.ID))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte("let me in")); err != nil {
			t.Fatal(err)
		}
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(c)
		if err != nil {
			t.Fatalf("reading = %v", err)
		}
		secret, err := c.Exporter("micro-net join", []byte("let me in"), 32)
		if err != nil || !bytes.Equal(got, append([]byte("let me in"), secret...)) {
			t.Errorf("answer = %q, %v, want our words and the same secret", got, err)
		}
		if c.RemoteAddr().String() != "10.0.0.2:8085" {
			t.Errorf("RemoteAddr = %v", c.RemoteAddr())
		}
		_ = c.Close()
		time.Sleep(2 * time.Second)
		if used := b.guests.Here(); used != 0 {
			t.Errorf("%d guest slots in use after the guest has left", used)
		}
		if len(b.Connections())+len(j.Connections()) != 0 {
			t.Error("a guest counts as a connection between members")
		}
	})
}

func TestH4_GuestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(10 * time.Millisecond)
		g := &greeter{Identity: tunneltest.NewIdentity(t, 2), hang: true}
		b := startNode(t, m, g.Identity, "10.0.0.2:8085", joinable(g))
		j := joiner(t, m, 1, "10.0.0.9:40000")
		began := time.Now()
		var ends []time.Duration
		var mu sync.Mutex
		var group sync.WaitGroup
		for range tunnel.CrowdMax / 2 {
			c, err := j.DialGuest(t.Context(), b.conn.real, j.Client(b.ID))
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.Write([]byte("x"))
			if err != nil {
				t.Fatal(err)
			}
			group.Go(func() {
				_, _ = c.Read(make([]byte, 1))
				mu.Lock()
				ends = append(ends, time.Since(began))
				mu.Unlock()
				_ = c.Close()
			})
			// The one stream of this connection is taken.
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			if q, err := c.(*guestConn).conn.OpenStreamSync(ctx); err == nil {
				t.Errorf("a guest opened a second stream %v", q.StreamID())
			}
			cancel()
		}
		_, err := j.DialGuest(t.Context(), b.conn.real, j.Client(b.ID))
		if micronet.KindOf(err) != micronet.Overloaded {
			t.Errorf("one guest of a network too many: %v, want Overloaded", err)
		}
		elsewhere := joiner(t, m, 3, "10.0.1.9:40000")
		if c, err := elsewhere.DialGuest(t.Context(), b.conn.real, elsewhere.Client(b.ID)); err != nil {
			t.Errorf("a guest of another network: %v", err)
		} else if _, err := c.Write([]byte("x")); err != nil {
			t.Error(err)
		}
		if got := b.dropped("too many guests"); got != 1 {
			t.Errorf("%d drops, want 1", got)
		}
		group.Wait()
		g.mu.Lock()
		if g.served != tunnel.CrowdMax/2+1 {
			t.Errorf("%d guests served, want %d", g.served, tunnel.CrowdMax/2+1)
		}
		g.mu.Unlock()
		if last := slices.Max(ends); last > tunnel.GuestTime+2*time.Second {
			t.Errorf("the last guest left after %v, want about %v", last, tunnel.GuestTime)
		}
		time.Sleep(5 * time.Second)
		if used := b.guests.Here(); used != 0 {
			t.Errorf("%d guest slots in use after all have left", used)
		}
	})
}

func TestGuestFromMemberAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(10 * time.Millisecond)
		g := &greeter{Identity: tunneltest.NewIdentity(t, 2)}
		b := startNode(t, m, g.Identity, "10.0.0.2:8085", joinable(g))
		a := startNode(t, m, tunneltest.NewIdentity(t, 1), "10.0.0.1:8085", nil)
		c, err := a.DialGuest(t.Context(), b.conn.real, a.Client(b.ID))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte("again")); err != nil {
			t.Fatal(err)
		}
		_ = c.CloseWrite()
		if got, err := io.ReadAll(c); err != nil || !bytes.HasPrefix(got, []byte("again")) {
			t.Errorf("answer = %q, %v", got, err)
		}
		_ = c.Close()
		time.Sleep(2 * time.Second)
		if used := b.guests.Here(); used != 0 {
			t.Errorf("%d guest slots in use", used)
		}
	})
}

func TestNobodyServesGuests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(10 * time.Millisecond)
		b := startNode(t, m, tunneltest.NewIdentity(t, 2), "10.0.0.2:8085", nil)
		j := joiner(t, m, 1, "10.0.0.9:40000")
		if _, err := j.DialGuest(t.Context(), b.conn.real, j.Client(b.ID)); err == nil {
			t.Error("DialGuest succeeded")
		}
	})
}

// A guest that says nothing must not hold up the end of a node.
func TestSilentGuestDoesNotDelayTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(10 * time.Millisecond)
		g := &greeter{Identity: tunneltest.NewIdentity(t, 2)}
		b := startNode(t, m, g.Identity, "10.0.0.2:8085", joinable(g))
		j := joiner(t, m, 1, "10.0.0.9:40000")
		c, err := j.DialGuest(t.Context(), b.conn.real, j.Client(b.ID))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write([]byte("half a requ")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		began := time.Now()
		b.stop()
		if took := time.Since(began); took > 100*time.Millisecond {
			t.Errorf("the node needed %v to stop", took)
		}
	})
}
