package tunnel

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	micronet "github.com/micro/micro-net"
)

// greeting answers guests over TCP with what they said and a secret that only the two ends know, or says nothing.
type greeting struct {
	testTrunkTLS
	closed bool // nobody can join
	hang   bool
	served atomic.Int32
}

func (g *greeting) JoinServer() *tls.Config {
	if g.closed {
		return nil
	}
	return &tls.Config{Certificates: []tls.Certificate{g.cert}}
}

func (g *greeting) Serve(ctx context.Context, c GuestConn) {
	g.served.Add(1)
	if g.hang {
		<-ctx.Done()
		return
	}
	said := make([]byte, 9)
	if _, err := io.ReadFull(c, said); err != nil {
		return
	}
	if secret, err := c.Exporter("join", said, 32); err == nil {
		_, _ = c.Write(append(said, secret...))
	}
}

// hosting runs a node at addrA that serves guests over TCP.
func hosting(t *testing.T, w *trunkWorld, change func(*greeting)) (*testNode, *greeting) {
	t.Helper()
	key := newTestKey(1)
	g := &greeting{testTrunkTLS: w.certify(t, key.id)}
	if change != nil {
		change(g)
	}
	a := newTrunkNode(t, newTestNet(), key, 1, addrA, w, TrunkConfig{TLS: g.testTrunkTLS, Listener: w.listen(addrA), Guest: g})
	a.SetLocal(a.localSide(1, addrA))
	a.run()
	t.Cleanup(a.stop)
	return a, g
}

// empty waits until nobody is at the door of a node.
func (n *testNode) empty(t *testing.T) {
	t.Helper()
	synctest.Wait()
	n.trunks.mu.Lock()
	greetings := n.trunks.greetings
	n.trunks.mu.Unlock()
	if guests, open := n.trunks.guests.Here(), n.trunks.count(); guests+open+greetings > 0 {
		t.Errorf("%d guests, %d trunks and %d greetings are left", guests, open, greetings)
	}
}

// anybody is a guest that does not care who answers.
var anybody = &tls.Config{InsecureSkipVerify: true}

func TestGuestOverTCP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTrunkWorld()
		a, g := hosting(t, w, nil)
		c, err := DialGuest(t.Context(), w, a.conn.addr, anybody)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte("let me in")); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 41)
		if _, err := io.ReadFull(c, got); err != nil {
			t.Fatalf("reading = %v", err)
		}
		if more, err := io.ReadAll(c); len(more) > 0 || err != nil {
			t.Errorf("behind the answer: %q, %v", more, err)
		}
		synctest.Wait()
		if a.trunks.guests.Here() != 1 {
			t.Error("the node does not wait for the guest to hang up")
		}
		secret, err := c.Exporter("join", []byte("let me in"), 32)
		if err != nil || !bytes.Equal(got, append([]byte("let me in"), secret...)) {
			t.Errorf("answer = %q, %v, want our words and the same secret", got, err)
		}
		_ = c.Close()
		a.empty(t)

		// Who has got through in another way is no guest.
		if c, err = DialGuest(t.Context(), w, a.conn.addr, anybody); err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		a.empty(t)
		if n := g.served.Load(); n != 1 {
			t.Errorf("%d guests were served, want 1", n)
		}
	})
}

// come connects a guest from an address, and returns how long its connection lasted, once it is over.
func come(t *testing.T, w *trunkWorld, from, says string) <-chan time.Duration {
	t.Helper()
	here, there := net.Pipe()
	w.mu.Lock()
	l := w.open[netip.MustParseAddrPort(addrA)]
	w.mu.Unlock()
	l.queue <- pipeEnd{there, netip.MustParseAddrPort(from), nil}
	c, began := tls.Client(here, Harden(anybody, ALPNJoin)), time.Now()
	if err := c.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	lasted := make(chan time.Duration, 1)
	go func() {
		_, _ = io.WriteString(c, says)
		_, _ = io.Copy(io.Discard, c)
		lasted <- time.Since(began)
		_ = here.Close()
	}()
	synctest.Wait()
	return lasted
}

// TestH4_GuestsOverTCP: those of one network get no more than their share of the places, and none for longer than GuestTime,
// whether it says something or not.
func TestH4_GuestsOverTCP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTrunkWorld()
		a, g := hosting(t, w, func(g *greeting) { g.hang = true })
		var stay []<-chan time.Duration
		for i := range CrowdMax / 2 {
			stay = append(stay, come(t, w, "192.0.2.1:1", []string{"", "x"}[i%2]))
		}
		if took := <-come(t, w, "192.0.2.77:1", "x"); took > 0 {
			t.Errorf("one of a network too many is there for %v", took)
		}
		if n := a.Counters()["dropped_trunk-guests"]; n != 1 {
			t.Errorf("%d are counted as refused", n)
		}
		stay = append(stay, come(t, w, "192.0.3.1:1", "x"))
		if n := a.trunks.guests.Here(); n != len(stay) {
			t.Errorf("%d guests are there, want %d", n, len(stay))
		}
		for _, s := range stay {
			if took := <-s; took != GuestTime {
				t.Errorf("a guest was there for %v, want %v", took, GuestTime)
			}
		}
		if n := int(g.served.Load()); n != CrowdMax/4+1 {
			t.Errorf("%d were served, want those who said something", n)
		}
		a.empty(t)
	})
}

// offer connects with protocols and a certificate, and returns what was read until the end.
func offer(t *testing.T, w *trunkWorld, c tls.Certificate, says string, protocols ...string) ([]byte, error) {
	t.Helper()
	conn, err := w.Dial(t.Context(), netip.Addr{}, netip.MustParseAddrPort(addrA))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{c}, NextProtos: protocols})
	if _, err := io.WriteString(s, says); err != nil {
		return nil, err
	}
	return io.ReadAll(s)
}

// TestH23_GuestsAreNoTrunks: who offers to join is a guest, also with the certificate of a member and with the protocol of
// trunks beside it, and nothing where nobody can join.
func TestH23_GuestsAreNoTrunks(t *testing.T) {
	for name, change := range map[string]func(*greeting){"open": nil, "closed": func(g *greeting) { g.closed = true }} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTrunkWorld()
				a, g := hosting(t, w, change)
				member := w.certify(t, newTestKey(2).id).cert
				datagram := string([]byte{0, 7}) + strings.Repeat("\x01", 7)
				for _, protocols := range [][]string{{ALPNJoin}, {"trunk", ALPNJoin}, {ALPNJoin, "trunk"}} {
					got, err := offer(t, w, member, datagram, protocols...)
					if served := bytes.HasPrefix(got, []byte(datagram)); served == g.closed {
						t.Errorf("%q: %q, %v", protocols, got, err)
					}
					if alert := new(net.OpError); g.closed && (!errors.As(err, &alert) || !strings.Contains(err.Error(), "no application protocol")) {
						t.Errorf("%q where nobody joins: %v", protocols, err)
					}
					if n := a.trunks.count(); n > 0 {
						t.Fatalf("%d trunks", n)
					}
				}
				if n := a.Counters()["dropped_garbage"]; n != 0 {
					t.Error("what a guest says is taken for datagrams")
				}
				if g.closed == (g.served.Load() > 0) {
					t.Errorf("%d guests were served", g.served.Load())
				}
				a.empty(t)
			})
		})
	}
}

// failing is a network whose connections fail, or are answered by a stranger.
type failing struct {
	micronet.Network
	err    error
	answer func(net.Conn)
}

func (f failing) Dial(context.Context, netip.Addr, netip.AddrPort) (net.Conn, error) {
	if f.err != nil {
		return nil, f.err
	}
	here, there := net.Pipe()
	go f.answer(there)
	return here, nil
}

// TestDialGuestFails: who did not answer is told from who did and is no member, and nothing takes longer than visitDial.
func TestDialGuestFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTrunkWorld()
		hosting(t, w, func(g *greeting) { g.closed = true })
		says := func(words string) func(net.Conn) {
			return func(c net.Conn) {
				_, _ = c.Read(make([]byte, 4096))
				_, _ = io.WriteString(c, words)
				_ = c.Close()
			}
		}
		untrusted := &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(tls.ConnectionState) error {
			return micronet.E("join", micronet.Unauthorized, "it is another cluster").WithFix("ask")
		}}
		open := newTrunkWorld()
		hosting(t, open, nil)
		for name, c := range map[string]struct {
			net  micronet.Network
			kind micronet.Kind
			text string
		}{
			"nobody listens":  {failing{err: &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}}, micronet.Unreachable, "connection refused"},
			"not permitted":   {failing{err: syscall.EPERM}, micronet.Unreachable, "not permitted"},
			"no TLS":          {failing{answer: says("HTTP/1.0 400 Bad Request\r\n")}, micronet.Unauthorized, "handshake"},
			"hangs up":        {failing{answer: says("")}, micronet.Overloaded, "takes no connection"},
			"says nothing":    {failing{answer: func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }}, micronet.Timeout, "no answer"},
			"no authority":    {w, micronet.Unauthorized, "no application protocol"},
			"another cluster": {open, micronet.Unauthorized, "another cluster"},
		} {
			began := time.Now()
			_, err := DialGuest(t.Context(), c.net, netip.MustParseAddrPort(addrA), untrusted)
			if micronet.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%s: %v, want %v and %q", name, err, c.kind, c.text)
			}
			if took := time.Since(began); took > visitDial {
				t.Errorf("%s: it took %v", name, took)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := DialGuest(ctx, failing{err: context.Canceled}, netip.MustParseAddrPort(addrA), anybody); micronet.KindOf(err) != micronet.Closed {
			t.Errorf("cut short: %v", err)
		}
	})
}

// TestHarden: nothing of a configuration that would let old sessions or other protocols in is kept.
func TestHarden(t *testing.T) {
	c := Harden(&tls.Config{NextProtos: []string{"h2"}, ClientSessionCache: tls.NewLRUClientSessionCache(1)}, ALPNJoin)
	if c.MinVersion != tls.VersionTLS13 || !c.SessionTicketsDisabled || c.ClientSessionCache != nil || !slices.Equal(c.NextProtos, []string{ALPNJoin}) {
		t.Errorf("%+v", c)
	}
	if Harden(nil, ALPNJoin) != nil {
		t.Error("nothing becomes something")
	}
}
