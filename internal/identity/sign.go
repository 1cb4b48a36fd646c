package identity

import (
	"crypto/ed25519"
)

// The domains of signatures. A signature made for one is worth nothing in another. They begin
// with a letter, so that they also differ from what X.509 (0x30) and TLS (0x20) sign.
const (
	domainGrant      = "micro-net grant v1"
	domainCredential = "micro-net credential v1"
	domainProof      = "micro-net join proof v1"
	domainPossession = "micro-net join possession v1"
	domainAnswer     = "micro-net join answer v1"
	domainStatement  = "micro-net statement v1"
	domainSuccession = "micro-net root succession v1"
)

// message is what is signed: the domain, a zero byte, the cluster id and the parts. All parts
// but the last have a fixed length in their domain.
func message(domain string, cluster ClusterID, parts ...[]byte) []byte {
	n := len(domain) + 1 + len(cluster)
	for _, p := range parts {
		n += len(p)
	}
	m := make([]byte, 0, n)
	m = append(m, domain...)
	m = append(m, 0)
	m = append(m, cluster[:]...)
	for _, p := range parts {
		m = append(m, p...)
	}
	return m
}

// verify is ed25519.Verify for keys of any length. It refuses signatures whose S is not
// canonical (RFC 8032 section 5.1.7), so that nobody can turn one into another.
func verify(key ed25519.PublicKey, msg, sig []byte) bool {
	return len(key) == ed25519.PublicKeySize && ed25519.Verify(key, msg, sig)
}
