package identity

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"slices"
	"time"
)

// JoinServer returns the configuration for accepting a guest: the node shows its chain with the
// root at its end, because the guest knows nothing but the root's hash; the guest shows nothing.
func (t TLS) JoinServer() *tls.Config {
	c := t.config(ALPNJoin, func(tls.ConnectionState) error { return nil })
	c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		cert, err := t.certificate()
		if err != nil {
			return nil, err
		}
		if cert.Certificate, err = t.Trust.shown(t.Membership().Chain); err != nil {
			return nil, err
		}
		return cert, nil
	}
	return c
}

// JoinClient returns the configuration for joining with a token: whoever answers must show a
// chain that ends in the very root that the token pins.
func JoinClient(token Token, wall func() time.Time, entropy io.Reader) *tls.Config {
	t := TLS{Wall: wall, Entropy: entropy}
	c := t.config(ALPNJoin, func(cs tls.ConnectionState) error {
		trust, err := token.trust(cs.PeerCertificates)
		if err != nil {
			return err
		}
		_, err = trust.verifyParsed(cs.PeerCertificates, wall(), x509.ExtKeyUsageServerAuth, 0)
		return err
	})
	c.InsecureSkipVerify = true // VerifyConnection pins the root
	return c
}

// trust returns a Trust in the pinned root alone, which must be among the certificates shown.
func (t Token) trust(shown []*x509.Certificate) (*Trust, error) {
	if err := checkCount(len(shown)); err != nil {
		return nil, err
	}
	if trust, ok := t.trustAmong(shown); ok {
		return trust, nil
	}
	return nil, unauthorized("join", "who answers is not of cluster %q: it does not show the root that the token names", t.ClusterName).
		WithFix("check the address in the token, or ask for a new token")
}

// shown is a chain with its root at the end.
func (t *Trust) shown(chain [][]byte) ([][]byte, error) {
	root, err := t.rootOf(chain)
	if err != nil {
		return nil, err
	}
	return append(slices.Clone(chain), root), nil
}

// withRoot is what members show each other: the chain alone, and its root where it has taken over from
// another one, which is all that a peer may know that was away since.
func (t *Trust) withRoot(chain [][]byte) [][]byte {
	if len(t.snapshot().certs) == 1 {
		return chain
	}
	if all, err := t.shown(chain); err == nil {
		return all
	}
	return chain
}

// rootOf returns the root (DER) that the last certificate of a chain names as its issuer.
func (t *Trust) rootOf(chain [][]byte) ([]byte, error) {
	last, err := parseCertificate("join", chain[len(chain)-1])
	if err != nil {
		return nil, err
	}
	for _, root := range t.snapshot().certs {
		if last.CheckSignatureFrom(root) == nil {
			return root.Raw, nil
		}
	}
	return nil, internal("join", "the certificate of this node leads to no root of the cluster")
}
