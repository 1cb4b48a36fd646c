package tunnel

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	quicgo "github.com/quic-go/quic-go"
)

func testTLS(tb testing.TB) *tls.Config {
	tb.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, public, private)
	if err != nil {
		tb.Fatal(err)
	}
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: private}},
		NextProtos:   []string{"test"}, InsecureSkipVerify: true,
	}
}

// The first QUIC packet to a peer that nobody has spoken to takes its hello along: the handshake
// costs the round trip that it costs anyway, and no retransmission.
func TestHandshakeWaitsForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw := newTestNet()
		var ts []*quicgo.Transport
		var ns []*testNode
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		for i, addr := range []string{addrA, addrB} {
			n := newNode(t, nw, newTestKey(byte(i+1)), uint64(i+1), addr)
			n.SetLocal(n.localSide(1, addr))
			wg.Go(func() { _ = n.Run(ctx) })
			ns, ts = append(ns, n), append(ts, &quicgo.Transport{Conn: n.QUIC()})
		}
		a, b := ns[0], ns[1]
		a.AddPeer(b.peer(1, addrB))
		conf := testTLS(t)
		l, err := ts[1].Listen(conf, nil)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			conn, err := l.Accept(ctx)
			if err != nil {
				t.Error(err)
				return
			}
			if id, ok := b.IdentityOf(conn.RemoteAddr()); !ok || id != a.key.id {
				t.Errorf("accepted from %v", conn.RemoteAddr())
			}
			s, err := conn.AcceptStream(ctx)
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.Copy(s, s)
			_ = s.Close()
		})
		begin := time.Now()
		conn, err := ts[0].Dial(ctx, b.key.id.UDPAddr(), conf, nil)
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took > 2*wireDelay+time.Millisecond {
			t.Errorf("the handshake took %v, a round trip %v", took, 2*wireDelay)
		}
		s, err := conn.OpenStream()
		if err != nil {
			t.Fatal(err)
		}
		_, _ = s.Write([]byte("echo"))
		_ = s.Close()
		if got, err := io.ReadAll(s); err != nil || string(got) != "echo" {
			t.Errorf("read %q, %v", got, err)
		}
		for _, n := range ns {
			c := n.Counters()
			if c["dropped_amplification"]+c["dropped_quic-unbound"] != 0 {
				t.Errorf("drops: %v", nonZero(c))
			}
		}
		_ = conn.CloseWithError(0, "")
		_ = l.Close()
		for _, tr := range ts {
			_ = tr.Close()
		}
		cancel()
		wg.Wait()
	})
}
