package identity

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	micronet "github.com/micro/micro-net"
)

func (w *world) tls(k Keys, m Membership) TLS {
	return TLS{
		Keys: k, Membership: func() Membership { return m }, Trust: w.trust,
		Wall: func() time.Time { return epoch }, Entropy: w.entropy, Curves: []tls.CurveID{tls.X25519},
	}
}

type handshake struct {
	client, server           tls.ConnectionState
	clientError, serverError error
}

// bufferedConn is one end of an in-memory connection whose writes do not wait for the reader, as
// net.Pipe's do: both sides of a failed handshake write at once.
type bufferedConn struct {
	net.Conn // nil: nothing else is called
	in       <-chan []byte
	out      chan<- []byte
	rest     []byte
}

func bufferedPipe() (a, b *bufferedConn) {
	const flights = 64 // writes in one direction; more would block
	ab, ba := make(chan []byte, flights), make(chan []byte, flights)
	return &bufferedConn{in: ba, out: ab}, &bufferedConn{in: ab, out: ba}
}

func (c *bufferedConn) Write(b []byte) (int, error) {
	c.out <- slices.Clone(b)
	return len(b), nil
}

func (c *bufferedConn) Read(b []byte) (int, error) {
	if len(c.rest) == 0 {
		next, ok := <-c.in
		if !ok {
			return 0, io.EOF
		}
		c.rest = next
	}
	n := copy(b, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func (c *bufferedConn) Close() error {
	close(c.out)
	return nil
}

// shake runs a handshake with one byte to the client, who in TLS 1.3 learns that it was refused
// only when it reads.
func shake(t *testing.T, client, server *tls.Config) handshake {
	t.Helper()
	var h handshake
	synctest.Test(t, func(*testing.T) {
		a, b := bufferedPipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			c := tls.Server(b, server)
			h.serverError = c.Handshake()
			if h.serverError == nil {
				_, h.serverError = c.Write([]byte{1})
			}
			h.server = c.ConnectionState()
			b.Close()
		}()
		c := tls.Client(a, client)
		h.clientError = c.Handshake()
		if h.clientError == nil {
			_, h.clientError = io.ReadFull(c, make([]byte, 1))
		}
		h.client = c.ConnectionState()
		a.Close()
		<-done
	})
	return h
}

func TestHandshake(t *testing.T) {
	w := newWorld(t, 1)
	for name, a := range map[string]*Authority{"root": w.auth, "deputy": w.promoted(t)} {
		t.Run(name, func(t *testing.T) {
			ck, cm := w.member(t, w.auth, "client")
			sk, sm := w.member(t, a, "server")
			h := shake(t, w.tls(ck, cm).Client(sk.ID()), w.tls(sk, sm).Server())
			if h.clientError != nil || h.serverError != nil {
				t.Fatal(h.clientError, h.serverError)
			}
			if id, err := PeerID(h.client); err != nil || id != sk.ID() {
				t.Fatalf("the client sees %v, %v", id, err)
			}
			if id, err := w.tls(sk, sm).PeerID(h.server); err != nil || id != ck.ID() {
				t.Fatalf("the server sees %v, %v", id, err)
			}
			if h.client.Version != tls.VersionTLS13 || h.client.NegotiatedProtocol != "micro-net/1" || h.client.DidResume {
				t.Fatalf("version %x, protocol %q", h.client.Version, h.client.NegotiatedProtocol)
			}
		})
	}
}

func TestQ1_HandshakeMatrix(t *testing.T) {
	w := newWorld(t, 1)
	good, gm := w.member(t, w.auth, "good")
	bad := w.keys(t)
	for _, c := range badChains {
		t.Run(c.name, func(t *testing.T) {
			m := gm
			m.Chain = c.make(t, w, bad)
			keys := bad
			if c.name == "the root itself" {
				keys.Sign = w.root.key
			}
			h := shake(t, w.tls(keys, m).Client(good.ID()), w.tls(good, gm).Server())
			wantError(t, h.serverError, micronet.Unauthorized, c.word)
			if h.clientError == nil {
				t.Fatal("the refused client does not know")
			}
			h = shake(t, w.tls(good, gm).Client(keys.ID()), w.tls(keys, m).Server())
			wantError(t, h.clientError, micronet.Unauthorized, c.word)
			if h.serverError == nil {
				t.Fatal("the refused server does not know")
			}
		})
	}
}

func TestQ2_HandshakeOtherKeyTypes(t *testing.T) {
	w := newWorld(t, 1)
	k, m := w.member(t, w.auth, "good")
	for name, key := range foreignKeys(t) {
		t.Run(name, func(t *testing.T) {
			leaf := forge(t, leafOf(w, "a"), w.rootCert(t), publicOf(key), w.root.key)
			cert := &tls.Certificate{Certificate: [][]byte{leaf}, PrivateKey: key}
			client := w.tls(k, m).Client(k.ID())
			client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
			wantError(t, shake(t, client, w.tls(k, m).Server()).serverError, micronet.Unauthorized, "only Ed25519")
			server := w.tls(k, m).Server()
			server.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return cert, nil }
			wantError(t, shake(t, w.tls(k, m).Client(k.ID()), server).clientError, micronet.Unauthorized, "only Ed25519")
		})
	}
}

func TestQ1_HandshakeRefuses(t *testing.T) {
	w := newWorld(t, 1)
	k, m := w.member(t, w.auth, "a")
	other, om := w.member(t, w.auth, "b")
	good := func() (*tls.Config, *tls.Config) { return w.tls(k, m).Client(other.ID()), w.tls(other, om).Server() }

	t.Run("another member answers", func(t *testing.T) {
		h := shake(t, w.tls(k, m).Client(k.ID()), w.tls(other, om).Server())
		wantError(t, h.clientError, micronet.Unauthorized, "answers in place of")
	})
	t.Run("no certificate", func(t *testing.T) {
		client, server := good()
		client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &tls.Certificate{}, nil }
		h := shake(t, client, server)
		if h.serverError == nil || h.clientError == nil || !strings.Contains(h.serverError.Error(), "didn't provide a certificate") {
			t.Fatal(h.serverError, h.clientError)
		}
	})
	t.Run("a certificate without its key", func(t *testing.T) {
		stolen := w.tls(k, om) // the chain of b, the key of a
		h := shake(t, stolen.Client(other.ID()), w.tls(other, om).Server())
		if h.serverError == nil || h.clientError == nil {
			t.Fatal("somebody else's certificate is accepted")
		}
	})
	t.Run("TLS 1.2", func(t *testing.T) {
		client, server := good()
		client.MinVersion, client.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
		if h := shake(t, client, server); h.serverError == nil {
			t.Fatal("TLS 1.2 is accepted")
		}
	})
	t.Run("other protocol", func(t *testing.T) {
		client, server := good()
		client.NextProtos = []string{"h2"}
		if h := shake(t, client, server); h.serverError == nil {
			t.Fatal("another protocol is accepted")
		}
	})
	t.Run("no protocol", func(t *testing.T) {
		client, server := good()
		client.NextProtos, client.VerifyConnection = nil, nil
		wantError(t, shake(t, client, server).serverError, micronet.Unauthorized, "does not speak micro-net/1")
	})
	t.Run("not joined yet", func(t *testing.T) {
		h := shake(t, w.tls(k, m).Client(other.ID()), w.tls(other, Membership{}).Server())
		wantError(t, h.serverError, micronet.Unauthorized, "not joined")
	})
	t.Run("after expiry", func(t *testing.T) {
		late := w.tls(other, om)
		late.Wall = func() time.Time { return m.NotAfter.Add(time.Second) }
		wantIs(t, shake(t, w.tls(k, m).Client(other.ID()), late.Server()).serverError, ErrExpired)
	})
}

func TestQ28_HandshakeNoResumption(t *testing.T) {
	w := newWorld(t, 1)
	k, m := w.member(t, w.auth, "a")
	client, server := w.tls(k, m).Client(k.ID()), w.tls(k, m).Server()
	client.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	client.ServerName = "a"
	for range 2 {
		if h := shake(t, client, server); h.clientError != nil || h.server.DidResume {
			t.Fatal(h.clientError, h.server.DidResume)
		}
	}
}

// A renewed membership is shown by the very next handshake of an existing configuration.
func TestHandshakeAfterRenewal(t *testing.T) {
	w := newWorld(t, 1)
	k, m := w.member(t, w.auth, "a")
	current := m
	conf := w.tls(k, m)
	conf.Membership = func() Membership { return current }
	server := conf.Server()
	renewed, err := w.auth.Issue(epoch.Add(time.Hour), Request{ID: k.ID(), Name: "a"})
	if err != nil {
		t.Fatal(err)
	}
	current = renewed
	h := shake(t, w.tls(k, m).Client(k.ID()), server)
	if h.clientError != nil || string(h.client.PeerCertificates[0].Raw) != string(renewed.Chain[0]) {
		t.Fatal("the old certificate is shown", h.clientError)
	}
}

func TestPeerIDWithoutCertificate(t *testing.T) {
	_, err := PeerID(tls.ConnectionState{})
	wantError(t, err, micronet.Unauthorized, "no certificate")
	w := newWorld(t, 1)
	leaf := forge(t, leafOf(w, "a"), w.rootCert(t), publicOf(foreignKeys(t)["P-256"]), w.root.key)
	_, err = PeerID(tls.ConnectionState{PeerCertificates: []*x509.Certificate{mustParse(t, leaf)}})
	wantError(t, err, micronet.Unauthorized, "not Ed25519")
}
