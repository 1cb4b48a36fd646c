package identity

import (
	"crypto/ed25519"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log/slog"
	"time"

	micronet "github.com/micro/micro-net"
)

// Root is the origin of a cluster's trust: a key and the certificate that it signed for itself.
// The key is needed only to make authorities and, while nobody was promoted, certificates.
type Root struct {
	Cluster     ClusterID
	ClusterName string
	Certificate []byte // DER; public
	key         ed25519.PrivateKey
}

const (
	rootMagic = "micro-net root 1\n"
	// rootPathLen allows one promoted authority between the root and a node.
	rootPathLen = 1
)

// NewRoot makes a cluster.
func NewRoot(entropy io.Reader, clusterName string, now time.Time) (Root, error) {
	if err := micronet.CheckName(clusterName); err != nil {
		return Root{}, invalid("root", "cluster name: %w", err)
	}
	var seed [ed25519.SeedSize]byte
	if _, err := io.ReadFull(entropy, seed[:]); err != nil {
		return Root{}, internal("root", "draw a key: %w", err)
	}
	r := Root{ClusterName: clusterName, key: ed25519.NewKeyFromSeed(seed[:])}
	r.Cluster = newClusterID(r.public(), clusterName)
	var err error
	r.Certificate, err = r.certify(entropy, now)
	return r, err
}

// certify makes the certificate that the root signs for itself.
func (r Root) certify(entropy io.Reader, now time.Time, more ...pkix.Extension) ([]byte, error) {
	serial, err := newSerial(entropy)
	if err != nil {
		return nil, err
	}
	template := caTemplate(r.Cluster, r.ClusterName, "micro-net root", rootPathLen, serial, term(now, RootTerm, time.Time{}))
	template.ExtraExtensions = more
	der, err := x509.CreateCertificate(entropy, template, template, r.public(), r.key)
	if err != nil {
		return nil, internal("root", "make the root certificate: %w", err)
	}
	return der, nil
}

func (r Root) public() ed25519.PublicKey { return r.key.Public().(ed25519.PublicKey) }

// Hash names the root.
func (r Root) Hash() RootHash { return hashRoot(r.public()) }

// ID is the root's key as the name of who issues.
func (r Root) ID() micronet.NodeID { return issuerOf(r.public()) }

// MarshalKey writes the secret half, with a version and a checksum.
func (r Root) MarshalKey() []byte { return sealSecret(rootMagic, r.key.Seed()) }

// ParseRoot joins what MarshalKey wrote with the certificate.
func ParseRoot(key, certificate []byte) (Root, error) {
	seed, err := openSecret("root", "a root key", rootMagic, ed25519.SeedSize, key)
	if err != nil {
		return Root{}, err
	}
	cert, err := parseCertificate("root", certificate)
	if err != nil {
		return Root{}, err
	}
	r := Root{Certificate: certificate, key: ed25519.NewKeyFromSeed(seed)}
	if !publicKey(cert).Equal(r.key.Public()) {
		return Root{}, invalid("root", "the root key does not belong to the root certificate: it is %w", ErrUntrusted)
	}
	if r.Cluster, r.ClusterName, err = rootCluster(cert); err != nil {
		return Root{}, err
	}
	return r, checkRoot("root", cert, r.Cluster)
}

// rootCluster reads the cluster out of a root certificate.
func rootCluster(c *x509.Certificate) (ClusterID, string, error) {
	if len(c.URIs) != 1 || len(c.Subject.Organization) != 1 || micronet.CheckName(c.Subject.Organization[0]) != nil {
		return ClusterID{}, "", invalid("root", "the certificate is no root of a micro-net cluster")
	}
	id, err := ParseClusterID(c.URIs[0].Host)
	if err != nil {
		return ClusterID{}, "", invalid("root", "the certificate is no root of a micro-net cluster: %w", err)
	}
	return id, c.Subject.Organization[0], nil
}

// String names the root without showing its key.
func (r Root) String() string { return "root of cluster " + r.ClusterName + " (redacted)" }

// Format prints String whatever the verb.
func (r Root) Format(f fmt.State, _ rune) { redact(f, r.String()) }

// LogValue is String.
func (r Root) LogValue() slog.Value { return slog.StringValue(r.String()) }
