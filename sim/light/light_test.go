package light

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/sim/netsim"
	"github.com/micro/micro-net/tunnel"
	"github.com/micro/micro-net/tunnel/quic"
	"github.com/micro/micro-net/tunnel/tunneltest"
)

// phone is a socket that knows where everybody is.
type phone struct {
	quic.Socket
	local netip.AddrPort
	book  map[micronet.NodeID]netip.AddrPort
}

func (p *phone) LocalAddr() netip.AddrPort { return p.local }

func (p *phone) Path(id micronet.NodeID) (tunnel.PathInfo, bool) {
	addr, ok := p.book[id]
	return tunnel.PathInfo{Peer: id, Remote: addr}, ok
}

func (p *phone) Peer(micronet.NodeID) (tunnel.Peer, bool) { return tunnel.Peer{}, false }

var (
	idA = micronet.NodeID{1}
	idB = micronet.NodeID{2}
)

// pair makes two tunnels on two hosts of a world that runs until the test ends.
func pair(t *testing.T, guest quic.Guest) (w *netsim.World, a, b *Tunnel) {
	t.Helper()
	w = netsim.New(1, netsim.Options{})
	w.SetDefaultLink(netsim.Link{Latency: 10 * time.Millisecond})
	book := map[micronet.NodeID]netip.AddrPort{idA: netip.MustParseAddrPort("10.0.0.1:8085"), idB: netip.MustParseAddrPort("10.0.0.2:8085")}
	make := func(id micronet.NodeID) *Tunnel {
		h := w.Host("host"+id.Short(), netip.PrefixFrom(book[id].Addr(), 8))
		tun, err := New(quic.Config{Env: h.Env(), Self: id, Socket: &phone{local: book[id], book: book}, Guest: guest})
		if err != nil {
			t.Fatal(err)
		}
		return tun.(*Tunnel)
	}
	a, b = make(idA), make(idB)
	ctx, cancel := context.WithCancel(context.Background())
	done := sync.WaitGroup{}
	done.Go(func() { _ = w.Run(ctx) })
	t.Cleanup(func() { time.Sleep(time.Minute); cancel(); done.Wait() })
	return w, a, b
}

func TestConform(t *testing.T) {
	tunneltest.Conform(t, func(t *testing.T) tunneltest.Pair {
		_, a, b := pair(t, nil)
		return tunneltest.Pair{A: a, B: b, IDA: idA, IDB: idB, Buffered: 8 << 20, Single: true}
	})
}

// run runs both tunnels until the test ends.
func run(t *testing.T, tunnels ...*Tunnel) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	for _, tun := range tunnels {
		group.Go(func() {
			if err := tun.Run(ctx); err != nil {
				t.Errorf("Run = %v", err)
			}
		})
		<-tun.Ready()
	}
	t.Cleanup(func() { cancel(); group.Wait() })
}

// TestWrongCallee: a host that is another node now does not answer for the former one.
func TestWrongCallee(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, b := pair(t, nil)
		b.self = micronet.NodeID{3}
		run(t, a, b)
		out, err := a.Open(t.Context(), idB, tunnel.Opening{Purpose: tunnel.PurposeCatalog})
		if err == nil {
			err = out.Answered(t.Context())
		}
		if err == nil {
			t.Error("another node accepted the stream")
		}
	})
}

// TestPartition: a stream waits for the end of a short partition, and opening one in it ends with ctx.
func TestPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b := pair(t, nil)
		run(t, a, b)
		out, err := a.Open(t.Context(), idB, tunnel.Opening{Purpose: tunnel.PurposeCatalog})
		if err != nil {
			t.Fatal(err)
		}
		in, err := b.Accept(t.Context())
		if err == nil {
			err = in.Accept()
		}
		if err != nil {
			t.Fatal(err)
		}
		w.SetDefaultLink(netsim.Link{Latency: 10 * time.Millisecond, Loss: 1})
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if _, err := a.Open(ctx, idB, tunnel.Opening{Purpose: tunnel.PurposeCatalog}); micronet.KindOf(err) != micronet.Timeout {
			t.Errorf("Open in a partition = %v, want Timeout", err)
		}
		if _, err := out.Write([]byte("later")); err != nil {
			t.Fatal(err)
		}
		w.SetDefaultLink(netsim.Link{Latency: 10 * time.Millisecond})
		got := make([]byte, 5)
		if _, err := io.ReadFull(in, got); err != nil || string(got) != "later" {
			t.Errorf("after the partition: %q, %v", got, err)
		}
		if err := out.Close(); err != nil {
			t.Error(err)
		}
		in.Abort()
	})
}

// doorman answers guests with what both ends know.
type doorman struct{ conf *tls.Config }

func (d *doorman) JoinServer() *tls.Config { return d.conf }

func (d *doorman) Serve(_ context.Context, g quic.GuestConn) {
	key, err := g.Exporter("test", nil, 32)
	if err == nil {
		_, _ = g.Write(key)
	}
}

// TestGuests: a guest and a member derive the same secret from their connection.
func TestGuests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, b := pair(t, &doorman{serverTLS(t)})
		run(t, a, b)
		g, err := a.DialGuest(t.Context(), netip.MustParseAddrPort("10.0.0.2:8085"), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(g)
		want, failed := g.Exporter("test", nil, 32)
		if err != nil || failed != nil || !bytes.Equal(got, want) {
			t.Errorf("the member's secret is %x (%v), ours %x (%v)", got, err, want, failed)
		}
		_ = g.Close()
		if _, err := a.DialGuest(t.Context(), netip.MustParseAddrPort("10.0.0.2:9"), &tls.Config{InsecureSkipVerify: true}); err == nil {
			t.Error("joined where nobody listens")
		}
	})
}

func serverTLS(t *testing.T) *tls.Config {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, pub, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// TestNotUsable: what lacks a part is refused.
func TestNotUsable(t *testing.T) {
	if _, err := New(quic.Config{Self: idA}); micronet.KindOf(err) != micronet.Invalid {
		t.Errorf("New without a socket = %v, want Invalid", err)
	}
}

func FuzzHeader(f *testing.F) {
	f.Add(header{guest: true}.append(nil))
	f.Add(header{from: idA, to: idB}.append(nil))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r := bytes.NewReader(raw)
		h, err := readHeader(r)
		if err != nil {
			return
		}
		if again := h.append(nil); !bytes.Equal(again, raw[:len(raw)-r.Len()]) {
			t.Errorf("%x is read as %+v, which is %x", raw, h, again)
		}
	})
}
