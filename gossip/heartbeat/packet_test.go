package heartbeat

import (
	"slices"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
)

// told lists the owners in a packet, as numbers below n.
func told(t testing.TB, packet []byte, n int) (out []int) {
	t.Helper()
	entries, err := entriesOf(packet)
	if err != nil {
		t.Fatal(err)
	}
	for ; len(entries) > 0; entries = entries[entrySize:] {
		e := parseEntry(entries)
		i := 0
		for i < n && prefixOf(testID(i)) != e.prefix {
			i++
		}
		out = append(out, i)
	}
	return out
}

// informed returns the table of node 0 with a chain of its own, and with beat 5 of the nodes 1 to n:
// the higher the number, the newer.
func informed(t testing.TB, n int) (*Table, []*Chain) {
	t.Helper()
	chains := make([]*Chain, n+1)
	for i := range chains {
		chains[i] = testChain(t, epoch, testID(i), 1)
	}
	table := tracking(t, chains[1:]...)
	table.Own(epoch, chains[0])
	for i := 1; i <= n; i++ {
		receive(t, table, epoch.Add(10*sec), testID(1000), beat(chains[i], 5, time.Duration(n-i)*200*ms))
	}
	return table, chains
}

func wantTold(t testing.TB, table *Table, now time.Time, doubted func(micronet.NodeID) bool, room int, want ...int) {
	t.Helper()
	got := told(t, table.Packet(now, testID(1<<20), doubted, headerSize+room*entrySize+entrySize/2), len(table.order)+1)
	if !slices.Equal(got, want) {
		t.Errorf("tells of %v, want %v", got, want)
	}
}

func TestPacketOrder(t *testing.T) {
	now := epoch.Add(10 * sec)
	table, chains := informed(t, 8)
	doubted := func(id micronet.NodeID) bool { return id == testID(2) || id == testID(4) }
	wantTold(t, table, now, nil, 1, 0)                 // itself first
	wantTold(t, table, now, nil, 4, 0, 8, 7, 6)        // the newest
	wantTold(t, table, now, nil, 4, 0, 5, 4, 3)        // those told least
	wantTold(t, table, now, nil, 4, 0, 2, 1, 8)        // and again
	wantTold(t, table, now, doubted, 5, 0, 4, 2, 7, 6) // the doubted go before
	wantTold(t, table, now, doubted, 5, 0, 4, 2, 5, 3) // always
	receive(t, table, now, testID(1000), beat(chains[3], 6, 900*ms))
	wantTold(t, table, now, doubted, 4, 0, 4, 2, 3)      // news is told as if never before
	wantTold(t, table, now.Add(fresh), doubted, 2, 0, 3) // of old beats nobody is saved by
}

// Nobody is told again what it has told, while there is other news, nor of itself.
func TestPacketForReceiver(t *testing.T) {
	now := epoch.Add(10 * sec)
	table, chains := informed(t, 6)
	receive(t, table, now, testID(3), beat(chains[5], 6, 0), beat(chains[6], 6, 0))
	got := told(t, table.Packet(now, testID(3), nil, headerSize+4*entrySize), 7)
	if want := []int{0, 4, 2, 1}; !slices.Equal(got, want) {
		t.Errorf("node 3 is told of %v, want %v", got, want)
	}
	// What it told comes last, that it may see what we lack. It is never told of itself.
	got = told(t, table.Packet(now, testID(3), nil, MaxPacket), 7)
	slices.Sort(got)
	if want := []int{0, 1, 2, 4, 5, 6}; !slices.Equal(got, want) {
		t.Errorf("node 3 is told of %v, want %v", got, want)
	}
}

// However many are doubted, half of a packet is left for others.
func TestPacketManyDoubted(t *testing.T) {
	table, _ := informed(t, 20)
	doubted := func(id micronet.NodeID) bool { return id != testID(1) && id != testID(2) && id != testID(3) }
	seen := map[int]bool{}
	for range 4 {
		for _, i := range told(t, table.Packet(epoch.Add(10*sec), testID(1<<20), doubted, headerSize+9*entrySize), 21) {
			seen[i] = true
		}
	}
	for i := range 21 {
		if !seen[i] {
			t.Errorf("nobody hears of node %d", i)
		}
	}
}

// What was told often enough waits for its turn, and everybody gets it.
func TestPacketRotation(t *testing.T) {
	const n = 20
	now := epoch.Add(10 * sec)
	table, _ := informed(t, n)
	for range retransmitMult * 5 * n {
		table.Packet(now, testID(1<<20), nil, headerSize+2*entrySize)
	}
	for _, o := range table.order {
		if o.told != retransmitMult*5 { // 20 has five bits
			t.Errorf("told %d times, want %d", o.told, retransmitMult*5)
		}
	}
	turns := make(map[int]int)
	for range n / 2 {
		for _, i := range told(t, table.Packet(now, testID(1<<20), nil, headerSize+3*entrySize), n+1) {
			turns[i]++
		}
	}
	for i := 1; i <= n; i++ {
		if turns[i] != 1 {
			t.Errorf("node %d had its turn %d times in a round", i, turns[i])
		}
	}
}

func TestPacketCarriesAll(t *testing.T) {
	table, _ := informed(t, 35)
	for range 3 {
		got := told(t, table.Packet(epoch.Add(10*sec), testID(1<<20), nil, 1<<20), 36)
		slices.Sort(got)
		if len(slices.Compact(got)) != 36 {
			t.Errorf("tells of %d nodes", len(got))
		}
	}
	table, _ = informed(t, 40)
	if p := table.Packet(epoch.Add(10*sec), testID(1<<20), nil, 1<<20); len(p) != headerSize+MaxEntries*entrySize || len(p) > MaxPacket {
		t.Errorf("a packet of %d bytes", len(p))
	}
}

func TestPacketOfNothing(t *testing.T) {
	table, chains := informed(t, 1)
	for _, limit := range []int{-1, 0, 30} {
		if p := table.Packet(epoch, testID(1<<20), nil, limit); p != nil {
			t.Errorf("%d bytes hold %x", limit, p)
		}
	}
	late := epoch.Add(10*sec + tellFor)
	table.Own(epoch, nil)
	if p := table.Packet(late.Add(-ms), testID(1<<20), nil, MaxPacket); !slices.Equal(told(t, p, 2), []int{1}) {
		t.Errorf("a beat almost too old: %x", p)
	}
	if p := table.Packet(late, testID(1<<20), nil, MaxPacket); p != nil {
		t.Errorf("a beat too old to be told: %x", p)
	}
	table.Own(epoch, chains[0])
	if p := table.Packet(epoch.Add(DefaultLength*DefaultInterval), testID(1<<20), nil, MaxPacket); p != nil {
		t.Errorf("a spent chain: %x", p)
	}
}

// For a while after a change of chains, both are told: not everybody has the new document.
func TestPacketFormerChain(t *testing.T) {
	first, second := testChain(t, epoch, testID(1), 1), testChain(t, epoch.Add(time.Hour), testID(1), 2)
	table := NewTable(testID(1))
	table.Own(epoch, first)
	now := epoch.Add(time.Hour)
	table.Own(now, second)
	for _, x := range []struct {
		wait    time.Duration
		entries int
	}{{0, 2}, {overlap, 2}, {overlap + 1, 1}} {
		if got := len(told(t, table.Packet(now.Add(x.wait), testID(1<<20), nil, MaxPacket), 2)); got != x.entries {
			t.Errorf("after %v: %d entries, want %d", x.wait, got, x.entries)
		}
	}
	old, renewed := NewTable(testID(2)), NewTable(testID(3))
	table.Own(now, first)
	table.Own(now, second)
	p := table.Packet(now.Add(sec), testID(1<<20), nil, MaxPacket)
	for c, other := range map[*Chain]*Table{first: old, second: renewed} {
		if err := other.Track(now, testID(1), c.Anchor()); err != nil {
			t.Fatal(err)
		}
		if news, err := other.Receive(now.Add(sec), testID(9), p); err != nil || len(news) != 1 {
			t.Errorf("generation %d: news %v, %v", c.anchor.Generation, news, err)
		}
	}
}
