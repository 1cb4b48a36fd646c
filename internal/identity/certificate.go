package identity

import (
	"crypto/ed25519"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net/url"
	"strings"
	"time"

	micronet "github.com/micro/micro-net"
)

// Bounds and terms of certificates.
const (
	MaxCertificate = 4096 // bytes of one certificate
	MaxChain       = 3    // certificates that a peer may show: leaf, authority, root
	MaxRoots       = 8    // roots that a cluster may have at once

	RootTerm      = 10 * 365 * 24 * time.Hour
	AuthorityTerm = 365 * 24 * time.Hour
	NodeTerm      = 14 * 24 * time.Hour
	// BackDated lets hosts whose clock is behind accept a new certificate at once.
	BackDated = 48 * time.Hour
)

const (
	spiffeScheme = "spiffe"
	nodePath     = "/node/"
)

// trustDomain is the SPIFFE id that CA certificates of a cluster carry.
func trustDomain(c ClusterID) *url.URL { return &url.URL{Scheme: spiffeScheme, Host: c.String()} }

// nodeURI is the SPIFFE id of a node (SPIFFE-ID section 2).
func nodeURI(c ClusterID, name string) *url.URL {
	return &url.URL{Scheme: spiffeScheme, Host: c.String(), Path: nodePath + name}
}

// term is the validity of something issued now, in whole seconds as X.509 has them, and never
// beyond its issuer's.
func term(now time.Time, d time.Duration, issuer time.Time) window {
	now = now.UTC().Truncate(time.Second)
	w := window{now.Add(-BackDated), now.Add(d)}
	if !issuer.IsZero() && issuer.Before(w.to) {
		w.to = issuer.UTC()
	}
	return w
}

func newSerial(entropy io.Reader) ([16]byte, error) {
	var s [16]byte
	if _, err := io.ReadFull(entropy, s[:]); err != nil {
		return s, internal("issue", "draw a serial number: %w", err)
	}
	return s, nil
}

// serialNumber makes a positive number of 20 octets at most of it (RFC 5280 section 4.1.2.2).
func serialNumber(s [16]byte) *big.Int {
	return new(big.Int).SetBytes(append([]byte{1}, s[:]...))
}

func caTemplate(cluster ClusterID, clusterName, commonName string, pathLen int, serial [16]byte, w window) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber:          serialNumber(serial),
		Subject:               pkix.Name{CommonName: commonName, Organization: []string{clusterName}},
		NotBefore:             w.from,
		NotAfter:              w.to,
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLen:            pathLen,
		MaxPathLenZero:        pathLen == 0,
		URIs:                  []*url.URL{trustDomain(cluster)},
	}
}

func leafTemplate(cluster ClusterID, clusterName, name string, serial [16]byte, w window) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber:          serialNumber(serial),
		Subject:               pkix.Name{CommonName: name, Organization: []string{clusterName}},
		NotBefore:             w.from,
		NotAfter:              w.to,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		URIs:                  []*url.URL{nodeURI(cluster, name)},
	}
}

// parseCertificate reads one certificate and refuses what no cluster ever issues before anything
// expensive is done with it.
func parseCertificate(op string, der []byte) (*x509.Certificate, error) {
	if len(der) > MaxCertificate {
		return nil, unauthorized(op, "the certificate has %d bytes, at most %d are accepted", len(der), MaxCertificate)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, unauthorized(op, "the certificate cannot be read: %w", err)
	}
	return c, checkAlgorithm(op, c)
}

func checkAlgorithm(op string, c *x509.Certificate) error {
	if c.PublicKeyAlgorithm != x509.Ed25519 {
		return unauthorized(op, "the certificate's key is %s, only Ed25519 is accepted", c.PublicKeyAlgorithm)
	}
	if c.SignatureAlgorithm != x509.PureEd25519 {
		return unauthorized(op, "the certificate's signature is %s, only Ed25519 is accepted", c.SignatureAlgorithm)
	}
	return nil
}

// checkRoot reports why c is no root of the cluster.
func checkRoot(op string, c *x509.Certificate, cluster ClusterID) error {
	if !c.IsCA || c.CheckSignatureFrom(c) != nil {
		return unauthorized(op, "the root certificate is not one that signed itself")
	}
	if len(c.URIs) != 1 || c.URIs[0].String() != trustDomain(cluster).String() {
		return unauthorized(op, "the root certificate is not one of cluster %s", cluster)
	}
	if !inherits(c, cluster) {
		return unauthorized(op, "the root certificate names others before it that have not handed over to it")
	}
	return nil
}

// leafName reads the name out of a node's certificate, which must carry the node's SPIFFE id in
// this cluster and no other name.
func leafName(op string, c *x509.Certificate, cluster ClusterID) (string, error) {
	if len(c.URIs) != 1 || len(c.DNSNames)+len(c.EmailAddresses)+len(c.IPAddresses) != 0 {
		return "", unauthorized(op, "the certificate does not carry exactly one name, a SPIFFE id")
	}
	u := c.URIs[0]
	if u.Scheme != spiffeScheme {
		return "", unauthorized(op, "the certificate's name is no SPIFFE id")
	}
	if u.Host != cluster.String() {
		return "", unauthorized(op, "the certificate is for cluster %.64q, this is cluster %q", u.Host, cluster)
	}
	name, ok := strings.CutPrefix(u.Path, nodePath)
	if !ok || micronet.CheckLabel(name) != nil || u.String() != nodeURI(cluster, name).String() {
		return "", unauthorized(op, "the certificate's SPIFFE id does not name a node")
	}
	return name, nil
}

// publicKey returns the key of a certificate that checkAlgorithm has passed.
func publicKey(c *x509.Certificate) ed25519.PublicKey {
	key, _ := c.PublicKey.(ed25519.PublicKey)
	return key
}
