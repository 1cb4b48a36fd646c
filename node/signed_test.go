package node

import (
	"crypto/ed25519"
	"crypto/x509"
	"math/rand/v2"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/gossip/wire"
	"github.com/micro/micro-net/internal/identity"
)

// signedWorld is a cluster with one of each thing that is signed in it.
type signedWorld struct {
	trust  *identity.Trust
	member identity.Membership
	id     micronet.NodeID
	things map[string][]byte
}

func newSignedWorld(t *testing.T, seed byte, at time.Time) *signedWorld {
	t.Helper()
	entropy := rand.NewChaCha8([32]byte{seed})
	must := func(b []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	root, err := identity.NewRoot(entropy, "main", at)
	if err != nil {
		t.Fatal(err)
	}
	auth, err := root.Authority(entropy)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := identity.NewKeys(rand.NewChaCha8([32]byte{200})) // the same node in every world
	if err != nil {
		t.Fatal(err)
	}
	w := &signedWorld{id: keys.ID()}
	if w.member, err = auth.Issue(at, identity.Request{ID: keys.ID(), Name: "a"}); err != nil {
		t.Fatal(err)
	}
	if w.trust, err = w.member.Trust(); err != nil {
		t.Fatal(err)
	}
	cat := gossip.NewCatalog(gossip.CatalogConfig{Self: keys.ID(), Epoch: 1, Key: keys.Sign, Cluster: root.Cluster, Codec: wire.New()})
	if _, err := cat.Publish(at, gossip.Document{Owner: keys.ID(), Name: "a", Cluster: "main"}); err != nil {
		t.Fatal(err)
	}
	document, _ := cat.Document(at, keys.ID())
	w.things = map[string][]byte{
		"certificate": w.member.Chain[0], "grant": w.member.Grant, "record": document,
		"right":      must(auth.Right(w.member)),
		"credential": must(identity.NewCredential(keys, w.member, identity.Self{Epoch: 1, Seq: 1})),
		"statement":  must(auth.State(at, identity.Statement{Kind: 99, Subject: []byte("x"), Clock: identity.ClockAt(at)})),
		"revocation": must(auth.Revoke(at, identity.ClockAt(at), micronet.NodeID{1}, identity.Revocation{Name: "b", When: at}, false)),
	}
	return w
}

// readers are all that take signed bytes from others, by what they take.
func (w *signedWorld) readers(at time.Time) map[string]func([]byte) error {
	statement := func(b []byte) error { _, err := w.trust.VerifyStatement(b, at); return err }
	return map[string]func([]byte) error{
		"certificate": func(b []byte) error {
			_, err := w.trust.VerifyChain([][]byte{b}, at, x509.ExtKeyUsageClientAuth, 0)
			return err
		},
		"grant":      func(b []byte) error { _, err := w.trust.VerifyGrant(b, nil, at); return err },
		"right":      func(b []byte) error { _, err := w.trust.VerifyRight(b, w.id, at); return err },
		"credential": func(b []byte) error { _, err := w.trust.VerifyCredential(b, at, 0); return err },
		"statement":  statement,
		"revocation": func(b []byte) error {
			s, err := w.trust.VerifyStatement(b, at)
			if err == nil && !s.Kind.Permanent() {
				err = micronet.E("test", micronet.Refused, "it revokes nothing")
			}
			return err
		},
		"record": func(b []byte) error {
			c := gossip.NewCatalog(gossip.CatalogConfig{Self: micronet.NodeID{7}, Epoch: 1, Cluster: w.trust.Cluster(), Codec: wire.New()})
			_, err := c.Import(at, b)
			return err
		},
	}
}

// TestQ4_NothingSignedCountsAsSomethingElse: each thing that is signed, whole and with its signature behind
// the words of each other one, offered to every reader, in its own cluster and in another one that has
// the same node in it.
func TestQ4_NothingSignedCountsAsSomethingElse(t *testing.T) {
	at := time.Date(2031, 3, 4, 5, 6, 7, 0, time.UTC)
	here, there := newSignedWorld(t, 1, at), newSignedWorld(t, 2, at)
	if here.id != there.id || here.trust.Cluster() == there.trust.Cluster() {
		t.Fatal("the two worlds are not what the test needs")
	}
	cases := 0
	for what, raw := range here.things {
		for wanted, read := range here.readers(at) {
			cases++
			good := what == wanted || (what == "revocation" && wanted == "statement") || (what == "right" && wanted == "grant")
			if err := read(raw); (err == nil) != good {
				t.Errorf("a %s for a %s: %v", what, wanted, err)
			}
			if what == wanted {
				continue
			}
			cases++
			if body := here.things[wanted]; len(raw) > ed25519.SignatureSize && read(transplanted(body, raw)) == nil {
				t.Errorf("the signature of a %s counts under a %s", what, wanted)
			}
		}
		for wanted, read := range there.readers(at) {
			cases++
			if read(raw) == nil {
				t.Errorf("a %s of one cluster is a %s in another", what, wanted)
			}
		}
	}
	if cases < 90 {
		t.Errorf("%d cases, there must be more", cases)
	}
}

// transplanted is a body with the last 64 bytes, where signatures stand, of something else.
func transplanted(body, from []byte) []byte {
	out := append([]byte(nil), body[:max(0, len(body)-ed25519.SignatureSize)]...)
	return append(out, from[len(from)-ed25519.SignatureSize:]...)
}
