package netsim

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/miekg/dns"
	"github.com/quic-go/quic-go"
)

func TestHTTP(t *testing.T) {
	inWorld(t, 1, Options{Link: Link{Latency: testLatency, Loss: 0.05}}, func(t *testing.T, w *three) {
		l := listen(t, w.b, wild(80))
		srv := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			_, _ = rw.Write(body)
		})}
		served := make(chan error, 1)
		go func() { served <- srv.Serve(l) }()
		tr := &http.Transport{DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			return w.a.Dial(ctx, netip.Addr{}, netip.MustParseAddrPort(addr))
		}}
		client := &http.Client{Transport: tr, Timeout: time.Minute}
		for range 10 {
			resp, err := client.Post("http://10.0.0.2:80/", "text/plain", io.LimitReader(zeros{}, 1<<20))
			if err != nil {
				t.Fatal(err)
			}
			n, err := io.Copy(io.Discard, resp.Body)
			if n != 1<<20 || err != nil {
				t.Fatalf("echoed %d bytes, %v, want 1 MiB", n, err)
			}
			closeQuietly(t, resp.Body)
		}
		tr.CloseIdleConnections()
		if err := srv.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve = %v", err)
		}
	})
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func TestDNS(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		started := make(chan struct{})
		srv := &dns.Server{
			PacketConn:        listenPacket(t, w.b, wild(53)),
			NotifyStartedFunc: func() { close(started) },
			Handler: dns.HandlerFunc(func(rw dns.ResponseWriter, q *dns.Msg) {
				_ = rw.WriteMsg(new(dns.Msg).SetRcode(q, dns.RcodeNameError))
			}),
		}
		served := make(chan error, 1)
		go func() { served <- srv.ActivateAndServe() }()
		<-started
		c, err := w.a.DialPacket(t.Context(), at(addrB, 53))
		if err != nil {
			t.Fatal(err)
		}
		defer closeQuietly(t, c)
		q := new(dns.Msg).SetQuestion("web.micro.internal.", dns.TypeA)
		a, rtt, err := new(dns.Client).ExchangeWithConn(q, &dns.Conn{Conn: c})
		if err != nil || a.Rcode != dns.RcodeNameError {
			t.Fatalf("Exchange = %v, %v", a, err)
		}
		wantTook(t, "the exchange", rtt, 2*testLatency, 2)
		if err := srv.Shutdown(); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("ActivateAndServe = %v", err)
		}
	})
}

// testTLS returns configurations for a server and a client that trusts it.
func testTLS(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"b"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(zeros{}, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	server = &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, NextProtos: []string{"echo"},
	}
	return server, &tls.Config{RootCAs: pool, ServerName: "b", NextProtos: []string{"echo"}}
}

func TestQUICEcho(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 1)
	link := Link{Latency: testLatency, Jitter: time.Millisecond, Loss: 0.02, Duplicate: 0.01, Reorder: 0.01, MTU: 1500}
	inWorld(t, 1, Options{Link: link}, func(t *testing.T, w *three) {
		serverTLS, clientTLS := testTLS(t)
		server := &quic.Transport{Conn: listenPacket(t, w.b, wild(8085))}
		client := &quic.Transport{Conn: listenPacket(t, w.a, wild(8085))}
		l, err := server.Listen(serverTLS, nil)
		if err != nil {
			t.Fatal(err)
		}
		echoed := make(chan error, 1)
		go func() { echoed <- echoOnce(t.Context(), l) }()
		conn, err := client.Dial(t.Context(), net.UDPAddrFromAddrPort(at(addrB, 8085)), clientTLS, nil)
		if err != nil {
			t.Fatal(err)
		}
		s, err := conn.OpenStreamSync(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		const size = 1 << 20
		go func() {
			_, _ = io.CopyN(s, zeros{}, size)
			_ = s.Close()
		}()
		if n, err := io.Copy(io.Discard, s); n != size || err != nil {
			t.Errorf("echoed %d bytes, %v, want %d", n, err, size)
		}
		if err := <-echoed; err != nil {
			t.Error(err)
		}
		_ = conn.CloseWithError(0, "")
		closeQuietly(t, client)
		closeQuietly(t, server)
		if s := w.Stats(); s.Lost == 0 || s.Duplicated == 0 || s.Reordered == 0 || s.TooBig != 0 {
			t.Errorf("stats = %+v, want some of each fault and nothing too big", s)
		}
	})
}

func echoOnce(ctx context.Context, l *quic.Listener) error {
	conn, err := l.Accept(ctx)
	if err != nil {
		return err
	}
	s, err := conn.AcceptStream(ctx)
	if err != nil {
		return err
	}
	if _, err := io.Copy(s, s); err != nil {
		return err
	}
	return s.Close()
}

// TestRealTime runs the world outside of a bubble: it waits for 20 real milliseconds.
func TestRealTime(t *testing.T) {
	w := newThree(1, Options{Link: Link{Latency: 10 * time.Millisecond}})
	t.Cleanup(runWorld(t, w.World))
	l := listen(t, w.b, wild(80))
	start := time.Now()
	c := dial(t, w.a, at(addrB, 80))
	if d := time.Since(start); d < 20*time.Millisecond {
		t.Errorf("Dial took %v, want a round trip of 20 ms at least", d)
	}
	write(t, c, "hello")
	if got := read(t, accept(t, l)); got != "hello" {
		t.Errorf("read %q, want hello", got)
	}
}
