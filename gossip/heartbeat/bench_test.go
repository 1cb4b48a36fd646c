package heartbeat

import (
	"math/rand/v2"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
)

// A full packet in which every entry is news.
func BenchmarkReceive(b *testing.B) {
	const n = 300
	chains := make([]*Chain, n)
	for i := range chains {
		chains[i] = testChain(b, epoch, testID(i+1), 1)
	}
	table := tracking(b, chains...)
	packet := func(k uint32, first int) []byte {
		p := []byte{packetFormat}
		for i := range MaxEntries {
			e := beat(chains[(first+i)%n], k, 0)
			p = e.append(p)
		}
		return p
	}
	now, k, first := epoch, uint32(0), n
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		if first+MaxEntries > n {
			first, k, now = 0, k+1, now.Add(DefaultInterval)
		}
		if k == DefaultLength {
			table, k = tracking(b, chains...), 1
		}
		p := packet(k, first)
		first += MaxEntries
		b.StartTimer()
		if news, err := table.Receive(now, testID(1), p); err != nil || len(news) != MaxEntries {
			b.Fatalf("%d news, %v, beat %d", len(news), err, k)
		}
	}
}

func BenchmarkPacket(b *testing.B) {
	table, _ := informed(b, 300)
	now := epoch.Add(10 * time.Second)
	doubted := func(id micronet.NodeID) bool { return id[0] == 7 }
	b.ReportAllocs()
	for b.Loop() {
		table.Packet(now, testID(1<<20), doubted, PacketSize)
	}
}

func BenchmarkTargets(b *testing.B) {
	table, _ := informed(b, 300)
	var peers []micronet.NodeID
	for i := range 300 {
		peers = append(peers, testID(i+1))
	}
	rnd := rand.New(rand.NewPCG(1, 1))
	doubted := func(id micronet.NodeID) bool { return id[0] == 7 }
	b.ReportAllocs()
	for b.Loop() {
		table.Targets(epoch, peers, doubted, rnd, Fanout)
	}
}

func BenchmarkBeat(b *testing.B) {
	c := testChain(b, epoch, testID(1), 1)
	now := epoch
	for b.Loop() {
		if _, _, _, ok := c.Beat(now); !ok {
			b.StopTimer()
			c, now = testChain(b, epoch, testID(1), 1), epoch
			b.StartTimer()
		}
		now = now.Add(DefaultInterval)
	}
}

func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	table, chains := informed(t, 300)
	now := epoch.Add(10 * time.Second)
	if got := testing.AllocsPerRun(100, func() { table.Packet(now, testID(1<<20), nil, PacketSize) }); got > 1 {
		t.Errorf("a packet costs %v allocations, want its own", got)
	}
	k := uint32(5)
	p := packetOf(beat(chains[1], 1, 0))
	if got := testing.AllocsPerRun(100, func() {
		k++
		e := beat(chains[1], k, 0)
		p = e.append(p[:headerSize])
		now = now.Add(DefaultInterval)
		if news, err := table.Receive(now, testID(2), p); err != nil || len(news) != 1 {
			t.Fatal(k, news, err)
		}
	}); got > 0.1 {
		t.Errorf("receiving costs %v allocations", got)
	}
}
