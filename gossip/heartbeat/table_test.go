package heartbeat

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
)

// tracking returns a table of node 0 that tracks the chains.
func tracking(t testing.TB, chains ...*Chain) *Table {
	t.Helper()
	table := NewTable(testID(0))
	for _, c := range chains {
		if err := table.Track(epoch, c.owner, c.Anchor()); err != nil {
			t.Fatal(err)
		}
	}
	return table
}

// beat is the true entry of a chain, told with an age.
func beat(c *Chain, k uint32, age time.Duration) entry {
	return entry{prefix: prefixOf(c.owner), mark: c.anchor.Value[0], beat: k, value: c.at(k), age: ageOf(age)}
}

func packetOf(es ...entry) []byte {
	b := []byte{packetFormat}
	for _, e := range es {
		b = e.append(b)
	}
	return b
}

func receive(t testing.TB, table *Table, now time.Time, from micronet.NodeID, es ...entry) []micronet.NodeID {
	t.Helper()
	news, err := table.Receive(now, from, packetOf(es...))
	if err != nil {
		t.Fatal(err)
	}
	return slices.Clone(news)
}

func wantHeard(t testing.TB, table *Table, id micronet.NodeID, want time.Time) {
	t.Helper()
	if at, ok := table.Heard(id); !ok || !at.Equal(want) {
		t.Errorf("heard %v after the epoch, %v, want %v", at.Sub(epoch), ok, want.Sub(epoch))
	}
}

func TestHeard(t *testing.T) {
	c := testChain(t, epoch, testID(1), 1)
	table := tracking(t, c)
	if at, ok := table.Heard(testID(1)); ok {
		t.Errorf("heard at %v, it was never heard", at)
	}
	table.Direct(epoch.Add(time.Second), testID(9))
	if _, ok := table.Heard(testID(9)); ok {
		t.Error("heard of a node that is not tracked")
	}
	if news := receive(t, table, epoch.Add(3*sec), testID(2), beat(c, 2, sec)); !slices.Equal(news, []micronet.NodeID{testID(1)}) {
		t.Errorf("news %v", news)
	}
	wantHeard(t, table, testID(1), epoch.Add(2*sec))
	table.Direct(epoch.Add(2500*ms), testID(1))
	wantHeard(t, table, testID(1), epoch.Add(2500*ms))
	table.Direct(epoch.Add(time.Second), testID(1))
	wantHeard(t, table, testID(1), epoch.Add(2500*ms))
	table.Forget(testID(1))
	table.Forget(testID(1))
	if _, ok := table.Heard(testID(1)); ok {
		t.Error("heard of a node that was forgotten")
	}
}

// A packet is a sign of life of who sent it, readable or not.
func TestReceiveIsDirect(t *testing.T) {
	table := tracking(t, testChain(t, epoch, testID(1), 1))
	if _, err := table.Receive(epoch.Add(sec), testID(1), []byte{99}); err == nil {
		t.Error("format 99 was read")
	}
	wantHeard(t, table, testID(1), epoch.Add(sec))
}

func TestTrackGenerations(t *testing.T) {
	first, second := testChain(t, epoch, testID(1), 1), testChain(t, epoch.Add(time.Minute), testID(1), 2)
	table := tracking(t, first)
	receive(t, table, epoch.Add(8*sec), testID(2), beat(first, 5, 0))

	same := first.Anchor()
	same.Value[3]++
	for _, a := range []Anchor{first.Anchor(), same} {
		if err := table.Track(epoch.Add(9*sec), testID(1), a); err != nil {
			t.Fatal(err)
		}
	}
	if o := table.owners[testID(1)]; o.chain.beat != 5 || o.chain.anchor != first.Anchor() {
		t.Errorf("the same generation replaced the chain: %+v", o.chain)
	}
	if err := table.Track(epoch.Add(time.Minute), testID(1), second.Anchor()); err != nil {
		t.Fatal(err)
	}
	wantHeard(t, table, testID(1), epoch.Add(8*sec))
	receive(t, table, epoch.Add(61*sec), testID(2), beat(first, 31, 0))
	wantHeard(t, table, testID(1), epoch.Add(8*sec)) // the old chain is worth nothing now
	receive(t, table, epoch.Add(61*sec), testID(2), beat(second, 1, sec))
	wantHeard(t, table, testID(1), epoch.Add(60*sec))
	if err := table.Track(epoch.Add(62*sec), testID(1), first.Anchor()); err != nil {
		t.Fatal(err)
	}
	if o := table.owners[testID(1)]; o.chain.beat != 1 || o.chain.anchor != second.Anchor() {
		t.Errorf("an older generation replaced the chain: %+v", o.chain)
	}
	if s := table.Stats(); s.Otherwise != 1 || s.Accepted != 2 || s.Hashes != 6 {
		t.Errorf("%+v", s)
	}
}

func TestTrackBounds(t *testing.T) {
	table := NewTable(testID(0))
	a := Anchor{Length: 1, Interval: time.Second}
	if err := table.Track(epoch, testID(1), Anchor{}); micronet.KindOf(err) != micronet.Invalid {
		t.Errorf("an anchor out of bounds: %v", err)
	}
	if err := table.Track(epoch, testID(0), a); err != nil || table.Stats().Owners != 0 {
		t.Errorf("its own: %v, %d owners", err, table.Stats().Owners)
	}
	id := func(n int) (id micronet.NodeID) {
		binary.BigEndian.PutUint64(id[:], uint64(n+1))
		return id
	}
	for n := range MaxOwners {
		if err := table.Track(epoch, id(n), a); err != nil {
			t.Fatal(err)
		}
	}
	if err := table.Track(epoch, id(MaxOwners), a); micronet.KindOf(err) != micronet.Overloaded {
		t.Errorf("one owner too many: %v", err)
	}
	if s := table.Stats(); s.Owners != MaxOwners || s.Untracked != 1 {
		t.Errorf("%+v", s)
	}
	table.Forget(id(77))
	if err := table.Track(epoch, id(MaxOwners), a); err != nil {
		t.Errorf("after one was forgotten: %v", err)
	}
}

// Owners whose ids begin alike are told apart by their chains.
func TestPrefixShared(t *testing.T) {
	var chains []*Chain
	for n := range 3 {
		id := testID(1)
		id[31] = byte(n)
		chains = append(chains, testChain(t, epoch, id, 1))
		chains[n].anchor.Value[0] = 7 // not even the mark tells
	}
	table := NewTable(testID(0))
	for _, c := range chains {
		c.anchor.Value = c.tweak.walk(1, 0, c.at(1))
		if err := table.Track(epoch, c.owner, c.Anchor()); err != nil {
			t.Fatal(err)
		}
		table.owners[c.owner].chain.anchor.Value[0] = 7
		c.anchor.Value[0] = 7
	}
	for i, c := range chains {
		if news := receive(t, table, epoch.Add(sec), testID(2), beat(c, 1, 0)); !slices.Equal(news, []micronet.NodeID{c.owner}) {
			t.Errorf("chain %d: news %v", i, news)
		}
	}
	for i, n := range []int{1, 0, 2} { // from the middle, an end and the last
		table.Forget(chains[n].owner)
		left := 0
		for o := table.prefixes[prefixOf(testID(1))]; o != nil; o = o.next {
			left++
		}
		if left != 2-i || len(table.order) != 2-i {
			t.Errorf("%d owners with the prefix and %d in order, want %d", left, len(table.order), 2-i)
		}
	}
	if len(table.prefixes) != 0 {
		t.Errorf("prefixes %v are left", table.prefixes)
	}
}
