package node

import (
	"crypto/ed25519"
	"encoding/binary"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/gossip/wire"
)

// stranger signs a document with keys that nobody has certified.
func stranger(t *testing.T, cluster [16]byte, n int) (micronet.NodeID, []byte) {
	t.Helper()
	key := ed25519.NewKeyFromSeed(binary.BigEndian.AppendUint16(make([]byte, ed25519.SeedSize-2), uint16(n)))
	id := micronet.NodeID(key.Public().(ed25519.PublicKey))
	c := gossip.NewCatalog(gossip.CatalogConfig{Self: id, Epoch: 1 << 20, Key: key, Cluster: cluster, Codec: wire.New()})
	out, err := c.Publish(time.Now(), gossip.Document{
		Name: "stranger", Cluster: "main", Software: "1", Heartbeat: []byte{1}, Instances: []micronet.Instance{{
			Service: "payments", ID: "payments", Address: netip.MustParseAddr("127.0.0.1"), Port: 80, ServicePort: 80,
			Protocol: micronet.TCP, Weight: 100, Health: micronet.Passing,
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return id, out.Broadcast
}

// Anybody can make keys and sign with them. Only who holds a certificate has a place in the catalog, so
// that nobody fills it with nodes that are none.
func TestQ15_RecordsNeedACertificate(t *testing.T) {
	inBubble(t, 191, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b")
		l := all[0].life()
		before := l.records.stats()
		for n := range 2 * maxStrangers {
			_, msg := stranger(t, l.pass.trust.Cluster(), n)
			l.records.received(msg)
			if err := l.records.Import(msg); gossip.ReasonOf(err) != gossip.ReasonUnadmitted {
				t.Fatalf("Import = %v, want that its owner is unknown", err)
			}
		}
		digest := strangersDigest(t, l.pass.trust.Cluster())
		if want, _, err := l.records.Compare(digest); err != nil || len(want) != 0 {
			t.Errorf("Compare = %v, %v, want nothing of a stranger", want, err)
		}
		after := l.records.stats()
		if after.Documents != before.Documents || after.Pending != 0 || after.Refused[gossip.ReasonUnadmitted] != 4*maxStrangers {
			t.Errorf("%d documents, %d pending, refused %v", after.Documents, after.Pending, after.Refused)
		}
		if n := len(l.records.strangers); n > maxStrangers {
			t.Errorf("%d strangers are remembered", n)
		}
		if n := len(l.view.Load().nodes); n != 2 {
			t.Errorf("%d nodes, want 2", n)
		}
	})
}

// strangersDigest is the digest of a catalog that holds a stranger's document.
func strangersDigest(t *testing.T, cluster [16]byte) []byte {
	t.Helper()
	_, msg := stranger(t, cluster, 1)
	c := gossip.NewCatalog(gossip.CatalogConfig{Self: id(9), Epoch: 1, Cluster: cluster, Codec: wire.New()})
	if _, err := c.Import(time.Now(), msg); err != nil {
		t.Fatal(err)
	}
	return c.Digest(time.Now())
}

// A document that came before the certificate of its owner is fetched once that is there.
func TestEarlyDocumentsAreFetched(t *testing.T) {
	known := map[micronet.NodeID]bool{}
	env := micronet.Env{}.EnsureDefaults()
	r := newRecords(env, gossip.CatalogConfig{Self: id(9), Epoch: 1, Cluster: [16]byte{1}, Codec: wire.New(), Admit: func(id micronet.NodeID) error {
		if known[id] {
			return nil
		}
		return micronet.E("test", micronet.Unauthorized, "a stranger")
	}}, effects{spread: func(string, []byte) {}, changed: func() {}, behind: func() {}})
	owner, msg := stranger(t, [16]byte{1}, 1)
	r.received(msg)
	other, _ := stranger(t, [16]byte{1}, 2)
	known[owner], known[other] = true, true
	r.admitted(other)
	r.admitted(owner)
	r.admitted(owner)
	if len(r.wants) != 1 {
		t.Fatalf("%d wishes, want one", len(r.wants))
	}
	if w := <-r.wants; w.Owner != owner || !r.lacks(w) {
		t.Errorf("%v is wanted, want %s", w, owner.Short())
	}
}

// TestEarlyDocumentsMakeNoNoise: while nodes join, documents come before certificates, and are asked for again. It is
// told only where that does not help.
func TestEarlyDocumentsMakeNoNoise(t *testing.T) {
	log := &recorder{}
	events := logEvents(log.logger())
	events.RecordRefused(micronet.RecordRefusal{Reason: string(gossip.ReasonUnadmitted)})
	if n := log.count("a record was refused"); n != 0 {
		t.Errorf("%d lines", n)
	}
	events.RecordRefused(micronet.RecordRefusal{Reason: string(gossip.ReasonSignature)})
	if n := log.count("a record was refused"); n != 1 || log.count("peer=") != 0 {
		t.Errorf("%d lines, want one", n)
	}
	synctest.Test(t, func(t *testing.T) {
		log := &recorder{}
		env := micronet.Env{Log: log.logger()}.EnsureDefaults()
		r := newRecords(env, gossip.CatalogConfig{Self: id(9), Epoch: 1, Cluster: [16]byte{1}, Codec: wire.New(), Admit: func(micronet.NodeID) error {
			return micronet.E("test", micronet.Unauthorized, "a stranger")
		}}, effects{spread: func(string, []byte) {}, changed: func() {}, behind: func() {}})
		_, msg := stranger(t, [16]byte{1}, 1)
		r.received(msg)
		for _, want := range []int{0, 1, 1} {
			r.expire(func(micronet.NodeID) bool { return true })
			if n := log.count("records came of nodes that are no members"); n != want {
				t.Errorf("%d lines, want %d", n, want)
			}
			time.Sleep(strangerFor)
		}
	})
}
