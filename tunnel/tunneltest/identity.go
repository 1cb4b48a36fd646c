package tunneltest

import (
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"slices"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
)

// Identity is a key with a certificate of its own: in these tests nobody signs for others.
type Identity struct {
	ID          micronet.NodeID
	Certificate tls.Certificate
}

var _ tunnel.TLS = (*Identity)(nil)

// NewIdentity returns that of a seed.
func NewIdentity(t testing.TB, seed byte) *Identity {
	t.Helper()
	key := ed25519.NewKeyFromSeed(slices.Repeat([]byte{seed}, ed25519.SeedSize))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * time.Hour),
	}
	der, err := x509.CreateCertificate(nil, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &Identity{
		ID:          micronet.NodeID(key.Public().(ed25519.PublicKey)),
		Certificate: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
	}
}

// Client takes whoever answers: PeerID tells who it is.
func (i *Identity) Client(micronet.NodeID) *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{i.Certificate}, InsecureSkipVerify: true, CurvePreferences: []tls.CurveID{tls.X25519},
	}
}

// Server takes whoever has a certificate.
func (i *Identity) Server() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{i.Certificate}, ClientAuth: tls.RequireAnyClientCert}
}

// PeerID reads the key of the other end.
func (i *Identity) PeerID(s tls.ConnectionState) (micronet.NodeID, error) {
	if len(s.PeerCertificates) == 0 {
		return micronet.NodeID{}, errors.New("no certificate")
	}
	key, ok := s.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
	if !ok {
		return micronet.NodeID{}, errors.New("no Ed25519 key")
	}
	return micronet.NodeID(key), nil
}
