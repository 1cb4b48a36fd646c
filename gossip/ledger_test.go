package gossip_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
)

// word is a statement as the tests write it: kind, issuer, subject, clock, and something to tell two
// apart. Kinds below 100 revoke, those from 200 on end a right; issuers 0 and 250 are roots, the right of all
// others was given when the salt says; subjects of revocations and of ends are issuers.
type word struct {
	kind, issuer, subject uint8
	clock                 uint16
	salt                  uint8
}

const testRevoke, testOther, testEnd = 1, 100, 200

func (w word) raw() []byte {
	b := append([]byte{w.kind, w.issuer, w.subject}, 0, 0, w.salt)
	binary.BigEndian.PutUint16(b[3:], w.clock)
	return b
}

func issuerID(n uint8) micronet.NodeID { return micronet.NodeID{1, n} }

func readWord(raw []byte) (gossip.Statement, error) {
	if len(raw) < 6 {
		return gossip.Statement{}, errors.New("no statement")
	}
	s := gossip.Statement{
		Kind: raw[0], Issuer: issuerID(raw[1]), Root: raw[1] == 0 || raw[1] == 250, Clock: 1 + uint64(binary.BigEndian.Uint16(raw[3:])), Revokes: raw[0] < testOther,
	}
	id := issuerID(raw[2])
	s.Subject = string(id[:])
	if s.Given = uint64(raw[5]); s.Root {
		s.Given = 0
	}
	if s.Kind >= testEnd {
		s.Ends, s.Subject = id, s.Subject+string(raw[3:5])
	}
	return s, nil
}

func ledgerOf(t testing.TB, words ...word) *gossip.Ledger {
	t.Helper()
	l := gossip.NewLedger(readWord)
	for _, w := range words {
		if _, err := l.Take(w.raw()); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// state is all that can be seen of a ledger.
func ledgerState(l *gossip.Ledger) any {
	return []any{l.All(), l.Fingerprint(), l.Revocations(), l.Of(testOther), l.Of(testOther + 1), l.Clock(), l.Ended()}
}

func TestLedgerTakesTheNewestOfEachIssuer(t *testing.T) {
	l := gossip.NewLedger(readWord)
	for _, step := range []struct {
		word word
		want gossip.Taken
	}{
		{word{testOther, 1, 9, 5, 0}, gossip.TakenNew},
		{word{testOther, 1, 9, 5, 0}, gossip.TakenKnown},
		{word{testOther, 1, 9, 4, 0}, gossip.TakenOlder},
		{word{testOther, 1, 9, 5, 1}, gossip.TakenNew}, // by its bytes
		{word{testOther, 1, 9, 6, 0}, gossip.TakenNew},
		{word{testOther, 2, 9, 2, 0}, gossip.TakenNew},
		{word{testRevoke, 3, 1, 8, 0}, gossip.TakenNew},
		{word{testRevoke, 3, 1, 9, 0}, gossip.TakenOlder},
		{word{testRevoke, 3, 1, 7, 0}, gossip.TakenNew}, // counts from then on
	} {
		if got, err := l.Take(step.word.raw()); err != nil || got != step.want {
			t.Fatalf("%+v: %d, %v, want %d", step.word, got, err, step.want)
		}
	}
	if got, err := l.Take([]byte("x")); err == nil || got != gossip.TakenRefused {
		t.Fatalf("%d, %v", got, err)
	}
	of := l.Of(testOther)
	if len(of) != 1 || of[0].Clock != 7 || l.Len() != 3 || l.Fingerprint().Epoch != 1 {
		t.Fatalf("%+v, %d held, %+v", of, l.Len(), l.Fingerprint())
	}
}

// TestLedgerDecisive: what names roots is not pushed out by what is newer, comes first and in its order, and what no packet
// holds is in nobody's way.
func TestLedgerDecisive(t *testing.T) {
	const testOpen, most, packet = 150, 4, 6
	l := gossip.NewLedger(func(raw []byte) (gossip.Statement, error) {
		s, err := readWord(raw)
		if s.Kind == testOpen {
			s.Opens = issuerID(100 + byte(s.Clock))
		}
		return s, err
	})
	take := func(raw []byte) {
		if _, err := l.Take(raw); err != nil {
			t.Fatal(err)
		}
	}
	take(word{testOpen, 0, 1, 1, 0}.raw())
	take(word{testOpen, 0, 2, 2, 0}.raw())
	take(word{testOther, 0, 3, 3, 0}.raw())
	take(append(word{testOpen, 0, 4, 4, 0}.raw(), 0))
	for n := range uint8(5) {
		take(word{testRevoke, 0, 10 + n, 10 + uint16(n), 0}.raw())
		take(word{testEnd, 0, 20 + n, 20 + uint16(n), 0}.raw())
	}
	for want, got := range map[string][]gossip.Statement{"[2 3 25 24]": l.Decisive(most, packet), "[3]": l.Decisive(1, packet)} {
		var clocks []uint64
		for i := range got {
			clocks = append(clocks, got[i].Clock)
		}
		if fmt.Sprint(clocks) != want {
			t.Errorf("clocks %v, want %s", clocks, want)
		}
	}
}

func TestLedgerOfNothing(t *testing.T) {
	if f := gossip.NewLedger(readWord).Fingerprint(); f != (gossip.Fingerprint{}) {
		t.Fatal(f)
	}
}

// TestLedgerRevokedIssuers: what they say afterwards does not count, and what they said before does, unless a
// root has revoked them.
func TestLedgerRevokedIssuers(t *testing.T) {
	for name, c := range map[string]struct {
		words   []word
		revoked []uint8
		others  []uint64 // clocks
	}{
		"before":            {[]word{{testRevoke, 2, 1, 10, 0}, {testOther, 1, 9, 10, 0}}, []uint8{1}, []uint64{11}},
		"after":             {[]word{{testRevoke, 2, 1, 10, 0}, {testOther, 1, 9, 11, 0}}, []uint8{1}, nil},
		"before, by a root": {[]word{{testRevoke, 0, 1, 10, 0}, {testOther, 1, 9, 10, 0}}, []uint8{1}, nil},
		"a root too":        {[]word{{testRevoke, 2, 1, 10, 0}, {testRevoke, 0, 1, 20, 0}, {testOther, 1, 9, 9, 0}}, []uint8{1, 1}, nil},
		"dated back":        {[]word{{testRevoke, 0, 1, 10, 0}, {testRevoke, 1, 2, 3, 0}, {testOther, 2, 9, 12, 0}}, []uint8{1}, []uint64{13}},
		"who was a root's":  {[]word{{testRevoke, 2, 1, 10, 0}, {testRevoke, 0, 2, 11, 0}, {testOther, 1, 9, 12, 0}}, []uint8{2}, []uint64{13}},
		"an older one":      {[]word{{testRevoke, 0, 1, 10, 0}, {testOther, 1, 9, 11, 0}, {testOther, 2, 9, 3, 0}}, []uint8{1}, []uint64{4}},
		"the root":          {[]word{{testRevoke, 1, 0, 10, 0}, {testOther, 0, 9, 11, 0}}, []uint8{0}, []uint64{12}},
		"a chain":           {[]word{{testRevoke, 0, 1, 10, 0}, {testRevoke, 1, 2, 11, 0}, {testOther, 2, 9, 12, 0}}, []uint8{1}, []uint64{13}},
		"who was quicker":   {[]word{{testRevoke, 2, 1, 10, 0}, {testRevoke, 1, 2, 9, 0}}, []uint8{2}, nil},
		"both at once":      {[]word{{testRevoke, 2, 1, 10, 0}, {testRevoke, 1, 2, 10, 0}}, []uint8{1, 2}, nil},
		"earlier for both":  {[]word{{testRevoke, 0, 1, 20, 0}, {testRevoke, 2, 1, 10, 0}, {testOther, 1, 9, 15, 0}}, []uint8{1, 1}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			l := ledgerOf(t, c.words...)
			var revoked []uint8
			for _, r := range l.Revocations() {
				revoked = append(revoked, r.Subject[1])
			}
			slices.Sort(revoked)
			var clocks []uint64
			for _, s := range l.Of(testOther) {
				clocks = append(clocks, s.Clock)
			}
			if !slices.Equal(revoked, c.revoked) || !slices.Equal(clocks, c.others) {
				t.Fatalf("revoked %v, want %v; said %v, want %v", revoked, c.revoked, clocks, c.others)
			}
		})
	}
}

func TestH17_LedgerIsBounded(t *testing.T) {
	l, refused := gossip.NewLedger(func(raw []byte) (gossip.Statement, error) {
		s := gossip.Statement{Kind: raw[0], Issuer: issuerID(raw[1]), Root: raw[1] == 0, Clock: 1, Revokes: raw[0] < testOther, Subject: string(raw[2:6])}
		return s, nil
	}), 0
	take := func(kind, issuer uint8, subject uint32, size int) error {
		raw := append(binary.BigEndian.AppendUint32([]byte{kind, issuer}, subject), make([]byte, size)...)
		_, err := l.Take(raw)
		if err != nil {
			if refused++; micronet.KindOf(err) != micronet.Overloaded {
				t.Fatal(err)
			}
		}
		return err
	}
	// One stolen key fills its own share, and the room of others is not that of revocations.
	for n := range uint32(3000) {
		_ = take(testRevoke, 1, n, 0)
		_ = take(testOther, 1, n, 0)
	}
	if l.Len() != 1024+2048 {
		t.Fatalf("%d are held", l.Len())
	}
	for n := range uint32(10_000) {
		_ = take(testRevoke, 0, 1<<20+n, 0)
		_ = take(testOther+1+uint8(n%3), 0, n, 0)
	}
	if want := 4096 + 8192; l.Len() != want {
		t.Fatalf("%d are held, want %d", l.Len(), want)
	}
	if take(testOther, 1, 0, 100) != nil || take(testRevoke, 0, 9, 0) == nil {
		t.Fatal("the newer form of one that is held needs no room, a further one does")
	}
	for n := range uint32(3000) {
		_ = take(testOther, 1, n, 8000)
	}
	if total := len(slices.Concat(l.All()...)); total > gossip.MaxStatementsBytes+1<<20 {
		t.Fatalf("%d bytes are held", total)
	}
	if digest := l.Digest(); len(digest) > gossip.MaxLedgerDigest {
		t.Fatalf("a digest of %d bytes", len(digest))
	}
}

// TestH17_RootsHaveRoom: whatever authorities whose keys were stolen say, each has its share, and a root is heard.
func TestH17_RootsHaveRoom(t *testing.T) {
	l := gossip.NewLedger(func(raw []byte) (gossip.Statement, error) {
		return gossip.Statement{Kind: raw[0], Issuer: issuerID(raw[1]), Root: raw[1] == 0, Clock: 1 + uint64(raw[6]), Revokes: raw[0] == testRevoke, Subject: string(raw[2:6])}, nil
	})
	take := func(kind, issuer uint8, subject uint32, clock uint8, size int) error {
		raw := append(binary.BigEndian.AppendUint32([]byte{kind, issuer}, subject), clock)
		_, err := l.Take(append(raw, make([]byte, size-len(raw))...))
		return err
	}
	for n := range uint32(3000) {
		_ = take(testOther, 1, n, 0, 8000)
	}
	if held := len(slices.Concat(l.All()...)); held > 1<<20 || held < 1<<20-8000 {
		t.Fatalf("one issuer holds %d bytes", held)
	}
	if err := take(testOther, 1, 0, 1, 8700); micronet.KindOf(err) != micronet.Overloaded {
		t.Fatalf("what it holds grows: %v", err)
	}
	if err := take(testOther, 1, 0, 1, 100); err != nil {
		t.Fatalf("what it holds shrinks: %v", err)
	}
	for issuer := uint8(2); issuer < 20; issuer++ {
		for n := range uint32(2048) {
			_ = take(2+issuer%4, issuer, n, 0, 500)
			_ = take(testRevoke, issuer, uint32(issuer)<<16+n, 0, 500)
		}
	}
	for n := range uint32(1024) {
		if err := errors.Join(take(testRevoke, 0, n, 0, 700), take(testOther, 0, n, 0, 1024), take(2, 0, n, 0, 1000)); err != nil {
			t.Fatalf("the root's %d.: %v", n, err)
		}
	}
}

// checkMerge demands that what is held does not depend on the order, the grouping or the number of
// arrivals.
func checkMerge(t testing.TB, words []word, rng *rand.Rand) {
	t.Helper()
	want := ledgerState(ledgerOf(t, words...))
	mixed := slices.Concat(words, words)
	rng.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
	if got := ledgerState(ledgerOf(t, mixed...)); !reflect.DeepEqual(got, want) {
		t.Fatalf("another order makes another ledger:\n%v\n%v", got, want)
	}
	cut := rng.IntN(len(words) + 1)
	a, b := ledgerOf(t, words[:cut]...), ledgerOf(t, words[cut:]...)
	exchange(t, a, b)
	for _, l := range []*gossip.Ledger{a, b} {
		if got := ledgerState(l); !reflect.DeepEqual(got, want) {
			t.Fatalf("merged in two parts it is another ledger:\n%v\n%v", got, want)
		}
	}
}

// exchange makes two ledgers equal by what they ask each other for.
func exchange(t testing.TB, a, b *gossip.Ledger) {
	t.Helper()
	want, offer, err := a.Compare(b.Digest())
	if err != nil {
		t.Fatal(err)
	}
	for _, raw := range b.Among(want) {
		if _, err := a.Take(raw); err != nil {
			t.Fatal(err)
		}
	}
	for _, raw := range offer {
		if _, err := b.Take(raw); err != nil {
			t.Fatal(err)
		}
	}
	if a.Fingerprint() != b.Fingerprint() {
		t.Fatalf("%+v and %+v", a.Fingerprint(), b.Fingerprint())
	}
}

// ledgerSays is what follows from a ledger: what counts of each kind, and who is revoked.
func ledgerSays(l *gossip.Ledger) (others []string, revoked map[string]uint64) {
	for _, kind := range []uint8{testOther, testOther + 1} {
		for _, s := range l.Of(kind) {
			others = append(others, fmt.Sprint(s.Kind, []byte(s.Subject), s.Clock))
		}
	}
	revoked = map[string]uint64{}
	for _, s := range l.Revocations() { // the oldest comes first
		if revoked[s.Subject] == 0 {
			revoked[s.Subject] = s.Clock
		}
	}
	return others, revoked
}

// casting are the ways in which a root ends an authority: it revokes the key, or ends the right that all
// words have.
func casting(seed uint64, issuer uint8) word {
	return word{[...]uint8{testRevoke, testEnd}[seed%2], 250, issuer, 20, 0}
}

// TestLedgerDatedBack: whom a root has cast out changes nothing any more, whatever the clocks of what it says.
func TestLedgerDatedBack(t *testing.T) {
	for seed := range uint64(600) {
		rng := rand.New(rand.NewPCG(seed, 3))
		thief := uint8(1 + rng.IntN(3))
		before, later := randomWords(rng), randomWords(rng)
		before = append(before, casting(seed, thief))
		want := ledgerOf(t, before...)
		for i := range later {
			if later[i].kind < testEnd {
				later[i].issuer = thief
			}
		}
		later = slices.DeleteFunc(later, func(w word) bool { return w.issuer != thief })
		all := slices.Concat(before, later)
		rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		got := ledgerOf(t, all...)
		if a, b := countsOf(got), countsOf(want); !reflect.DeepEqual(a, b) {
			t.Fatalf("seed %d: %v\nthen %v:\n%v\nwant\n%v", seed, before, later, a, b)
		}
	}
}

func countsOf(l *gossip.Ledger) any {
	return []any{l.Of(testOther), l.Of(testOther + 1), l.Revocations(), l.Ended()}
}

// TestLedgerRepeats: where a root repeats what it is told to, the end of an authority changes nothing of what was
// said until then.
func TestLedgerRepeats(t *testing.T) {
	for seed := range uint64(600) {
		rng := rand.New(rand.NewPCG(seed, 4))
		words, leaving := randomWords(rng), uint8(1+rng.IntN(3))
		before := ledgerOf(t, words...)
		wantOthers, wantRevoked := ledgerSays(before)
		for _, s := range before.Said(issuerID(leaving)) {
			words = append(words, word{s.Kind, 250, s.Subject[1], uint16(s.Clock - 1), 0})
		}
		end := casting(seed, leaving)
		words = append(words, end)
		rng.Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
		others, revoked := ledgerSays(ledgerOf(t, words...))
		if id := issuerID(leaving); end.kind == testRevoke && wantRevoked[string(id[:])] == 0 {
			delete(revoked, string(id[:]))
		}
		if !slices.Equal(others, wantOthers) || !maps.Equal(revoked, wantRevoked) {
			t.Fatalf("seed %d, without %d: %v\n%v\nwant\n%v\nrevoked %v\nwant %v", seed, leaving, words, others, wantOthers, revoked, wantRevoked)
		}
	}
}

func randomWords(rng *rand.Rand) []word {
	b := make([]byte, 3*rng.IntN(40))
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return wordsOf(b)
}

func wordsOf(b []byte) (words []word) {
	for ; len(b) >= 3 && len(words) < 64; b = b[3:] {
		kind := [...]uint8{testRevoke, testRevoke + 1, testOther, testOther + 1}[b[0]&3]
		w := word{kind, b[0] >> 2 & 3, b[1] & 3, uint16(b[1] >> 2 & 15), b[2] & 15}
		if b[2]&0x30 == 0 {
			w.kind, w.issuer = testEnd, w.issuer&1*250
		}
		words = append(words, w)
	}
	return words
}

func TestLedgerMergeCommutes(t *testing.T) {
	for seed := range uint64(400) {
		rng := rand.New(rand.NewPCG(seed, 1))
		checkMerge(t, randomWords(rng), rng)
	}
}

func FuzzLedgerMerge(f *testing.F) {
	f.Add([]byte("abcdefghijklmnopqrstuvwxyz"), uint64(1))
	f.Add(bytes.Repeat([]byte{1, 2, 3, 0xff, 7, 0}, 9), uint64(2))
	f.Fuzz(func(t *testing.T, b []byte, seed uint64) {
		checkMerge(t, wordsOf(b), rand.New(rand.NewPCG(seed, 2)))
	})
}

// FuzzLedgerDigest: whatever a peer says it holds, nothing is asked for twice and nothing is offered that
// it has.
func FuzzLedgerDigest(f *testing.F) {
	l := ledgerOf(f, word{testRevoke, 0, 1, 1, 0}, word{testOther, 0, 2, 1, 0}, word{testOther, 1, 2, 1, 0})
	f.Add(l.Digest())
	f.Add([]byte{1})
	f.Add(append([]byte{1}, make([]byte, 33)...))
	f.Fuzz(func(t *testing.T, digest []byte) {
		want, offer, err := l.Compare(digest)
		if err != nil {
			return
		}
		if len(want)*16+1 > len(digest) || len(offer) > l.Len() || l.Among(want) != nil {
			t.Fatalf("%d wanted, %d offered for %d bytes", len(want), len(offer), len(digest))
		}
	})
}

// TestLedgerEndedRights: what was said by a right that has ended does not count, by one that was given later
// it does; none of the ends supersedes another, and nobody but a root ends a right.
func TestLedgerEndedRights(t *testing.T) {
	for name, c := range map[string]struct {
		words   []word
		revoked int
		others  []uint64 // clocks
	}{
		"before":                  {[]word{{testEnd, 0, 1, 10, 0}, {testOther, 1, 9, 10, 2}}, 0, nil},
		"after":                   {[]word{{testEnd, 0, 1, 10, 0}, {testOther, 1, 9, 11, 2}}, 0, nil},
		"by a new right":          {[]word{{testEnd, 0, 1, 10, 0}, {testOther, 1, 9, 20, 15}}, 0, []uint64{21}},
		"by a right that ended":   {[]word{{testEnd, 0, 1, 10, 0}, {testEnd, 0, 1, 18, 0}, {testOther, 1, 9, 20, 15}}, 0, nil},
		"by the old right later":  {[]word{{testEnd, 0, 1, 10, 0}, {testEnd, 0, 1, 30, 0}, {testOther, 1, 9, 20, 2}}, 0, nil},
		"a revocation after":      {[]word{{testEnd, 0, 1, 10, 0}, {testRevoke, 1, 2, 11, 2}, {testOther, 2, 9, 12, 0}}, 0, []uint64{13}},
		"a revocation before":     {[]word{{testEnd, 0, 1, 10, 0}, {testRevoke, 1, 2, 9, 2}, {testOther, 2, 9, 12, 0}}, 0, []uint64{13}},
		"by no root":              {[]word{{testEnd, 2, 1, 10, 0}, {testOther, 1, 9, 11, 2}}, 0, []uint64{12}},
		"a root":                  {[]word{{testEnd, 0, 0, 10, 0}, {testOther, 0, 9, 11, 0}}, 0, nil},
		"a root before":           {[]word{{testEnd, 0, 0, 10, 0}, {testOther, 0, 9, 10, 0}}, 0, []uint64{11}},
		"another root":            {[]word{{testEnd, 0, 0, 10, 0}, {testOther, 250, 9, 11, 0}}, 0, []uint64{12}},
		"a root takes it back":    {[]word{{testEnd, 0, 0, 10, 0}, {testEnd, 0, 0, 30, 0}, {testOther, 0, 9, 20, 0}}, 0, nil},
		"a root that ended ends":  {[]word{{testEnd, 0, 0, 10, 0}, {testEnd, 0, 1, 12, 0}, {testOther, 1, 9, 20, 2}}, 0, []uint64{21}},
		"a root that ended later": {[]word{{testEnd, 0, 0, 13, 0}, {testEnd, 0, 1, 12, 0}, {testOther, 1, 9, 20, 2}}, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 { // in both orders
				slices.Reverse(c.words)
				l := ledgerOf(t, c.words...)
				var clocks []uint64
				for _, s := range l.Of(testOther) {
					clocks = append(clocks, s.Clock)
				}
				if !slices.Equal(clocks, c.others) || len(l.Revocations()) != c.revoked {
					t.Fatalf("said %v, want %v; %d revoked, want %d", clocks, c.others, len(l.Revocations()), c.revoked)
				}
			}
		})
	}
}

// TestWhatRootsSayComesFirst: a root repeats what is to count on of whom it revokes; who takes the ledger in parts must
// not be without that in between.
func TestWhatRootsSayComesFirst(t *testing.T) {
	revoked := word{kind: testRevoke, issuer: 0, subject: 2, clock: 3}
	repeated := word{kind: testOther, issuer: 0, subject: 7, clock: 9}
	other := word{kind: testOther, issuer: 2, subject: 7, clock: 1}
	want := [][]byte{repeated.raw(), revoked.raw(), other.raw()}
	if got := ledgerOf(t, other, revoked, repeated).All(); !reflect.DeepEqual(got, want) {
		t.Errorf("the order is %v, want %v", got, want)
	}
}

// TestLedgerEndsTheOtherLine: the end of a root ends those that it has named besides the one that goes on, and whom those
// have named, whatever the order in which all that came. Of two ends at one moment one decides.
func TestLedgerEndsTheOtherLine(t *testing.T) {
	read := func(raw []byte) (gossip.Statement, error) {
		s := gossip.Statement{Kind: testOther, Issuer: issuerID(raw[0]), Root: true, Opens: issuerID(raw[1]), Clock: uint64(raw[2]), Subject: string(raw[1:])}
		if raw[3] > 0 {
			s.Ends = s.Issuer
		}
		return s, nil
	}
	const first, a, b, b2, c = 1, 2, 3, 4, 5
	words := [][]byte{{first, a, 10, 0}, {first, b, 11, 0}, {b, b2, 12, 0}, {first, a, 20, 1}, {first, b, 20, 1}, {a, c, 30, 0}, {b, c, 31, 0}, {b2, c, 32, 1}}
	want := map[micronet.NodeID][]uint64{issuerID(first): {20, 20}, issuerID(b): {20}, issuerID(b2): {20}}
	for i := range 50 {
		rand.New(rand.NewPCG(uint64(i), 1)).Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
		l := gossip.NewLedger(read)
		for _, w := range words {
			if _, err := l.Take(w); err != nil {
				t.Fatal(err)
			}
		}
		if got := l.Ended(); !reflect.DeepEqual(got, want) {
			t.Fatalf("ended: %v, want %v", got, want)
		}
	}
}
