package gossip_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
)

func TestCompare(t *testing.T) {
	now := catalogStart
	a, b := newTestCatalog(1), newTestCatalog(2)
	var onlyA, onlyB, newerA, newerB []micronet.NodeID
	for seed := 10; seed < 50; seed++ {
		c := newTestCatalog(seed)
		id, _ := catalogKey(seed)
		one := mustPublish(t, c, now, testDocument("node", "web-1"))
		two := mustPublish(t, c, now, testDocument("node", "web-2"))
		switch seed % 5 {
		case 0:
			mustReceive(t, a, now, one)
			onlyA = append(onlyA, id)
		case 1:
			mustReceive(t, b, now, one)
			onlyB = append(onlyB, id)
		case 2:
			mustReceive(t, a, now, two)
			mustReceive(t, b, now, one)
			newerA = append(newerA, id)
		case 3:
			mustReceive(t, a, now, one)
			mustReceive(t, b, now, two)
			newerB = append(newerB, id)
		case 4:
			mustReceive(t, a, now, two)
			mustReceive(t, b, now, two)
		}
	}
	sorted := func(ids ...micronet.NodeID) []micronet.NodeID {
		slices.SortFunc(ids, micronet.NodeID.Compare)
		return ids
	}
	want, offer, err := b.Compare(now, a.Digest(now))
	if err != nil {
		t.Fatal(err)
	}
	if w := sorted(slices.Concat(onlyA, newerA)...); !slices.Equal(want, w) {
		t.Errorf("want = %v, want %v", want, w)
	}
	if w := sorted(slices.Concat(onlyB, newerB)...); !slices.Equal(offer, w) {
		t.Errorf("offer = %v, want %v", offer, w)
	}
	syncCatalogs(t, now, a, b)
	if catalogState(a, now) != catalogState(b, now) {
		t.Error("after a synchronisation the catalogs differ")
	}
	if want, offer, err := b.Compare(now, a.Digest(now)); len(want)+len(offer) != 0 || err != nil {
		t.Errorf("Compare of equal catalogs = %v, %v, %v", want, offer, err)
	}
}

func TestCompareRefusesMalformedDigests(t *testing.T) {
	now := catalogStart
	a, b := newTestCatalog(1), newTestCatalog(9)
	mustPublish(t, a, now, testDocument("alpha"))
	mustReceive(t, a, now, mustPublish(t, newTestCatalog(2), now, testDocument("beta")))
	good := a.Digest(now)
	if want := 1 + 2*60; len(good) != want {
		t.Fatalf("a digest of two documents has %d bytes, want %d", len(good), want)
	}
	swapped := slices.Concat(good[:1], good[61:], good[1:61])
	twice := slices.Concat(good[:61], good[1:61])
	for name, bad := range map[string][]byte{
		"empty": nil, "format": append([]byte{2}, good[1:]...), "short": good[:100], "long": append(bytes.Clone(good), 0),
		"order": swapped, "twice": twice, "huge": make([]byte, gossip.MaxDigest+60),
	} {
		if want, offer, err := b.Compare(now, bad); micronet.KindOf(err) != micronet.Invalid || err == nil || want != nil || offer != nil {
			t.Errorf("%s: Compare = %v, %v, %v", name, want, offer, err)
		}
	}
	if want, _, err := b.Compare(now, good[:1]); err != nil || len(want) != 0 {
		t.Errorf("Compare with an empty catalog = %v, %v", want, err)
	}
}

// A second document of one version is fetched once, as proof, and not every minute for ever.
func TestCompareFetchesAConflictOnce(t *testing.T) {
	now := catalogStart
	a, b := newTestCatalog(11), newTestCatalog(12)
	mustReceive(t, a, now, mustPublish(t, newTestCatalog(1), now, testDocument("alpha", "web-1")))
	mustReceive(t, b, now, mustPublish(t, newTestCatalog(1), now, testDocument("alpha", "web-2")))
	for i, want := range []uint64{1, 1, 1} {
		syncCatalogs(t, now, a, b)
		if got := b.Stats(now).Refused[gossip.ReasonEquivocation]; got != want {
			t.Errorf("after %d synchronisations %d equivocations were counted, want %d", i+1, got, want)
		}
	}
}

// A node that lost its state learns it from a digest.
func TestCompareFindsOurOwnNewerDocument(t *testing.T) {
	now := catalogStart
	before := newTestCatalog(1)
	b := newTestCatalog(2)
	mustPublish(t, before, now, testDocument("alpha"))
	mustReceive(t, b, now, mustPublish(t, before, now, testDocument("alpha", "web-1")))
	a := newTestCatalog(1)
	mustPublish(t, a, now, testDocument("alpha"))
	id, _ := catalogKey(1)
	want, _, err := a.Compare(now, b.Digest(now))
	if err != nil || !slices.Equal(want, []micronet.NodeID{id}) {
		t.Fatalf("Compare = %v, %v, want our own document", want, err)
	}
	out, err := a.Import(now, mustDocument(t, b, now, 1))
	if err != nil || out.Behind.Seq != 2 {
		t.Errorf("Import = %+v, %v, want behind 2", out, err)
	}
}

// A document that breaks the rules is not fetched again and again.
func TestCompareSkipsBadContent(t *testing.T) {
	now := catalogStart
	lax := func(c *gossip.CatalogConfig) { c.Codec = laxCodec{} }
	a, x, b := newTestCatalog(1, lax), newTestCatalog(3, lax), newTestCatalog(2)
	bad := mustPublish(t, a, now, testDocument("alpha"))
	mustReceive(t, x, now, bad)
	for i := range 3 {
		syncCatalogs(t, now, x, b)
		if got := b.Stats(now).Refused[gossip.ReasonContent]; got != 1 {
			t.Errorf("after %d synchronisations %d documents were refused, want 1", i+1, got)
		}
	}
	if got := b.Wanted(); len(got) != 0 {
		t.Errorf("Wanted = %v", got)
	}
}

// laxCodec writes items that nobody else can read.
type laxCodec struct{}

func (laxCodec) Encode(gossip.Document) ([]gossip.Item, error) {
	return []gossip.Item{{Key: "node", Value: []byte{0xc1}}}, nil
}

func (laxCodec) Decode(micronet.NodeID, gossip.Version, bool, []gossip.Item) (gossip.Document, error) {
	return gossip.Document{}, nil
}

func TestCompareDoesNotWantStrangers(t *testing.T) {
	now := catalogStart
	a := newTestCatalog(1)
	mustPublish(t, a, now, testDocument("alpha"))
	b := newTestCatalog(2, func(c *gossip.CatalogConfig) { c.Admit = func(micronet.NodeID) error { return errNoGrant } })
	if want, _, err := b.Compare(now, a.Digest(now)); err != nil || len(want) != 0 {
		t.Errorf("Compare = %v, %v, want nothing", want, err)
	}
	old := newTestCatalog(3)
	mustReceive(t, old, now, mustDocument(t, a, now, 1))
	late := now.Add(100 * time.Hour)
	if want, offer, err := newTestCatalog(4).Compare(late, old.Digest(late)); err != nil || len(want)+len(offer) != 0 {
		t.Errorf("Compare wants an expired document: %v, %v, %v", want, offer, err)
	}
	if _, offer, err := old.Compare(late, newTestCatalog(4).Digest(late)); err != nil || len(offer) != 0 {
		t.Errorf("Compare offers an expired document: %v, %v", offer, err)
	}
}
