package identity

import (
	"cmp"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"io"
	"time"

	micronet "github.com/micro/micro-net"
)

// Application protocols (RFC 7301).
const (
	ALPN      = "micro-net/1"       // between members
	ALPNJoin  = "micro-net-join/1"  // the guest has no certificate yet
	ALPNTrunk = "micro-net-trunk/1" // between members, for datagrams over TCP
	ALPNLane  = "micro-net-lane/1"  // between members, for streams of programs over TCP
)

// TLS makes the configurations of a node's connections: TLS 1.3 alone, both sides with a
// certificate of the cluster, no resumption. Who the peer is follows from its public key.
//
// The configurations stay right when the membership is renewed and when roots change.
type TLS struct {
	Keys       Keys
	Membership func() Membership    // the current one; called at every handshake, must not block
	Trust      *Trust               // never nil; empty before the node has joined
	Wall       func() time.Time     // the clock that certificates are checked against
	Grace      func() time.Duration // how long after its end a member's certificate counts; nil: not at all
	Entropy    io.Reader            // nil: crypto/rand
	Protocol   string               // "": ALPN
	Curves     []tls.CurveID        // nil: crypto/tls' choice, which begins with a post-quantum hybrid
}

// Client returns the configuration for dialling a node: the handshake fails if anybody else
// answers, also another member.
func (t TLS) Client(to micronet.NodeID) *tls.Config {
	c := t.config(cmp.Or(t.Protocol, ALPN), func(cs tls.ConnectionState) error {
		leaf, err := t.Trust.verifyParsed(cs.PeerCertificates, t.Wall(), x509.ExtKeyUsageServerAuth, t.grace())
		if err != nil {
			return err
		}
		if leaf.ID != to {
			return unauthorized("tls", "node %s answers in place of %s", leaf.ID.Short(), to.Short()).WithPeer(leaf.ID)
		}
		return nil
	})
	// The certificates of the peer are checked by VerifyConnection, which knows that names are
	// nothing and keys are everything.
	c.InsecureSkipVerify = true
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return t.certificate() }
	return c
}

// Server returns the configuration for accepting members.
func (t TLS) Server() *tls.Config {
	c := t.config(cmp.Or(t.Protocol, ALPN), func(cs tls.ConnectionState) error {
		_, err := t.Trust.verifyParsed(cs.PeerCertificates, t.Wall(), x509.ExtKeyUsageClientAuth, t.grace())
		return err
	})
	c.ClientAuth = tls.RequireAnyClientCert
	c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return t.certificate() }
	return c
}

// PeerID returns who is at the other end of a connection made with Client or Server.
func (t TLS) PeerID(cs tls.ConnectionState) (micronet.NodeID, error) { return PeerID(cs) }

// PeerID returns the public key of the peer's certificate. It trusts that the connection was made
// with a configuration of TLS.
func PeerID(cs tls.ConnectionState) (micronet.NodeID, error) {
	if len(cs.PeerCertificates) == 0 {
		return micronet.NodeID{}, unauthorized("tls", "the peer showed no certificate")
	}
	key, ok := cs.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
	if !ok {
		return micronet.NodeID{}, unauthorized("tls", "the peer's key is not Ed25519")
	}
	return micronet.NodeID(key), nil
}

func (t TLS) config(alpn string, verify func(tls.ConnectionState) error) *tls.Config {
	return &tls.Config{
		Rand:                   t.Entropy,
		Time:                   t.Wall,
		MinVersion:             tls.VersionTLS13,
		NextProtos:             []string{alpn},
		CurvePreferences:       t.Curves,
		SessionTicketsDisabled: true, // a resumed session would outlive a revocation
		VerifyConnection:       agreed(alpn, verify),
	}
}

// agreed adds that the protocol was agreed on: crypto/tls lets a peer that offers none pass.
func agreed(alpn string, verify func(tls.ConnectionState) error) func(tls.ConnectionState) error {
	return func(cs tls.ConnectionState) error {
		if cs.NegotiatedProtocol != alpn {
			return unauthorized("tls", "the peer does not speak %s", alpn)
		}
		return verify(cs)
	}
}

func (t TLS) grace() time.Duration {
	if t.Grace == nil {
		return 0
	}
	return t.Grace()
}

func (t TLS) certificate() (*tls.Certificate, error) {
	m := t.Membership()
	if m.IsZero() {
		return nil, unauthorized("tls", "this node has not joined a cluster yet")
	}
	return &tls.Certificate{Certificate: t.Trust.withRoot(m.Chain), PrivateKey: t.Keys.Sign}, nil
}
