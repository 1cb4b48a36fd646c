package gossip_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/gossip/wire"
)

var (
	catalogStart   = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	catalogCluster = [16]byte{'m', 'a', 'i', 'n'}
)

var errNoGrant = errors.New("no grant")

// Offsets in a full message: type 1, age 4, then the signed header.
const (
	ageOffset    = 1
	headerOffset = 5
	bodyOffset   = headerOffset + 166
)

func catalogKey(seed int) (micronet.NodeID, ed25519.PrivateKey) {
	var s [ed25519.SeedSize]byte
	binary.BigEndian.PutUint64(s[:], uint64(seed))
	key := ed25519.NewKeyFromSeed(s[:])
	return micronet.NodeID(key.Public().(ed25519.PublicKey)), key
}

// newTestCatalog makes the catalog of node number seed in its epoch 1.
func newTestCatalog(seed int, change ...func(*gossip.CatalogConfig)) *gossip.Catalog {
	id, key := catalogKey(seed)
	cfg := gossip.CatalogConfig{Self: id, Key: key, Epoch: 1, Cluster: catalogCluster, Codec: wire.New()}
	for _, f := range change {
		f(&cfg)
	}
	return gossip.NewCatalog(cfg)
}

func testDocument(name string, instances ...string) gossip.Document {
	d := gossip.Document{Name: name, Cluster: "main", Software: "1.0.0"}
	for _, id := range instances {
		d.Instances = append(d.Instances, micronet.Instance{
			Service: "web", ID: id, Address: netip.MustParseAddr("127.0.0.1"), Port: 8080, ServicePort: 80,
			Protocol: micronet.HTTP, Weight: 100, Health: micronet.Passing,
		})
	}
	return d
}

func instanceNames(n int) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("web-%03d", i))
	}
	return out
}

func mustPublish(t testing.TB, c *gossip.Catalog, now time.Time, d gossip.Document) []byte {
	t.Helper()
	out, err := c.Publish(now, d)
	if err != nil {
		t.Fatal(err)
	}
	return out.Broadcast
}

func mustReceive(t testing.TB, c *gossip.Catalog, now time.Time, msg []byte) gossip.Outcome {
	t.Helper()
	out, err := c.Receive(now, msg)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func mustDocument(t testing.TB, c *gossip.Catalog, now time.Time, seed int) []byte {
	t.Helper()
	id, _ := catalogKey(seed)
	raw, ok := c.Document(now, id)
	if !ok {
		t.Fatalf("no document of %s", id.Short())
	}
	return raw
}

// catalogState is what equal catalogs have in common: all signed bytes, and what they mean.
func catalogState(c *gossip.Catalog, now time.Time) string {
	var b strings.Builder
	for _, e := range c.All() {
		raw, _ := c.Document(now, e.Document.Owner)
		fmt.Fprintf(&b, "%x\n%+v\n", raw[headerOffset:], e.Document)
	}
	return b.String()
}

// syncCatalogs does what a synchronisation does, without the stream.
func syncCatalogs(t testing.TB, now time.Time, a, b *gossip.Catalog) {
	t.Helper()
	want, offer, err := b.Compare(now, a.Digest(now))
	if err != nil {
		t.Fatal(err)
	}
	carry := func(from, to *gossip.Catalog, ids []micronet.NodeID) {
		for _, id := range ids {
			if raw, ok := from.Document(now, id); ok {
				_, _ = to.Import(now, raw)
			}
		}
	}
	carry(a, b, want)
	carry(b, a, offer)
}

func TestPublishChoosesTheMessage(t *testing.T) {
	c := newTestCatalog(1)
	now := catalogStart
	small := mustPublish(t, c, now, testDocument("alpha", "web-1"))
	if small[0] != 1 {
		t.Errorf("a small document is sent as type %d, want 1 (full)", small[0])
	}
	now = now.Add(time.Minute)
	large := testDocument("alpha", instanceNames(50)...)
	if msg := mustPublish(t, c, now, large); msg[0] != 3 || len(msg) != 167 {
		t.Errorf("a large change is sent as type %d of %d bytes, want 3 (announce) of 167", msg[0], len(msg))
	}
	now = now.Add(time.Minute)
	large.Instances[7].Health = micronet.Critical
	if msg := mustPublish(t, c, now, large); msg[0] != 2 || len(msg) > gossip.MaxBroadcast {
		t.Errorf("a small change of a large document is sent as type %d of %d bytes, want 2 (delta)", msg[0], len(msg))
	}
	id, _ := catalogKey(1)
	e, _ := c.Get(id)
	if want := (gossip.Version{Epoch: 1, Seq: 3}); e.Document.Version != want {
		t.Errorf("after three changes the version is %v, want %v", e.Document.Version, want)
	}
	out, err := c.Publish(now, large)
	if err != nil || out.Broadcast != nil || len(out.Changed) != 0 {
		t.Errorf("Publish of the same = %+v, %v, want nothing", out, err)
	}
}

func TestPublishRefusals(t *testing.T) {
	_, other := catalogKey(2)
	huge := testDocument("alpha", instanceNames(200)...)
	for i := range huge.Instances {
		huge.Instances[i].Tags = []string{strings.Repeat("x", 4096), strings.Repeat("y", 4096)}
	}
	cases := []struct {
		name   string
		doc    gossip.Document
		change func(*gossip.CatalogConfig)
		kind   micronet.Kind
	}{
		{"no key", testDocument("alpha"), func(c *gossip.CatalogConfig) { c.Key = nil }, micronet.Refused},
		{"another's key", testDocument("alpha"), func(c *gossip.CatalogConfig) { c.Key = other }, micronet.Refused},
		{"epoch 0", testDocument("alpha"), func(c *gossip.CatalogConfig) { c.Epoch = 0 }, micronet.Invalid},
		{"epoch too high", testDocument("alpha"), func(c *gossip.CatalogConfig) { c.Epoch = gossip.MaxEpoch + 1 }, micronet.Invalid},
		{"bad value", testDocument("Not A Label"), func(*gossip.CatalogConfig) {}, micronet.Invalid},
		{"instance twice", testDocument("alpha", "a", "a"), func(*gossip.CatalogConfig) {}, micronet.Invalid},
		{"too large", huge, func(*gossip.CatalogConfig) {}, micronet.Invalid},
	}
	for _, tc := range cases {
		c := newTestCatalog(1, tc.change)
		if out, err := c.Publish(catalogStart, tc.doc); micronet.KindOf(err) != tc.kind || err == nil || out.Broadcast != nil {
			t.Errorf("%s: Publish = %+v, %v, want kind %v", tc.name, out, err, tc.kind)
		}
		if len(c.All()) != 0 {
			t.Errorf("%s: a refused document is held", tc.name)
		}
	}
}

func TestReceiveFull(t *testing.T) {
	a, b := newTestCatalog(1), newTestCatalog(2)
	msg := mustPublish(t, a, catalogStart, testDocument("alpha", "web-1"))
	idA, _ := catalogKey(1)
	out := mustReceive(t, b, catalogStart, msg)
	if want := (gossip.Outcome{Changed: []micronet.NodeID{idA}, Broadcast: msg}); !reflect.DeepEqual(out, want) {
		t.Errorf("Receive = %+v, want %+v", out, want)
	}
	if catalogState(a, catalogStart) != catalogState(b, catalogStart) {
		t.Error("what was received differs from what was sent")
	}
	if out := mustReceive(t, b, catalogStart, msg); !reflect.DeepEqual(out, gossip.Outcome{}) {
		t.Errorf("Receive again = %+v, want nothing", out)
	}
	if s := b.Stats(catalogStart); s.Accepted != 1 || s.Duplicates != 1 || s.Documents != 1 || s.Instances != 1 {
		t.Errorf("Stats = %+v", s)
	}
	e, _ := b.Get(idA)
	if e.Document.Name != "alpha" || len(e.Document.Instances) != 1 || !e.Received.Equal(catalogStart) {
		t.Errorf("Get = %+v", e)
	}
}

// largeWithDelta gives a catalog's full document, and the delta and documents of two changes after.
func largeWithDelta(t testing.TB, a *gossip.Catalog) (full, second, third, thirdFull []byte) {
	t.Helper()
	d := testDocument("alpha", instanceNames(50)...)
	mustPublish(t, a, catalogStart, d)
	full = mustDocument(t, a, catalogStart, 1)
	d.Instances[3].Health = micronet.Warning
	second = mustPublish(t, a, catalogStart.Add(time.Second), d)
	d.Instances = slices.Delete(d.Instances, 9, 10)
	third = mustPublish(t, a, catalogStart.Add(1100*time.Millisecond), d)
	return full, second, third, mustDocument(t, a, catalogStart, 1)
}

func TestDelta(t *testing.T) {
	now := catalogStart.Add(time.Minute)
	a := newTestCatalog(1)
	idA, _ := catalogKey(1)
	full, second, third, thirdFull := largeWithDelta(t, a)
	wanted := []gossip.Want{{Owner: idA, Version: gossip.Version{Epoch: 1, Seq: 3}}}

	t.Run("in order", func(t *testing.T) {
		b := newTestCatalog(2)
		for _, msg := range [][]byte{full, second, third} {
			mustReceive(t, b, now, msg)
		}
		if catalogState(a, now) != catalogState(b, now) {
			t.Error("the deltas lead elsewhere")
		}
	})
	t.Run("one lost", func(t *testing.T) {
		b := newTestCatalog(2)
		mustReceive(t, b, now, full)
		out := mustReceive(t, b, now, third)
		if len(out.Fetch) != 0 || !bytes.Equal(out.Broadcast, third) || catalogState(a, now) != catalogState(b, now) {
			t.Errorf("a delta on an older base gives %+v", out)
		}
	})
	t.Run("no base", func(t *testing.T) {
		b := newTestCatalog(2)
		out := mustReceive(t, b, now, third)
		if !reflect.DeepEqual(out.Fetch, wanted) || len(out.Changed) != 0 || len(b.All()) != 0 || out.Broadcast[0] != 3 {
			t.Errorf("a delta without a base gives %+v, want a fetch of %v", out, wanted)
		}
		if got := b.Wanted(); !reflect.DeepEqual(got, wanted) {
			t.Errorf("Wanted = %v, want %v", got, wanted)
		}
		if out := mustReceive(t, b, now, third); !reflect.DeepEqual(out, gossip.Outcome{}) {
			t.Errorf("the same delta again gives %+v, want nothing", out)
		}
		if out := mustReceive(t, b, now, second); !reflect.DeepEqual(out, gossip.Outcome{}) {
			t.Errorf("an older delta gives %+v, want nothing", out)
		}
		if out, err := b.Import(now, thirdFull); err != nil || len(out.Changed) != 1 || len(b.Wanted()) != 0 {
			t.Errorf("Import of what was wanted = %+v, %v", out, err)
		}
	})
}

func TestDeltaMeetsAnnouncements(t *testing.T) {
	now := catalogStart.Add(time.Minute)
	a := newTestCatalog(1)
	idA, _ := catalogKey(1)
	full, second, third, _ := largeWithDelta(t, a)
	wanted := []gossip.Want{{Owner: idA, Version: gossip.Version{Epoch: 1, Seq: 3}}}

	t.Run("announced before", func(t *testing.T) {
		b := newTestCatalog(2)
		mustReceive(t, b, now, full)
		announce := append([]byte{3}, third[1:167]...)
		if out := mustReceive(t, b, now, announce); len(out.Fetch) != 1 || !bytes.Equal(out.Broadcast, announce) {
			t.Errorf("an announcement gives %+v", out)
		}
		if out := mustReceive(t, b, now, third); !bytes.Equal(out.Broadcast, third) || catalogState(a, now) != catalogState(b, now) {
			t.Errorf("the delta after its announcement gives %+v", out)
		}
	})
	t.Run("intermediate document", func(t *testing.T) {
		b, c := newTestCatalog(2), newTestCatalog(3)
		mustReceive(t, c, now, full)
		mustReceive(t, c, now, second)
		mustReceive(t, b, now, append([]byte{3}, third[1:167]...))
		out, err := b.Import(now, mustDocument(t, c, now, 1))
		if err != nil || len(out.Changed) != 1 || !reflect.DeepEqual(b.Wanted(), wanted) {
			t.Errorf("a document older than the one announced gives %+v, %v; wanted %v", out, err, b.Wanted())
		}
	})
	t.Run("older document with the items of the one announced", func(t *testing.T) {
		again := newTestCatalog(1)
		older, _, _, _ := largeWithDelta(t, again)
		back, err := again.Publish(now, testDocument("alpha", instanceNames(50)...))
		if err != nil {
			t.Fatal(err)
		}
		b := newTestCatalog(2)
		mustReceive(t, b, now, append([]byte{3}, back.Broadcast[1:167]...))
		if _, err := b.Import(now, older); err != nil || catalogState(b, now) != catalogState(again, now) || len(b.Wanted()) != 0 {
			t.Errorf("Import = %v, still wanted %v", err, b.Wanted())
		}
	})
}

func TestDeltaAlteredOnTheWay(t *testing.T) {
	now := catalogStart.Add(time.Minute)
	a := newTestCatalog(1)
	full, _, third, _ := largeWithDelta(t, a)

	t.Run("sign of life with altered changes", func(t *testing.T) {
		owner := newTestCatalog(1)
		start, _, _, last := largeWithDelta(t, owner)
		out, err := owner.Refresh(catalogStart.Add(1200 * time.Millisecond))
		if err != nil || out.Broadcast[0] != 2 {
			t.Fatalf("Refresh = %+v, %v, want a delta", out, err)
		}
		b := newTestCatalog(2)
		mustReceive(t, b, now, start)
		mustReceive(t, b, now, last)
		bad := out.Broadcast
		bad[len(bad)-1] ^= 1
		if got := mustReceive(t, b, now, bad); !bytes.Equal(got.Broadcast, append([]byte{3}, bad[1:167]...)) {
			t.Errorf("what was not checked is passed on: %x", got.Broadcast)
		}
	})
	t.Run("each byte", func(t *testing.T) {
		for i := 167; i < len(third); i++ {
			b := newTestCatalog(2)
			mustReceive(t, b, now, full)
			before := catalogState(b, now)
			bad := bytes.Clone(third)
			bad[i] ^= 1
			out, err := b.Receive(now, bad)
			if err == nil && len(out.Changed) > 0 && catalogState(b, now) == catalogState(a, now) {
				continue // the base is not part of what was signed
			}
			if catalogState(b, now) != before {
				t.Fatalf("byte %d: an altered delta changed the catalog", i)
			}
			if err == nil && (len(out.Fetch) != 1 || bytes.Contains(out.Broadcast, bad[167:])) {
				t.Fatalf("byte %d: Receive = %+v", i, out)
			}
			if mustReceive(t, b, now, third); catalogState(b, now) != catalogState(a, now) {
				t.Fatalf("byte %d: the true delta is not taken after the altered one", i)
			}
		}
	})
}

func TestTamperedAtEachByte(t *testing.T) {
	now := catalogStart
	a := newTestCatalog(1)
	first := mustPublish(t, a, now, testDocument("alpha", "web-1"))
	second := mustPublish(t, a, now, testDocument("alpha", "web-1", "web-2"))
	for i := range second {
		if i >= ageOffset && i < headerOffset {
			continue // the age is not signed
		}
		for _, flip := range []byte{1, 0x80, 0xff} {
			b := newTestCatalog(2)
			mustReceive(t, b, now, first)
			before := catalogState(b, now)
			bad := bytes.Clone(second)
			bad[i] ^= flip
			out, err := b.Receive(now, bad)
			if err == nil && i != 0 {
				t.Fatalf("byte %d ^ %#x: no error, %+v", i, flip, out)
			}
			if err != nil && gossip.ReasonOf(err) == "" {
				t.Fatalf("byte %d ^ %#x: %v has no reason", i, flip, err)
			}
			if catalogState(b, now) != before {
				t.Fatalf("byte %d ^ %#x: the catalog changed", i, flip)
			}
			if mustReceive(t, b, now, second); catalogState(b, now) == before {
				t.Fatalf("byte %d ^ %#x: the true document is not taken after the altered one", i, flip)
			}
		}
	}
	for n := range second {
		if _, err := newTestCatalog(2).Receive(now, second[:n]); err == nil {
			t.Fatalf("the first %d bytes were taken", n)
		}
	}
}

// A signature of another kind of record, or of the same bytes without the domain, is worth nothing.
func TestQ4_RecordSignatureNeedsItsDomain(t *testing.T) {
	a := newTestCatalog(1)
	msg := mustPublish(t, a, catalogStart, testDocument("alpha"))
	_, key := catalogKey(1)
	head := msg[headerOffset : headerOffset+102]
	for _, domain := range []string{"", "micro-net/record/1", "micro-net/record/2\x00", "micro-net/policy/1\x00"} {
		bad := bytes.Clone(msg)
		copy(bad[headerOffset+102:], ed25519.Sign(key, append([]byte(domain), head...)))
		if _, err := newTestCatalog(2).Receive(catalogStart, bad); gossip.ReasonOf(err) != gossip.ReasonSignature {
			t.Errorf("signed for %q: %v, want %s", domain, err, gossip.ReasonSignature)
		}
	}
}

// malleable adds the group order to S, which makes another signature that lax verifiers accept.
func malleable(sig []byte) {
	order := []byte{
		0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
	}
	carry := 0
	for i := range order {
		carry += int(sig[32+i]) + int(order[i])
		sig[32+i] = byte(carry)
		carry >>= 8
	}
}

func TestMalleatedSignature(t *testing.T) {
	msg := mustPublish(t, newTestCatalog(1), catalogStart, testDocument("alpha"))
	malleable(msg[headerOffset+102 : bodyOffset])
	if _, err := newTestCatalog(2).Receive(catalogStart, msg); gossip.ReasonOf(err) != gossip.ReasonSignature {
		t.Errorf("a malleated signature: %v, want %s", err, gossip.ReasonSignature)
	}
}

// forge signs a full message again after change worked on its header bytes and items.
func forge(seed int, msg []byte, change func(head []byte)) []byte {
	_, key := catalogKey(seed)
	out := bytes.Clone(msg)
	head := out[headerOffset : headerOffset+102]
	change(head)
	copy(out[headerOffset+102:], ed25519.Sign(key, append([]byte("micro-net/record/1\x00"), head...)))
	return out
}

func setVersion(epoch, seq uint64, left bool) func(head []byte) {
	return func(head []byte) {
		head[1] = 0
		if left {
			head[1] = 1
		}
		binary.BigEndian.PutUint64(head[50:], epoch)
		binary.BigEndian.PutUint64(head[58:], seq)
	}
}

func TestReceiveRefusals(t *testing.T) {
	now := catalogStart
	msg := mustPublish(t, newTestCatalog(1), now, testDocument("alpha"))
	withInstance := mustPublish(t, newTestCatalog(1), now, testDocument("alpha", "web-1"))
	stranger := func(micronet.NodeID) error { return errNoGrant }
	cases := []struct {
		name   string
		msg    []byte
		change func(*gossip.CatalogConfig)
		reason gossip.Reason
	}{
		{"empty", nil, nil, gossip.ReasonMalformed},
		{"unknown type", append([]byte{9}, msg[1:]...), nil, gossip.ReasonMalformed},
		{"unknown format", forge(1, msg, func(h []byte) { h[0] = 2 }), nil, gossip.ReasonFormat},
		{"foreign cluster", msg, func(c *gossip.CatalogConfig) { c.Cluster[3]++ }, gossip.ReasonForeign},
		{"foreign cluster signed", forge(1, msg, func(h []byte) { h[2]++ }), nil, gossip.ReasonForeign},
		{"not a member", msg, func(c *gossip.CatalogConfig) { c.Admit = stranger }, gossip.ReasonUnadmitted},
		{"no owner", forge(1, msg, func(h []byte) { clear(h[18:50]) }), nil, gossip.ReasonVersion},
		{"another owner", forge(2, msg, func([]byte) {}), nil, gossip.ReasonSignature},
		{"epoch 0", forge(1, msg, setVersion(0, 1, false)), nil, gossip.ReasonVersion},
		{"sequence 0", forge(1, msg, setVersion(1, 0, false)), nil, gossip.ReasonVersion},
		{"epoch 2^62+1", forge(1, msg, setVersion(1<<62+1, 1, false)), nil, gossip.ReasonVersion},
		{"epoch 2^64-1", forge(1, msg, setVersion(1<<64-1, 1, false)), nil, gossip.ReasonVersion},
		{"sequence 2^64-1", forge(1, msg, setVersion(1, 1<<64-1, false)), nil, gossip.ReasonVersion},
		{"last sequence without goodbye", forge(1, msg, setVersion(1, gossip.LastSeq, false)), nil, gossip.ReasonVersion},
		{"goodbye below the last sequence", forge(1, msg, setVersion(1, 5, true)), nil, gossip.ReasonVersion},
		{"goodbye with instances", forge(1, withInstance, setVersion(1, gossip.LastSeq, true)), nil, gossip.ReasonContent},
		{"item count", forge(1, msg, func(h []byte) { h[69]++ }), nil, gossip.ReasonContent},
		{"item count 2^32", forge(1, msg, func(h []byte) { copy(h[66:], "\xff\xff\xff\xff") }), nil, gossip.ReasonVersion},
		{"other items", forge(1, msg, func(h []byte) { h[70]++ }), nil, gossip.ReasonHash},
		{"too large", append(bytes.Clone(msg), make([]byte, 1<<20)...), nil, gossip.ReasonTooLarge},
		{"full", msg, func(c *gossip.CatalogConfig) { c.Limits.MaxTotal = 10 }, gossip.ReasonFull},
		{"too many owners", msg, func(c *gossip.CatalogConfig) { c.Limits.MaxDocuments = -1 }, gossip.ReasonFull},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			if tc.change == nil {
				tc.change = func(*gossip.CatalogConfig) {}
			}
			b := newTestCatalog(2, tc.change)
			out, err := b.Receive(now, tc.msg)
			if got := gossip.ReasonOf(err); got != tc.reason || !reflect.DeepEqual(out, gossip.Outcome{}) {
				t.Fatalf("Receive = %+v, %v, want %s", out, err, tc.reason)
			}
			if s := b.Stats(now); len(b.All()) != 0 || s.Refused[tc.reason] != 1 || s.Bytes != 0 {
				t.Errorf("after the refusal: %+v, %+v", b.All(), s)
			}
		})
	}
	if _, err := newTestCatalog(2).Import(now, append([]byte{3}, msg[headerOffset:bodyOffset]...)); gossip.ReasonOf(err) != gossip.ReasonMalformed {
		t.Errorf("Import of an announcement: %v, want %s", err, gossip.ReasonMalformed)
	}
}

func TestQ10_ReplayOfOldDocuments(t *testing.T) {
	a, b := newTestCatalog(1), newTestCatalog(2)
	now := catalogStart
	first := mustPublish(t, a, now, testDocument("alpha", "web-1"))
	bye, err := a.Goodbye(now)
	if err != nil {
		t.Fatal(err)
	}
	mustReceive(t, b, now, bye.Broadcast)
	want := catalogState(b, now)
	for _, msg := range [][]byte{first, forge(1, first, setVersion(1, gossip.LastSeq-1, false))} {
		if out := mustReceive(t, b, now, msg); !reflect.DeepEqual(out, gossip.Outcome{}) || catalogState(b, now) != want {
			t.Errorf("an older document gives %+v", out)
		}
	}
	if got := b.Stats(now).Stale; got != 2 {
		t.Errorf("Stale = %d, want 2", got)
	}
}

func TestEquivocation(t *testing.T) {
	now := catalogStart
	idA, _ := catalogKey(1)
	one := mustPublish(t, newTestCatalog(1), now, testDocument("alpha", "web-1"))
	two := mustPublish(t, newTestCatalog(1), now, testDocument("alpha", "web-2"))
	b := newTestCatalog(2)
	mustReceive(t, b, now, one)
	want := catalogState(b, now)
	out, err := b.Receive(now, two)
	if gossip.ReasonOf(err) != gossip.ReasonEquivocation || !reflect.DeepEqual(out, gossip.Outcome{}) || catalogState(b, now) != want {
		t.Errorf("a second document of one version = %+v, %v", out, err)
	}
	if e, _ := b.Get(idA); !e.Conflict {
		t.Error("the entry does not show the conflict")
	}
	if _, err := b.Receive(now, forge(2, two, func([]byte) {})); gossip.ReasonOf(err) != gossip.ReasonSignature {
		t.Errorf("a forged second document: %v, want %s", err, gossip.ReasonSignature)
	}
	c := newTestCatalog(3)
	mustReceive(t, c, now, append([]byte{3}, one[headerOffset:bodyOffset]...))
	if _, err := c.Receive(now, two); gossip.ReasonOf(err) != gossip.ReasonEquivocation {
		t.Errorf("a second document of an announced version: %v, want %s", err, gossip.ReasonEquivocation)
	}
	next := forge(1, two, setVersion(1, 2, false))
	if mustReceive(t, b, now, next); catalogState(b, now) == want {
		t.Error("a newer version does not end the conflict")
	}
	if e, _ := b.Get(idA); e.Conflict {
		t.Error("the newer entry still shows the conflict")
	}
}

// Another signature under the same header is no news: it must not be taken, counted or spread.
func TestSecondSignatureOfTheSameHeader(t *testing.T) {
	now := catalogStart
	a, b := newTestCatalog(1), newTestCatalog(2)
	msg := mustPublish(t, a, now, testDocument("alpha"))
	mustReceive(t, b, now, msg)
	again := bytes.Clone(msg)
	again[headerOffset+110] ^= 1
	if out := mustReceive(t, b, now, again); !reflect.DeepEqual(out, gossip.Outcome{}) {
		t.Errorf("Receive = %+v, want nothing", out)
	}
	if got := mustDocument(t, b, now, 1); !bytes.Equal(got[headerOffset:], msg[headerOffset:]) {
		t.Error("the document is passed on with the other signature")
	}
}

func TestBehind(t *testing.T) {
	now := catalogStart
	lost := newTestCatalog(1)
	mustPublish(t, lost, now, testDocument("alpha", "web-1"))
	newer := mustPublish(t, lost, now, testDocument("alpha", "web-1", "web-2"))

	a := newTestCatalog(1)
	out := mustReceive(t, a, now, newer)
	if want := (gossip.Version{Epoch: 1, Seq: 2}); out.Behind != want || len(a.All()) != 0 {
		t.Errorf("our newer document before the first Publish gives %+v, want behind %v", out, want)
	}
	other := mustPublish(t, a, now, testDocument("alpha", "web-9"))
	if out := mustReceive(t, a, now, newer); out.Behind.Seq != 2 {
		t.Errorf("our newer document gives %+v", out)
	}
	if _, err := a.Receive(now, forge(2, newer, func([]byte) {})); gossip.ReasonOf(err) != gossip.ReasonSignature {
		t.Errorf("a forged document of ours: %v, want %s", err, gossip.ReasonSignature)
	}
	out, err := a.Receive(now, forge(1, newer, setVersion(1, 1, false)))
	if gossip.ReasonOf(err) != gossip.ReasonEquivocation || out.Behind.Seq != 1 {
		t.Errorf("our version with other items = %+v, %v", out, err)
	}
	if err := a.Raise(1); err == nil {
		t.Error("Raise to the same epoch was taken")
	}
	if err := a.Raise(2); err != nil {
		t.Fatal(err)
	}
	if out := mustReceive(t, a, now, newer); out.Behind != (gossip.Version{}) {
		t.Errorf("after Raise the old document gives %+v", out)
	}
	out, err = a.Receive(now, forge(1, newer, setVersion(1, 1, false)))
	if gossip.ReasonOf(err) != gossip.ReasonEquivocation || out.Behind != (gossip.Version{}) {
		t.Errorf("after Raise our former version with other items = %+v, %v", out, err)
	}
	again := mustPublish(t, a, now, testDocument("alpha", "web-9"))
	b := newTestCatalog(2)
	for _, msg := range [][]byte{newer, again, other} {
		mustReceive(t, b, now, msg)
	}
	if catalogState(a, now) != catalogState(b, now) {
		t.Error("others did not take the new epoch")
	}
}

// A document in our name that we did not publish is shown as soon as it is here, once, with its age.
func TestRival(t *testing.T) {
	now := catalogStart
	id, _ := catalogKey(1)
	lost := newTestCatalog(1)
	mustPublish(t, lost, now, testDocument("alpha", "web-1"))
	big := mustPublish(t, lost, now, testDocument("alpha", instanceNames(50)...))
	b := newTestCatalog(2)
	if _, err := b.Import(now, mustDocument(t, lost, now, 1)); err != nil {
		t.Fatal(err)
	}
	full := mustDocument(t, b, now.Add(time.Minute), 1)

	a := newTestCatalog(1)
	mustPublish(t, a, now, testDocument("alpha", "web-9"))
	out := mustReceive(t, a, now, big)
	if out.Behind.Seq != 2 || out.Rival != nil || !slices.Equal(out.Fetch, []gossip.Want{{Owner: id}}) {
		t.Fatalf("an announcement in our name gives %+v, want it to be fetched", out)
	}
	if err := a.Raise(2); err != nil {
		t.Fatal(err)
	}
	if out, _ := a.Receive(now, forge(2, full, func([]byte) {})); out.Rival != nil {
		t.Error("a forged document is shown")
	}
	out = mustReceive(t, a, now, full)
	if out.Rival == nil || len(out.Rival.Instances) != 50 || out.RivalAge < time.Minute || out.RivalAge > time.Minute+3*time.Second || out.Behind.Seq != 0 {
		t.Fatalf("the document in our name gives %+v", out)
	}
	if out := mustReceive(t, a, now, full); !reflect.DeepEqual(out, gossip.Outcome{}) {
		t.Errorf("the same again gives %+v", out)
	}
	// One that comes whole is shown at once.
	c := newTestCatalog(1)
	if out := mustReceive(t, c, now, full); out.Behind.Seq != 2 || out.Rival == nil || out.Fetch != nil {
		t.Errorf("a whole document in our name gives %+v", out)
	}
}

func TestGoodbyeAndReturn(t *testing.T) {
	now := catalogStart
	a, b := newTestCatalog(1), newTestCatalog(2)
	idA, _ := catalogKey(1)
	if out, err := a.Goodbye(now); err != nil || out.Broadcast != nil {
		t.Errorf("Goodbye before Publish = %+v, %v, want nothing", out, err)
	}
	mustReceive(t, b, now, mustPublish(t, a, now, testDocument("alpha", "web-1")))
	out, err := a.Goodbye(now)
	if err != nil {
		t.Fatal(err)
	}
	mustReceive(t, b, now, out.Broadcast)
	e, _ := b.Get(idA)
	if d := e.Document; !d.Left || len(d.Instances) != 0 || d.Name != "alpha" || d.Version.Seq != gossip.LastSeq {
		t.Errorf("after the goodbye others hold %+v", d)
	}
	if out, err := a.Goodbye(now); err != nil || out.Broadcast != nil {
		t.Errorf("Goodbye again = %+v, %v, want nothing", out, err)
	}
	if out, err := a.Refresh(now); err != nil || out.Broadcast != nil {
		t.Errorf("Refresh after Goodbye = %+v, %v, want nothing", out, err)
	}
	if _, err := a.Publish(now, testDocument("alpha", "web-1")); micronet.KindOf(err) != micronet.Refused {
		t.Errorf("Publish after Goodbye: %v, want refused", err)
	}
	if err := a.Raise(2); err != nil {
		t.Fatal(err)
	}
	mustReceive(t, b, now, mustPublish(t, a, now, testDocument("alpha", "web-1")))
	if e, _ := b.Get(idA); e.Document.Left || len(e.Document.Instances) != 1 {
		t.Errorf("after the return others hold %+v", e.Document)
	}
}

// A refresh carries no items, however large the document.
func TestRefresh(t *testing.T) {
	for _, n := range []int{1, 50} {
		a, b := newTestCatalog(1), newTestCatalog(2)
		idA, _ := catalogKey(1)
		mustPublish(t, a, catalogStart, testDocument("alpha", instanceNames(n)...))
		mustReceive(t, b, catalogStart, mustDocument(t, a, catalogStart, 1))
		now := catalogStart.Add(time.Hour)
		out, err := a.Refresh(now)
		if err != nil || len(out.Changed) != 0 {
			t.Fatalf("Refresh = %+v, %v", out, err)
		}
		mustReceive(t, b, now, out.Broadcast)
		e, _ := b.Get(idA)
		if e.Document.Version.Seq != 2 || !e.Confirmed.Equal(now) || len(e.Document.Instances) != n {
			t.Errorf("%d instances: after a refresh others hold version %v confirmed at %v", n, e.Document.Version, e.Confirmed)
		}
		if catalogState(a, now) != catalogState(b, now) {
			t.Errorf("%d instances: the refresh leads elsewhere", n)
		}
	}
}

// newerCodec writes what a later version might: an item and a field that wire does not know.
type newerCodec struct{ *wire.Codec }

func (c newerCodec) Encode(d gossip.Document) ([]gossip.Item, error) {
	items, err := c.Codec.Encode(d)
	for i, it := range items {
		if strings.HasPrefix(it.Key, "instance/") {
			// A map of one more pair, whose key comes last: "zone": "eu".
			items[i].Value = append(append([]byte{it.Value[0] + 1}, it.Value[1:]...), "\xa4zone\xa2eu"...)
		}
	}
	return append(items, gossip.Item{Key: "overlay", Value: []byte("a key")}), err
}

func TestUnknownFieldsPassThroughAnOlderNode(t *testing.T) {
	now := catalogStart
	newer := func(c *gossip.CatalogConfig) { c.Codec = newerCodec{wire.New()} }
	a, old, c := newTestCatalog(1, newer), newTestCatalog(2), newTestCatalog(3, newer)
	d := testDocument("alpha", instanceNames(30)...)
	mustPublish(t, a, now, d)
	mustReceive(t, old, now, mustDocument(t, a, now, 1))
	d.Instances[5].Weight = 7
	out := mustReceive(t, old, now, mustPublish(t, a, now, d))
	if len(out.Changed) != 1 {
		t.Fatalf("the older node did not take the delta: %+v", out)
	}
	syncCatalogs(t, now, old, c)
	for _, x := range []*gossip.Catalog{old, c} {
		raw := mustDocument(t, x, now, 1)
		if !bytes.Equal(raw[headerOffset:], mustDocument(t, a, now, 1)[headerOffset:]) {
			t.Fatal("the bytes changed on the way")
		}
		if bytes.Count(raw, []byte("zone")) != 30 || !bytes.Contains(raw, []byte("a key")) {
			t.Fatal("an unknown field was lost")
		}
	}
	if catalogState(old, now) != catalogState(c, now) {
		t.Error("the nodes read different documents")
	}
}

func TestH14_TooManyUpdatesAreQuarantined(t *testing.T) {
	now := catalogStart
	a, b := newTestCatalog(1), newTestCatalog(2)
	idA, _ := catalogKey(1)
	var reason gossip.Reason
	taken := 0
	for i := range 200 {
		_, err := b.Receive(now, mustPublish(t, a, now, testDocument("alpha", fmt.Sprint("web-", i))))
		if err == nil {
			taken++
		} else if reason == "" {
			reason = gossip.ReasonOf(err)
		}
	}
	if taken != gossip.DefaultBurst || reason != gossip.ReasonRate {
		t.Errorf("%d updates at once were taken, then %q, want %d and %q", taken, reason, gossip.DefaultBurst, gossip.ReasonRate)
	}
	e, _ := b.Get(idA)
	if want := now.Add(gossip.DefaultQuarantine); !e.Quarantined.Equal(want) || e.Reason != gossip.ReasonRate {
		t.Errorf("Get = quarantined until %v for %q, want %v", e.Quarantined, e.Reason, want)
	}
	if s := b.Stats(now); s.Quarantined != 1 || s.Refused[gossip.ReasonQuarantine] != 200-gossip.DefaultBurst-1 {
		t.Errorf("Stats = %+v", s)
	}
	if want, _, _ := b.Compare(now, a.Digest(now)); len(want) != 0 {
		t.Errorf("Compare wants %v of a quarantined owner", want)
	}
	now = now.Add(gossip.DefaultQuarantine)
	syncCatalogs(t, now, a, b)
	if catalogState(a, now) != catalogState(b, now) {
		t.Error("after the quarantine the newest document is not taken")
	}
}

// What an owner signed can be repeated by anybody: that must not use up its budget.
func TestRepetitionsCostTheOwnerNothing(t *testing.T) {
	now := catalogStart
	a, b := newTestCatalog(1), newTestCatalog(2)
	full, second, third, _ := largeWithDelta(t, a)
	mustReceive(t, b, now, append([]byte{3}, third[1:167]...))
	broken := append(bytes.Clone(full[:len(full)-1]), full[len(full)-1]^1)
	for range 300 {
		mustReceive(t, b, now, second) // no base
		mustReceive(t, b, now, third)
		_, _ = b.Receive(now, broken)
	}
	mustReceive(t, b, now, full)
	mustReceive(t, b, now, third)
	if catalogState(a, now) != catalogState(b, now) {
		t.Errorf("the owner was silenced: %+v", b.Stats(now))
	}
}

// A version costs once, whether it comes at once or is announced and fetched.
func TestAnnouncedAndFetchedCostsOnce(t *testing.T) {
	now := catalogStart
	a, b := newTestCatalog(1), newTestCatalog(2)
	for i := range gossip.DefaultBurst {
		msg := mustPublish(t, a, now, testDocument("alpha", fmt.Sprint("web-", i)))
		mustReceive(t, b, now, append([]byte{3}, msg[headerOffset:bodyOffset]...))
		mustReceive(t, b, now, msg)
	}
	if s := b.Stats(now); s.Accepted != gossip.DefaultBurst || s.Announced != gossip.DefaultBurst {
		t.Errorf("Stats = %+v", s)
	}
}

func TestQ15_BoundOfAllDocuments(t *testing.T) {
	now := catalogStart
	b := newTestCatalog(100, func(c *gossip.CatalogConfig) { c.Limits.MaxDocuments = 5; c.Limits.MaxTotal = 4000 })
	for seed := range 10 {
		_, _ = b.Receive(now, mustPublish(t, newTestCatalog(seed), now, testDocument("alpha", instanceNames(3)...)))
	}
	if s := b.Stats(now); s.Documents != 5 || s.Refused[gossip.ReasonFull] != 5 {
		t.Errorf("Stats = %+v, want 5 documents and 5 refusals", s)
	}
	size := b.Stats(now).Bytes / 5
	for _, e := range b.All() {
		b.Forget(e.Document.Owner)
	}
	if s := b.Stats(now); s.Bytes != 0 || s.Documents != 0 || len(b.All()) != 0 {
		t.Errorf("after Forget of all: %+v", s)
	}
	c := newTestCatalog(100, func(c *gossip.CatalogConfig) { c.Limits.MaxTotal = 3 * size })
	for seed := range 10 {
		_, _ = c.Receive(now, mustPublish(t, newTestCatalog(seed), now, testDocument("alpha", instanceNames(3)...)))
	}
	if s := c.Stats(now); s.Documents != 3 || s.Bytes != 3*size || s.Refused[gossip.ReasonFull] != 7 {
		t.Errorf("Stats = %+v, want 3 documents", s)
	}
}

func TestAgesAndExpiry(t *testing.T) {
	now := catalogStart
	a, b, c := newTestCatalog(1), newTestCatalog(2), newTestCatalog(3)
	idA, _ := catalogKey(1)
	mustReceive(t, b, now, mustPublish(t, a, now, testDocument("alpha", "web-1")))
	now = now.Add(10 * time.Hour)
	syncCatalogs(t, now, b, c)
	if out := mustReceive(t, newTestCatalog(4), now, mustDocument(t, b, now, 1)); binary.BigEndian.Uint32(out.Broadcast[ageOffset:]) != 36001 {
		t.Errorf("a copy of 10 h is passed on as %x", out.Broadcast[:headerOffset])
	}
	e, _ := c.Get(idA)
	if age := now.Sub(e.Confirmed); age != 10*time.Hour+time.Second || !e.Received.Equal(now) {
		t.Errorf("a copy of 10 h has the age %v, received %v", age, e.Received)
	}
	if _, _, err := b.Compare(now, a.Digest(now)); err != nil {
		t.Fatal(err)
	}
	if e, _ := b.Get(idA); !e.Confirmed.Equal(now) {
		t.Errorf("the owner's own digest confirms %v, want %v", e.Confirmed, now)
	}
	if _, _, err := c.Compare(now.Add(time.Hour), b.Digest(now.Add(time.Hour))); err != nil {
		t.Fatal(err)
	}
	if e, _ := c.Get(idA); !e.Confirmed.Equal(now.Add(-time.Second)) {
		t.Errorf("another's digest confirms %v, want %v", e.Confirmed, now.Add(-time.Second))
	}
	dead := func(id micronet.NodeID) bool { return id != idA }
	now = now.Add(72 * time.Hour)
	if got := b.Expire(now.Add(-time.Second), dead); len(got) != 0 {
		t.Errorf("Expire a second early forgot %v", got)
	}
	if got := b.Expire(now, func(micronet.NodeID) bool { return true }); len(got) != 0 {
		t.Errorf("Expire forgot a live node: %v", got)
	}
	if got := b.Expire(now, dead); !slices.Equal(got, []micronet.NodeID{idA}) || len(b.All()) != 0 {
		t.Errorf("Expire = %v, want %v", got, idA)
	}
	if got := a.Expire(now.Add(1000*time.Hour), func(micronet.NodeID) bool { return false }); len(got) != 0 {
		t.Errorf("a node forgot itself: %v", got)
	}
	// c has not expired it yet. It does not come back from there.
	syncCatalogs(t, now, b, c)
	if _, err := b.Import(now, mustDocument(t, c, now, 1)); err != nil || len(b.All()) != 0 {
		t.Errorf("an expired document came back: %v, %v", b.All(), err)
	}
	// Its owner is back: it knows best.
	syncCatalogs(t, now, a, b)
	if len(b.All()) != 1 {
		t.Error("the owner's own word was not taken")
	}
}

// Copies that are passed around for ever must not keep each other young.
func TestAgesDoNotRejuvenate(t *testing.T) {
	const n = 20
	rng := rand.New(rand.NewPCG(1, 2))
	now := catalogStart
	dead := newTestCatalog(1000)
	msg := mustPublish(t, dead, now, testDocument("gone"))
	var cats []*gossip.Catalog
	for i := range n {
		cats = append(cats, newTestCatalog(i))
		mustReceive(t, cats[i], now, msg)
	}
	for range 20000 {
		now = now.Add(time.Duration(rng.IntN(2000)) * time.Millisecond)
		digest := cats[rng.IntN(n)].Digest(now)
		late := now.Add(time.Duration(rng.IntN(900)) * time.Millisecond)
		if _, _, err := cats[rng.IntN(n)].Compare(late, digest); err != nil {
			t.Fatal(err)
		}
	}
	id, _ := catalogKey(1000)
	for i, c := range cats {
		if e, _ := c.Get(id); e.Confirmed.Sub(catalogStart) > 0 {
			t.Fatalf("after %v, catalog %d believes the owner confirmed at %v", now.Sub(catalogStart), i, e.Confirmed)
		}
	}
}
