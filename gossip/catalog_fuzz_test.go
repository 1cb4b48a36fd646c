package gossip_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/micro/micro-net/gossip"
)

// checkHeld imports all that a catalog holds into an empty one: whatever was taken must be
// genuine, complete and readable by others.
func checkHeld(t *testing.T, c *gossip.Catalog) {
	t.Helper()
	fresh := newTestCatalog(5000)
	for _, e := range c.All() {
		raw, _ := c.Document(catalogStart, e.Document.Owner)
		if _, err := fresh.Import(catalogStart, raw); err != nil {
			t.Fatalf("what is held of %s is not taken elsewhere: %v", e.Document.Owner.Short(), err)
		}
	}
	if catalogState(fresh, catalogStart) != catalogState(c, catalogStart) {
		t.Fatal("a copy differs from its original")
	}
}

// resign puts owner, cluster, hash and signature of node 1 under whatever the header says, so
// that mutations get past the cheap checks.
func resign(msg []byte) {
	at := 1
	if len(msg) > 0 && msg[0] == 1 {
		at = headerOffset
	}
	if len(msg) < at+166 {
		return
	}
	id, key := catalogKey(1)
	head := msg[at : at+102]
	copy(head[2:], catalogCluster[:])
	copy(head[18:], id[:])
	if msg[0] == 1 {
		hash := sha256.Sum256(msg[bodyOffset:])
		copy(head[70:], hash[:])
	}
	copy(msg[at+102:], ed25519.Sign(key, append([]byte("micro-net/record/1\x00"), head...)))
}

func FuzzReceive(f *testing.F) {
	a := newTestCatalog(1)
	full, second, third, thirdFull := largeWithDelta(f, a)
	small := mustPublish(f, newTestCatalog(1), catalogStart, testDocument("alpha", "web-1"))
	for _, msg := range [][]byte{full, second, third, thirdFull, small, append([]byte{3}, third[1:167]...)} {
		f.Add(msg, false)
		f.Add(msg, true)
	}
	f.Fuzz(func(t *testing.T, msg []byte, signed bool) {
		c := newTestCatalog(2)
		mustReceive(t, c, catalogStart, full)
		before := catalogState(c, catalogStart)
		if msg = slices.Clone(msg); signed {
			resign(msg)
		}
		out, err := c.Receive(catalogStart, msg)
		if (err != nil || len(out.Changed) == 0) && c.Stats(catalogStart).Accepted == 1 && catalogState(c, catalogStart) != before {
			t.Fatalf("the catalog changed and nobody was told: %+v, %v", out, err)
		}
		if len(out.Broadcast) > gossip.MaxBroadcast {
			t.Fatalf("a broadcast of %d bytes", len(out.Broadcast))
		}
		checkHeld(t, c)
	})
}

func FuzzDigest(f *testing.F) {
	c := newTestCatalog(2)
	for seed := 10; seed < 15; seed++ {
		mustReceive(f, c, catalogStart, mustPublish(f, newTestCatalog(seed), catalogStart, testDocument("node")))
	}
	f.Add(c.Digest(catalogStart))
	f.Add(lie(c.Digest(catalogStart)))
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, digest []byte) {
		before := catalogState(c, catalogStart)
		want, offer, err := c.Compare(catalogStart, digest)
		if err != nil && len(want)+len(offer) > 0 {
			t.Fatalf("an error and a result: %v, %v, %v", want, offer, err)
		}
		if len(want) > len(digest)/60 || len(offer) > 5 {
			t.Fatalf("%d wanted and %d offered for %d bytes", len(want), len(offer), len(digest))
		}
		if catalogState(c, catalogStart) != before {
			t.Fatal("a digest changed the catalog")
		}
	})
}

func FuzzSync(f *testing.F) {
	peer := filled(f, 9, sortedOwners(20, 21, 22)...)
	var docs [][]byte
	for _, seed := range sortedOwners(20, 21, 22) {
		docs = append(docs, frame(2, mustDocument(f, peer.cat, peer.now, seed)))
	}
	all := slices.Concat(docs...)
	digest := frame(1, peer.cat.Digest(peer.now))
	f.Add(slices.Concat(all, frame(3, nil)), false)
	f.Add(slices.Concat(digest, all, frame(4, nil)), true)
	f.Add(frame(3, slices.Concat(digest[6:38])), true)
	f.Fuzz(func(t *testing.T, said []byte, server bool) {
		s := filled(t, 1, 30, 31)
		run := gossip.SyncClient
		if server {
			run = gossip.SyncServer
		}
		peer := says(said)
		stats, err := run(peer, s, gossip.SyncLimits{MaxBytes: 1 << 20})
		if stats.In > int64(len(said))+1<<20 || stats.Out != int64(peer.heard.Len()) && err == nil {
			t.Fatalf("stats = %+v after %d bytes heard and %d sent", stats, len(said), peer.heard.Len())
		}
		checkHeld(t, s.cat)
	})
}

// FuzzMergeCommutes reads its input as documents of three owners, signs them, and hears them
// forwards, backwards and twice.
func FuzzMergeCommutes(f *testing.F) {
	f.Add([]byte{0, 1, 1, 0, 1, 1, 2, 5, 0, 1, 9, 3})
	f.Add([]byte{2, 3, 0xff, 7, 2, 3, 1, 7, 2, 2, 200, 0, 2, 3, 0xff, 7})
	f.Add([]byte("\t1100\"2001!1"))
	f.Add([]byte("\x00\x01\x01\xea\x03\x7f\xff\xff\xff\x01\t\x00"))
	f.Add([]byte("\x00\a\xff\xc8\x00\x02\x03\x03"))
	f.Add([]byte("\xa9\x01\xa9\xa9\xa9\x91\x80|\xa9\xa1T@\xa6`gy"))
	bodies := [][]byte{}
	for i := range 8 {
		c := newTestCatalog(1)
		bodies = append(bodies, mustPublish(f, c, catalogStart, testDocument("node", instanceNames(i)...)))
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		var messages [][]byte
		announced := false
		for ; len(script) >= 4 && len(messages) < 100; script = script[4:] {
			owner, epoch, seq := int(script[0]%3), uint64(script[1]), uint64(script[2])
			left := seq == 0xff
			if left {
				seq = gossip.LastSeq
			}
			// What a version contains follows from it, as an honest owner signs it only once.
			body := bodies[(epoch*31+seq+uint64(owner))%8]
			msg := forge(owner, body, func(head []byte) {
				id, _ := catalogKey(owner)
				copy(head[18:], id[:])
				setVersion(epoch, seq, left)(head)
			})
			binary.BigEndian.PutUint32(msg[ageOffset:], uint32(script[3]))
			if script[3]%4 == 0 {
				msg = append([]byte{3}, msg[headerOffset:bodyOffset]...)
				announced = true
			}
			messages = append(messages, msg)
		}
		a, b, twice := newTestCatalog(100), newTestCatalog(101), newTestCatalog(102)
		for i := range messages {
			_, _ = a.Receive(catalogStart, messages[i])
			_, _ = b.Receive(catalogStart, messages[len(messages)-1-i])
			_, _ = twice.Receive(catalogStart, messages[i])
			_, _ = twice.Receive(catalogStart, messages[i])
		}
		for _, msg := range messages {
			_, _ = twice.Receive(catalogStart, msg)
		}
		// Of announcements only the newest is remembered, so that one that is repeated after the
		// items arrived may still bring a version. Documents bring all at once.
		if !announced && catalogState(a, catalogStart) != catalogState(b, catalogStart) {
			t.Fatal("the order changed the catalog")
		}
		if !announced && catalogState(a, catalogStart) != catalogState(twice, catalogStart) {
			t.Fatal("repetitions changed the catalog")
		}
		syncCatalogs(t, catalogStart, a, b)
		syncCatalogs(t, catalogStart, b, twice)
		syncCatalogs(t, catalogStart, a, b)
		for _, c := range []*gossip.Catalog{b, twice} {
			if catalogState(c, catalogStart) != catalogState(a, catalogStart) {
				t.Fatal("after a synchronisation the catalogs differ")
			}
		}
		checkHeld(t, a)
	})
}
