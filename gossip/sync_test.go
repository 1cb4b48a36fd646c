package gossip_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
)

// catalogStore is a catalog behind a lock, as a node keeps it.
type catalogStore struct {
	mu       sync.Mutex
	cat      *gossip.Catalog
	now      time.Time
	outcomes []gossip.Outcome
}

func (s *catalogStore) Digest() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cat.Digest(s.now)
}

func (s *catalogStore) Compare(digest []byte) (want, offer []micronet.NodeID, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cat.Compare(s.now, digest)
}

func (s *catalogStore) Document(id micronet.NodeID) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cat.Document(s.now, id)
}

func (s *catalogStore) Import(raw []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	out, err := s.cat.Import(s.now, raw)
	s.outcomes = append(s.outcomes, out)
	return err
}

func newStore(c *gossip.Catalog) *catalogStore { return &catalogStore{cat: c, now: catalogStart} }

// filled returns a store with the documents of the given owners.
func filled(t testing.TB, self int, owners ...int) *catalogStore {
	t.Helper()
	s := newStore(newTestCatalog(self))
	for _, seed := range owners {
		mustReceive(t, s.cat, s.now, mustPublish(t, newTestCatalog(seed), s.now, testDocument("node", instanceNames(seed%4)...)))
	}
	return s
}

type syncResult struct {
	stats gossip.SyncStats
	err   error
}

// session runs both ends over a pipe.
func session(t testing.TB, client, server func(io.ReadWriter) (gossip.SyncStats, error)) (c, s syncResult) {
	t.Helper()
	near, far := net.Pipe()
	done := make(chan syncResult)
	go func() {
		stats, err := server(far)
		_ = far.Close()
		done <- syncResult{stats, err}
	}()
	stats, err := client(near)
	_ = near.Close()
	return syncResult{stats, err}, <-done
}

func syncStores(t testing.TB, a, b *catalogStore, l gossip.SyncLimits) (c, s syncResult) {
	t.Helper()
	return session(t,
		func(rw io.ReadWriter) (gossip.SyncStats, error) { return gossip.SyncClient(rw, a, l) },
		func(rw io.ReadWriter) (gossip.SyncStats, error) { return gossip.SyncServer(rw, b, l) })
}

func TestSyncBothDirections(t *testing.T) {
	a := filled(t, 1, 10, 11, 12, 13, 14)
	b := filled(t, 2, 12, 13, 14, 15, 16, 17)
	newer := newTestCatalog(13)
	mustPublish(t, newer, a.now, testDocument("node", instanceNames(1)...))
	mustReceive(t, a.cat, a.now, mustPublish(t, newer, a.now, testDocument("node", "new")))
	c, s := syncStores(t, a, b, gossip.SyncLimits{})
	if c.err != nil || s.err != nil {
		t.Fatalf("synchronisation failed: %v, %v", c.err, s.err)
	}
	if c.stats.Sent != 3 || c.stats.Received != 3 || s.stats.Sent != 3 || s.stats.Received != 3 {
		t.Errorf("stats = %+v and %+v, want 3 documents each way", c.stats, s.stats)
	}
	if c.stats.In != s.stats.Out || c.stats.Out != s.stats.In {
		t.Errorf("bytes do not add up: %+v and %+v", c.stats, s.stats)
	}
	if catalogState(a.cat, a.now) != catalogState(b.cat, b.now) {
		t.Error("the catalogs differ")
	}
	if c, s = syncStores(t, a, b, gossip.SyncLimits{}); c.err != nil || s.err != nil || c.stats.Sent+s.stats.Sent != 0 {
		t.Errorf("a second synchronisation: %+v, %+v", c, s)
	}
}

func TestFetch(t *testing.T) {
	a, b := filled(t, 1), filled(t, 2, 10, 11, 12)
	id := func(seed int) micronet.NodeID { id, _ := catalogKey(seed); return id }
	c, s := session(t,
		func(rw io.ReadWriter) (gossip.SyncStats, error) {
			return gossip.FetchClient(rw, a, []micronet.NodeID{id(12), id(99), id(10), id(12)}, gossip.SyncLimits{})
		},
		func(rw io.ReadWriter) (gossip.SyncStats, error) { return gossip.SyncServer(rw, b, gossip.SyncLimits{}) })
	if c.err != nil || s.err != nil || c.stats.Received != 2 || s.stats.Sent != 2 {
		t.Errorf("fetch = %+v, %+v, want 2 documents", c, s)
	}
	if _, ok := a.cat.Get(id(11)); ok || len(a.cat.All()) != 2 {
		t.Error("something else than what was asked for is held")
	}
}

// What does not fit into one session comes with the next ones.
func TestSyncWithSmallBudgetProgresses(t *testing.T) {
	var owners []int
	for i := range 30 {
		owners = append(owners, 10+i)
	}
	a, b := filled(t, 1), filled(t, 2, owners...)
	limits := gossip.SyncLimits{MaxBytes: 4000}
	for i := range 20 {
		if c, s := syncStores(t, a, b, limits); c.err != nil || s.err != nil {
			t.Fatalf("session %d: %v, %v", i, c.err, s.err)
		} else if s.stats.Out > limits.MaxBytes {
			t.Fatalf("session %d sent %d bytes", i, s.stats.Out)
		}
		if catalogState(a.cat, a.now) == catalogState(b.cat, b.now) {
			return
		}
	}
	t.Errorf("after 20 sessions %d of 30 documents have arrived", len(a.cat.All()))
}

// One owner that is not listened to must not keep the others' documents out.
func TestSyncGoesOnAfterARefusedDocument(t *testing.T) {
	lax := newTestCatalog(12, func(c *gossip.CatalogConfig) { c.Codec = laxCodec{} })
	holder := newStore(newTestCatalog(2, func(c *gossip.CatalogConfig) { c.Codec = laxCodec{} }))
	mustReceive(t, holder.cat, holder.now, mustPublish(t, lax, holder.now, gossip.Document{}))
	for _, seed := range []int{10, 11, 13, 14} {
		mustReceive(t, holder.cat, holder.now, mustPublish(t, newTestCatalog(seed), holder.now, testDocument("node")))
	}
	a := filled(t, 1)
	c, s := syncStores(t, a, holder, gossip.SyncLimits{})
	if c.err != nil || s.err != nil || c.stats.Received != 5 || c.stats.Refused != 1 || len(a.cat.All()) != 4 {
		t.Errorf("synchronisation = %+v, %+v, %d held", c, s, len(a.cat.All()))
	}
}

func frame(kind byte, payload []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(1+len(payload)))
	return append(append(b, kind), payload...)
}

// script is a peer that says what it was told to, whatever it hears.
type script struct {
	io.Reader
	heard bytes.Buffer
}

func (s *script) Write(b []byte) (int, error) { return s.heard.Write(b) }

func says(frames ...[]byte) *script {
	return &script{Reader: bytes.NewReader(slices.Concat(frames...))}
}

// sortedOwners returns seeds in the order of their ids.
func sortedOwners(seeds ...int) []int {
	slices.SortFunc(seeds, func(a, b int) int {
		x, _ := catalogKey(a)
		y, _ := catalogKey(b)
		return x.Compare(y)
	})
	return seeds
}

func TestH15_SyncWithHostilePeers(t *testing.T) {
	order := sortedOwners(20, 21, 22)
	peer := filled(t, 9, order...)
	doc := func(seed int) []byte { return frame(2, mustDocument(t, peer.cat, peer.now, seed)) }
	id := func(seed int) []byte { id, _ := catalogKey(seed); return id[:] }
	held := newTestCatalog(30)
	old := mustPublish(t, held, peer.now, testDocument("node", "old"))
	current := mustPublish(t, held, peer.now, testDocument("node", "new"))
	otherFormat := bytes.Clone(current)
	otherFormat[headerOffset] = 2
	digest := frame(1, peer.cat.Digest(peer.now))
	want, end := frame(3, nil), frame(4, nil)
	cases := []struct {
		name     string
		server   bool // the honest side is the server
		says     *script
		kind     micronet.Kind
		imported int
	}{
		{"client hears nothing", false, says(), micronet.Closed, 0},
		{"client hears half a frame", false, says(doc(order[0])[:100]), micronet.Closed, 0},
		{"documents in wrong order", false, says(doc(order[1]), doc(order[0])), micronet.Invalid, 1},
		{"a document twice", false, says(doc(order[0]), doc(order[0])), micronet.Invalid, 1},
		{"an older document than the digest says", false, says(frame(2, old)), micronet.Invalid, 0},
		{"the document the digest says", false, says(frame(2, current)), micronet.Invalid, 0},
		{"an announcement", false, says(frame(2, append([]byte{3}, current[headerOffset:bodyOffset]...))), micronet.Invalid, 0},
		{"a document of another format", false, says(doc(order[0]), frame(2, otherFormat), doc(order[1]), want), 0, 2},
		{"a document of another format, to the server", true, says(digest, doc(order[0]), frame(2, otherFormat), doc(order[1]), end), 0, 2},
		{"too many of another format", false, says(bytes.Repeat(frame(2, otherFormat), 5000), want), micronet.Invalid, 0},
		{"no document", false, says(frame(2, []byte("hello"))), micronet.Invalid, 0},
		{"digest in answer", false, says(digest), micronet.Invalid, 0},
		{"end in answer", false, says(end), micronet.Invalid, 0},
		{"half an id wanted", false, says(frame(3, id(20)[:31])), micronet.Invalid, 0},
		{"wanted twice", false, says(frame(3, append(id(20), id(20)...))), micronet.Invalid, 0},
		{"wanted what nobody has", false, says(frame(3, id(77))), 0, 0},
		{"unknown frames", false, says(frame(9, nil), doc(order[0]), frame(200, make([]byte, 1000)), want), 0, 1},
		{"frame of 4 GiB", false, says([]byte{0xff, 0xff, 0xff, 0xff, 2}), micronet.Invalid, 0},
		{"frame of nothing", false, says([]byte{0, 0, 0, 0, 99}, want), micronet.Invalid, 0},
		{"server hears a document first", true, says(doc(order[0])), micronet.Invalid, 0},
		{"server hears a bad digest", true, says(frame(1, []byte{1, 2, 3})), micronet.Invalid, 0},
		{"unasked document", true, says(frame(1, []byte{1}), doc(order[0])), micronet.Invalid, 0},
		{"asked documents, then more", true, says(digest, doc(order[0]), doc(order[1]), doc(order[2]), frame(2, current)), micronet.Invalid, 3},
		{"wrong digest", true, says(frame(1, lie(peer.cat.Digest(peer.now))), end), 0, 0},
		{"fetch of everything", true, says(frame(3, make([]byte, 32*20000))), micronet.Invalid, 0},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			s := newStore(newTestCatalog(1))
			mustReceive(t, s.cat, s.now, current)
			run := gossip.SyncClient
			if tc.server {
				run = gossip.SyncServer
			}
			stats, err := run(tc.says, s, gossip.SyncLimits{})
			if tc.kind == 0 && err != nil || tc.kind != 0 && (err == nil || micronet.KindOf(err) != tc.kind) {
				t.Errorf("the session ended with %v, want kind %v", err, tc.kind)
			}
			if got := len(s.cat.All()) - 1; got != tc.imported || stats.Received < got {
				t.Errorf("%d documents were imported, want %d", got, tc.imported)
			}
		})
	}
}

// lie makes a digest claim newer versions and other hashes of everything.
func lie(digest []byte) []byte {
	for i := 1; i < len(digest); i += 60 {
		digest[i+39] = 9
		digest[i+50] ^= 1
	}
	return digest
}

// endless sends the same frame for ever.
type endless struct {
	frame []byte
	rest  []byte
	sent  int
}

func (e *endless) Read(b []byte) (int, error) {
	if len(e.rest) == 0 {
		e.rest = e.frame
	}
	n := copy(b, e.rest)
	e.rest = e.rest[n:]
	e.sent += n
	return n, nil
}

func TestQ17_EndlessPeerIsCut(t *testing.T) {
	e := &endless{frame: frame(99, make([]byte, 100<<10))}
	rw := struct {
		io.Reader
		io.Writer
	}{e, io.Discard}
	_, err := gossip.SyncClient(rw, filled(t, 1), gossip.SyncLimits{MaxBytes: 1 << 20})
	if micronet.KindOf(err) != micronet.Invalid || e.sent > 2<<20 {
		t.Errorf("after %d bytes the session ended with %v", e.sent, err)
	}
}

func TestSyncReportsBrokenStreams(t *testing.T) {
	broken := errors.New("the cable is out")
	for _, rw := range []io.ReadWriter{
		struct {
			io.Reader
			io.Writer
		}{iotest.ErrReader(broken), io.Discard},
		struct {
			io.Reader
			io.Writer
		}{bytes.NewReader(nil), failingWriter{broken}},
	} {
		_, err := gossip.SyncClient(rw, filled(t, 1), gossip.SyncLimits{})
		if !errors.Is(err, broken) || micronet.KindOf(err) != micronet.Unreachable {
			t.Errorf("SyncClient = %v, want unreachable", err)
		}
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

// Two nodes that synchronise with each other at the same time, while both change, end up equal.
func TestSyncWhileChanging(t *testing.T) {
	a, b := filled(t, 1, 10, 11, 12), filled(t, 2, 13, 14)
	rng := rand.New(rand.NewPCG(5, 5))
	for i := range 10 {
		now := catalogStart.Add(time.Duration(i) * time.Second)
		for _, s := range []*catalogStore{a, b} {
			s.mu.Lock()
			s.now = now
			mustPublish(t, s.cat, now, testDocument("node", instanceNames(rng.IntN(30))...))
			s.mu.Unlock()
		}
		var wg sync.WaitGroup
		for _, pair := range [][2]*catalogStore{{a, b}, {b, a}} {
			wg.Go(func() {
				if c, s := syncStores(t, pair[0], pair[1], gossip.SyncLimits{}); c.err != nil || s.err != nil {
					t.Errorf("round %d: %v, %v", i, c.err, s.err)
				}
			})
		}
		wg.Wait()
		if catalogState(a.cat, now) != catalogState(b.cat, now) {
			t.Fatalf("round %d: the catalogs differ", i)
		}
	}
}

// The document of a node of a newer version, whose header has another format, is set aside and counted. All others arrive.
func TestQ13_OtherFormatsEndNoSync(t *testing.T) {
	order := sortedOwners(20, 21)
	peer := filled(t, 9, order...)
	newer := bytes.Clone(mustDocument(t, peer.cat, peer.now, order[0]))
	newer[headerOffset] = 7
	s := newStore(newTestCatalog(1))
	stats, err := gossip.SyncClient(says(frame(2, newer), frame(2, mustDocument(t, peer.cat, peer.now, order[1])), frame(3, nil)), s, gossip.SyncLimits{})
	if err != nil || stats.Received != 2 || stats.Refused != 1 || len(s.cat.All()) != 1 {
		t.Errorf("%+v, %v; %d documents are held", stats, err, len(s.cat.All()))
	}
	if n := s.cat.Stats(s.now).Refused[gossip.ReasonFormat]; n != 1 {
		t.Errorf("it is counted %d times", n)
	}
}
