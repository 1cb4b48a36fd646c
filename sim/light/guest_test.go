package light

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/sim/netsim"
	"github.com/micro/micro-net/tunnel"
)

// greeter answers each guest with what the guest said and with an exported secret, or hangs.
type greeter struct {
	cert tls.Certificate
	hang bool
	mu   sync.Mutex
	met  int
}

func newGreeter(t *testing.T) *greeter {
	t.Helper()
	key := ed25519.NewKeyFromSeed(slices.Repeat([]byte{5}, ed25519.SeedSize))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(nil, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &greeter{cert: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}}
}

func (g *greeter) JoinServer() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{g.cert}, CurvePreferences: []tls.CurveID{tls.X25519}}
}

func (g *greeter) Serve(ctx context.Context, c tunnel.GuestConn) {
	g.mu.Lock()
	g.met++
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

// pinned trusts the greeter's certificate, whoever shows it.
func (g *greeter) pinned() *tls.Config {
	return &tls.Config{
		InsecureSkipVerify: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			if !bytes.Equal(s.PeerCertificates[0].Raw, g.cert.Certificate[0]) {
				return micronet.E("join", micronet.Unauthorized, "not who the token names")
			}
			return nil
		},
	}
}

func inGuestWorld(t *testing.T, link netsim.Link, f func(t *testing.T, g *greeter, a, b *testNode)) {
	t.Helper()
	inWorld(t, link, func(t *testing.T, _ *netsim.World, a, b *testNode) {
		g := newGreeter(t)
		b.conf.Guest = g
		a.start(t)
		b.start(t)
		f(t, g, a, b)
	})
}

func TestGuest(t *testing.T) {
	for _, link := range []netsim.Link{{}, steady, {Latency: testLatency, Jitter: time.Millisecond, Loss: 0.1}} {
		inGuestWorld(t, link, func(t *testing.T, g *greeter, a, b *testNode) {
			c, err := a.tun.DialGuest(within(t, time.Minute), b.port, g.pinned())
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
			if c.RemoteAddr().String() != b.port.String() {
				t.Errorf("RemoteAddr = %v, want %v", c.RemoteAddr(), b.port)
			}
			_ = c.Close()
			_ = c.Close()
			time.Sleep(2 * time.Second)
			if used := len(b.tun.guests); used != 0 {
				t.Errorf("%d guest slots in use after the guest has left", used)
			}
			if len(b.tun.Connections())+len(a.tun.Connections()) != 0 {
				t.Error("a guest counts as a connection between members")
			}
		})
	}
}

func TestGuestChecksWhoAnswers(t *testing.T) {
	inGuestWorld(t, steady, func(t *testing.T, g *greeter, a, b *testNode) {
		conf := g.pinned()
		g.cert = newGreeter(t).cert
		conf.VerifyConnection = func(tls.ConnectionState) error { return micronet.E("join", micronet.Unauthorized, "no") }
		if _, err := a.tun.DialGuest(within(t, time.Minute), b.port, conf); micronet.KindOf(err) != micronet.Unauthorized {
			t.Errorf("DialGuest = %v, want Unauthorized", err)
		}
		if g.met != 0 {
			t.Error("a guest was served whose handshake failed")
		}
	})
}

func TestGuestLimits(t *testing.T) {
	inGuestWorld(t, steady, func(t *testing.T, g *greeter, a, b *testNode) {
		g.hang = true
		began := time.Now()
		var ends []time.Duration
		var mu sync.Mutex
		var group sync.WaitGroup
		for range maxGuests {
			c, err := a.tun.DialGuest(t.Context(), b.port, g.pinned())
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
		}
		if _, err := a.tun.DialGuest(t.Context(), b.port, g.pinned()); micronet.KindOf(err) != micronet.Overloaded {
			t.Errorf("one guest too many: %v, want Overloaded", err)
		}
		if got := b.dropped("too many guests"); got != 1 {
			t.Errorf("%d drops, want 1", got)
		}
		group.Wait()
		if g.met != maxGuests {
			t.Errorf("%d guests served, want %d", g.met, maxGuests)
		}
		if last := slices.Max(ends); last > tunnel.GuestTime+5*time.Second {
			t.Errorf("the last guest left after %v, want about %v", last, tunnel.GuestTime)
		}
		time.Sleep(tunnel.GuestTime)
		if used := len(b.tun.guests); used != 0 {
			t.Errorf("%d guest slots in use after all have left", used)
		}
	})
}

func TestNobodyServesGuests(t *testing.T) {
	inWorld(t, steady, func(t *testing.T, _ *netsim.World, a, b *testNode) {
		g := newGreeter(t)
		if _, err := a.tun0(t).DialGuest(t.Context(), b.port, g.pinned()); micronet.KindOf(err) != micronet.Closed {
			t.Errorf("DialGuest before Run = %v, want Closed", err)
		}
		a.start(t)
		if _, err := a.tun.DialGuest(t.Context(), b.port, g.pinned()); micronet.KindOf(err) != micronet.Timeout {
			t.Errorf("DialGuest to nobody = %v, want Timeout", err)
		}
		b.start(t)
		if _, err := a.tun.DialGuest(t.Context(), b.port, g.pinned()); micronet.KindOf(err) != micronet.Overloaded {
			t.Errorf("DialGuest = %v, want Overloaded", err)
		}
	})
}

// A TLS client that does not speak the joining protocol is not served.
func TestGuestWithoutProtocol(t *testing.T) {
	inGuestWorld(t, steady, func(t *testing.T, g *greeter, a, b *testNode) {
		raw, err := a.net.Dial(t.Context(), netip.Addr{}, b.port)
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		c := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
		if err := c.HandshakeContext(within(t, time.Minute)); err == nil {
			_, err = c.Read(make([]byte, 1))
			if err == nil {
				t.Error("a stranger got something to read")
			}
		}
		if g.met != 0 {
			t.Error("a stranger was served")
		}
	})
}

// A guest that says nothing must not hold up the end of a node, on either side.
func TestSilentGuestDoesNotDelayTheEnd(t *testing.T) {
	inGuestWorld(t, steady, func(t *testing.T, g *greeter, a, b *testNode) {
		c, err := a.tun.DialGuest(t.Context(), b.port, g.pinned())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte("half a requ")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		began := time.Now()
		b.stop()
		a.stop()
		if took := time.Since(began); took > time.Millisecond {
			t.Errorf("the nodes needed %v to stop", took)
		}
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("Read succeeded after the end")
		}
	})
}

// The time of a guest's connection ends also when the guest does not close it.
func TestGuestTimeEnds(t *testing.T) {
	inGuestWorld(t, steady, func(t *testing.T, g *greeter, a, b *testNode) {
		g.hang = true
		began := time.Now()
		c, err := a.tun.DialGuest(t.Context(), b.port, g.pinned())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * tunnel.GuestTime)
		if _, err := c.Write([]byte("still here?")); err == nil {
			t.Errorf("Write succeeded after %v", time.Since(began))
		}
		if used := len(b.tun.guests); used != 0 {
			t.Errorf("%d guest slots in use", used)
		}
	})
}

// tun0 is a Tunnel that does not run.
func (n *testNode) tun0(t *testing.T) *Tunnel {
	t.Helper()
	tun, err := newTunnel(n.conf)
	if err != nil {
		t.Fatal(err)
	}
	return tun
}
