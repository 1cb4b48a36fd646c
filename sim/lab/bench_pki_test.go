//go:build linux

package lab

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// benchPKI writes a P-256 authority and two certificates, a and b, for the programs that micro-net
// is measured beside: ca.pem, a.pem and b.pem (certificate and key). Both sides verify.
func benchPKI(t testing.TB, dir string) {
	t.Helper()
	caKey, ca := benchCertificate(t, 1, "bench ca", nil, nil)
	benchWrite(t, filepath.Join(dir, "ca.pem"), pemOf(t, ca.Raw, nil))
	for i, name := range []string{"a", "b"} {
		key, leaf := benchCertificate(t, int64(i+2), name, ca, caKey)
		benchWrite(t, filepath.Join(dir, name+".pem"), pemOf(t, leaf.Raw, key))
	}
}

func benchCertificate(t testing.TB, serial int64, name string, parent *x509.Certificate, by *ecdsa.PrivateKey) (*ecdsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		BasicConstraintsValid: true,
	}
	if parent == nil {
		template.IsCA, template.KeyUsage = true, x509.KeyUsageCertSign
		parent, by = template, key
	} else {
		template.DNSNames, template.IPAddresses = []string{name}, []net.IP{net.IPv4(127, 0, 0, 1)}
		template.KeyUsage = x509.KeyUsageDigitalSignature
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return key, cert
}

func pemOf(t testing.TB, cert []byte, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	var b bytes.Buffer
	err := pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: cert})
	if key != nil {
		raw, kerr := x509.MarshalPKCS8PrivateKey(key)
		err = errors.Join(err, kerr, pem.Encode(&b, &pem.Block{Type: "PRIVATE KEY", Bytes: raw}))
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func benchWrite(t testing.TB, file string, data []byte) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, data, 0o600)); err != nil {
		t.Fatal(err)
	}
}

// benchTLS reads one side's certificate for a peer written in Go.
func benchTLS(dir, name string) (*tls.Config, error) {
	file := filepath.Join(dir, name+".pem")
	cert, err := tls.LoadX509KeyPair(file, file)
	if err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(raw) {
		return nil, errors.New("no certificate in ca.pem")
	}
	return &tls.Config{
		Certificates: []tls.Certificate{cert}, RootCAs: roots, ClientCAs: roots, ClientAuth: tls.RequireAndVerifyClientCert,
		MinVersion: tls.VersionTLS13, NextProtos: []string{"bench"}, ServerName: "b",
	}, nil
}
