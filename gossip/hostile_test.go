package gossip_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/gossip/wire"
)

// A goodbye is kept longer than any record that came before it: who kept that quiet cannot bring a node back
// among those who have forgotten neither.
func TestQ10_GoodbyesOutliveRecords(t *testing.T) {
	now := catalogStart
	nobody := func(micronet.NodeID) bool { return false }
	a, b, old := newTestCatalog(1), newTestCatalog(2), newTestCatalog(3)
	first := mustPublish(t, a, now, testDocument("alpha", "web-1"))
	mustReceive(t, b, now, first)
	mustReceive(t, old, now, first)
	bye, err := a.Goodbye(now)
	if err != nil {
		t.Fatal(err)
	}
	mustReceive(t, b, now, bye.Broadcast)
	for ; now.Before(catalogStart.Add(gossip.DefaultKeep + 2*time.Minute)); now = now.Add(time.Minute) {
		b.Expire(now, nobody)
		old.Expire(now, nobody)
		if old.Stats(now).Documents > 0 && b.Stats(now).Documents == 0 {
			t.Fatal("the goodbye is forgotten while the record is not")
		}
		syncCatalogs(t, now, old, b)
		if e, held := b.Get(mustID(1)); held && !e.Document.Left {
			t.Fatal("the node is back")
		}
	}
	if b.Expire(catalogStart.Add(2*gossip.DefaultKeep), nobody); b.Stats(now).Documents != 0 {
		t.Error("the goodbye is kept for ever")
	}
}

func mustID(seed int) micronet.NodeID {
	id, _ := catalogKey(seed)
	return id
}

// Versions that no honest owner reaches are kept out, also where the owner signed them itself.
func TestH11_AbsurdVersionsAreKeptOut(t *testing.T) {
	now := catalogStart
	msg := mustPublish(t, newTestCatalog(1), now, testDocument("alpha", "web-1"))
	const top = 1<<64 - 1
	for _, v := range []struct {
		epoch, seq uint64
		left       bool
		want       gossip.Reason
	}{
		{0, 1, false, gossip.ReasonVersion},
		{1, 0, false, gossip.ReasonVersion},
		{top, 1, false, gossip.ReasonVersion},
		{gossip.MaxEpoch + 1, 1, false, gossip.ReasonVersion},
		{1, top, false, gossip.ReasonVersion},
		{1, gossip.LastSeq + 1, true, gossip.ReasonVersion},
		{1, gossip.LastSeq, false, gossip.ReasonVersion}, // the sequence of a goodbye alone
		{1, 5, true, gossip.ReasonVersion},
		{gossip.MaxEpoch, gossip.LastSeq - 1, false, ""},
	} {
		b := newTestCatalog(2)
		_, err := b.Receive(now, forge(1, msg, setVersion(v.epoch, v.seq, v.left)))
		if got := gossip.ReasonOf(err); got != v.want {
			t.Errorf("version %d.%d, left %v: %v, want %q", v.epoch, v.seq, v.left, err, v.want)
		}
		if held := len(b.All()); held > 0 != (v.want == "") {
			t.Errorf("version %d.%d: %d documents are held", v.epoch, v.seq, held)
		}
	}
	// Nobody but the owner can jump.
	b := newTestCatalog(2)
	if _, err := b.Receive(now, forge(3, msg, setVersion(1, 1<<40, false))); gossip.ReasonOf(err) != gossip.ReasonSignature {
		t.Errorf("a jump that another signed: %v", err)
	}
}

// What one owner can make others hold is bounded, and nobody else pays for it.
func TestH14_ManyRecordsStopAtTheQuota(t *testing.T) {
	now := catalogStart
	b := newTestCatalog(2)
	mustReceive(t, b, now, mustPublish(t, newTestCatalog(3), now, testDocument("honest", "web-1")))
	codec := generous{wire.New()}
	greedy := newTestCatalog(1, func(c *gossip.CatalogConfig) { c.Codec = codec })
	for _, n := range []int{gossip.MaxInstances + 1, gossip.MaxInstances + 60} {
		mustPublish(t, greedy, now, testDocument("greedy", instanceNames(n)...))
		if _, err := b.Import(now, mustDocument(t, greedy, now, 1)); gossip.ReasonOf(err) != gossip.ReasonContent {
			t.Errorf("%d instances: %v", n, err)
		}
	}
	if _, err := greedy.Publish(now, testDocument("greedy", instanceNames(4000)...)); err == nil {
		t.Error("our own signer takes 4000 instances")
	}
	if got := b.Stats(now); got.Documents != 1 || got.Instances != 1 {
		t.Errorf("%d documents with %d instances are held", got.Documents, got.Instances)
	}
	mustReceive(t, b, now, mustPublish(t, newTestCatalog(4), now, testDocument("late", "web-1")))
}

// generous writes more instances than the rules allow, as a hostile build does.
type generous struct{ gossip.Codec }

func (g generous) Encode(d gossip.Document) ([]gossip.Item, error) {
	var items []gossip.Item
	for i := range d.Instances {
		item, err := wire.New().Item(&d.Instances[i])
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	d.Instances = nil
	node, err := g.Codec.Encode(d)
	return append(items, node...), err
}

func (g generous) Decode(owner micronet.NodeID, v gossip.Version, left bool, items []gossip.Item) (gossip.Document, error) {
	return gossip.Document{}, nil
}

// What a node holds goes on as it came: a bit that flips in memory is noticed by whoever gets it, and the
// document does not spread.
func TestQ18_FlippedBitsDoNotSpread(t *testing.T) {
	now := catalogStart
	a := newTestCatalog(1)
	mustPublish(t, a, now, testDocument("alpha", "web-1", "web-2"))
	whole := mustDocument(t, a, now, 1)
	for i := headerOffset; i < len(whole); i++ {
		b := newTestCatalog(2)
		raw := append([]byte{}, whole...)
		raw[i] ^= 1 << (i % 8)
		out, err := b.Import(now, raw)
		if len(b.All()) > 0 || out.Broadcast != nil {
			t.Fatalf("byte %d: taken over as %+v, %v", i, out, err)
		}
	}
}

// faulty has a fault that one record brings out.
type faulty struct{ gossip.Codec }

func (f faulty) Decode(owner micronet.NodeID, v gossip.Version, left bool, items []gossip.Item) (gossip.Document, error) {
	for _, it := range items {
		if strings.HasSuffix(it.Key, "/poison") {
			panic(fmt.Sprintf("index out of range at %s", it.Key))
		}
	}
	return f.Codec.Decode(owner, v, left, items)
}

// A record that brings out a fault of ours is put aside and counted: it must not end every daemon of the mesh,
// one after the other.
func TestQ19_PoisonIsPutAside(t *testing.T) {
	now := catalogStart
	b := newTestCatalog(2, func(c *gossip.CatalogConfig) { c.Codec = faulty{wire.New()} })
	a := newTestCatalog(1)
	mustReceive(t, b, now, mustPublish(t, a, now, testDocument("alpha", "web-1")))
	before := catalogState(b, now)
	msg := mustPublish(t, a, now.Add(time.Minute), testDocument("alpha", "poison"))
	if _, err := b.Receive(now, msg); gossip.ReasonOf(err) != gossip.ReasonPoison || micronet.KindOf(err) != micronet.Internal {
		t.Errorf("Receive = %v, want %s", err, gossip.ReasonPoison)
	}
	if catalogState(b, now) != before {
		t.Error("the last good document is gone")
	}
	if out, err := b.Receive(now, msg); err != nil || !reflect.DeepEqual(out, gossip.Outcome{}) || len(b.Wanted()) != 0 {
		t.Errorf("again: %+v, %v, wanted %v: it is read once", out, err, b.Wanted())
	}
	if n := b.Stats(now).Refused[gossip.ReasonPoison]; n != 1 {
		t.Errorf("it is counted %d times", n)
	}
	mustReceive(t, b, now, mustPublish(t, a, now.Add(2*time.Minute), testDocument("alpha", "web-2")))
}

// An owner that numbers its own documents far ahead is believed, as it signed them, and told of. Who counts as fast as it may,
// starts again, or says goodbye is not.
func TestQ14_OwnJumpsAreTold(t *testing.T) {
	now := catalogStart
	msg := mustPublish(t, newTestCatalog(1), now, testDocument("alpha", "web-1"))
	id, _ := catalogKey(1)
	const start = 1 << 8 // epochs of one start
	for _, c := range []struct {
		what       string
		epoch, seq uint64
		left, told bool
	}{
		{"the next", 5 * start, 11, false, false},
		{"a thousand later", 5 * start, 1010, false, false},
		{"far ahead", 5 * start, 1 << 40, false, true},
		{"a goodbye", 5 * start, gossip.LastSeq, true, false},
		{"a renewal", 5*start + 1, 1, false, false},
		{"the next start", 6 * start, 1, false, false},
		{"a start that begins far ahead", 6 * start, 1 << 30, false, true},
		{"far more starts", 1 << 50, 1, false, true},
	} {
		b := newTestCatalog(2)
		first, err := b.Receive(now, forge(1, msg, setVersion(5*start, 10, false)))
		if err != nil || !first.Jumped.IsZero() {
			t.Fatalf("the first: %+v, %v", first.Jumped, err)
		}
		next := msg
		if c.left {
			next = mustGoodbye(t, now)
		}
		out, err := b.Receive(now.Add(time.Second), forge(1, next, setVersion(c.epoch, c.seq, c.left)))
		if err != nil || (out.Jumped == id) != c.told || (b.Stats(now).Jumps == 1) != c.told {
			t.Errorf("%s: told of %s, %v", c.what, out.Jumped.Short(), err)
		}
	}
}

// mustGoodbye is a goodbye of the first owner.
func mustGoodbye(t *testing.T, now time.Time) []byte {
	t.Helper()
	a := newTestCatalog(1)
	mustPublish(t, a, now, testDocument("alpha"))
	out, err := a.Goodbye(now)
	if err != nil {
		t.Fatal(err)
	}
	return out.Broadcast
}
