// Package identity says who a node is and proves it: keys, the cluster's root, certificates,
// grants, credentials, join tokens and the exchange that turns a token into a membership.
//
// A node is its Ed25519 public key. Its cluster's authority states that in two forms: an X.509
// certificate for TLS, and a grant of at most some two hundred bytes that fits into a packet.
// From the grant and its own keys the node makes a credential: the few words that the path layer
// and membership need of a peer, verified from bytes alone. All are checked by a Trust, which
// holds the cluster's roots and the keys that were revoked; dates are checked against the time passed in.
//
//	root key ──signs──▶ node's certificate and grant              (chain: leaf)
//	root key ──signs──▶ authority's CA certificate and grant
//	                      └──signs──▶ node's certificate and grant (chain: leaf, authority)
//	node key ──signs──▶ node's credential {grant, box key, epoch, sequence, endpoints…}
//	root key, authority's key ──sign──▶ statements about the whole cluster, as revocations are
//
// By its grant an authority shows others that it is one; where the root key is, a grant by that key says so, and lets
// nobody sign anything.
//
// Every signature covers a domain of its own and the cluster id, and is verified over the bytes
// that were received. Identity is always the public key, never a name or a fingerprint of a
// certificate.
//
// The package reads no clock, opens no file and no connection: times, entropy, streams and
// storage are the caller's. Where something must be on disk before something else happens
// (a token's use before the certificate it buys), the functions return the state to be written
// and leave the receiver as it was.
//
// A revocation is a statement that names a public key: a second certificate of the same key, a copy of
// the first in other bytes, or a new name change nothing. Who holds all statements of the cluster, and
// tells a Trust what follows from them, is the caller.
//
// The right to issue ends without a revocation: an authority is demoted, a root is replaced by another one.
// Certificates that were issued before that count on until they end; what counts of statements is for whoever
// holds all of them.
//
// It does not know tunnels, gossip, the catalog or policy.
//
// Goroutines: none.
package identity
