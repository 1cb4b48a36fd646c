package heartbeat

import (
	"container/heap"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func testID(n int) (id micronet.NodeID) {
	return micronet.NodeID(sha256.Sum256(binary.BigEndian.AppendUint32(nil, uint32(n))))
}

func testChain(t testing.TB, now time.Time, id micronet.NodeID, generation uint64) *Chain {
	t.Helper()
	c, err := NewChain(now, ChainConfig{Owner: id, Seed: append([]byte("secret of "), id[:]...), Generation: generation})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// world is a mesh of tables and an event loop. It is seeded and exact.
type world struct {
	t      testing.TB
	rnd    *rand.Rand
	now    time.Time
	nodes  []*resident
	byID   map[micronet.NodeID]*resident
	events events
	seq    int

	period  time.Duration
	fanout  int
	size    int
	loss    float64
	latency time.Duration // up to that much, evenly

	doubted func(at, of *resident) bool // nil: nobody doubts
	link    func(from, to *resident) bool
	bytes   int
}

type resident struct {
	id    micronet.NodeID
	index int
	table *Table
	chain *Chain
	dead  bool
	last  time.Time // when it made its newest beat that left it
	peers []micronet.NodeID
}

type event struct {
	at  time.Time
	seq int
	do  func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at.Before(e[j].at) || (e[i].at.Equal(e[j].at) && e[i].seq < e[j].seq)
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

func newWorld(t testing.TB, n int, seed uint64) *world {
	w := &world{
		t: t, rnd: rand.New(rand.NewPCG(seed, 1)), now: epoch, byID: make(map[micronet.NodeID]*resident),
		period: Period, fanout: Fanout, size: PacketSize, loss: 0.05, latency: 20 * time.Millisecond,
	}
	for i := range n {
		r := &resident{id: testID(i), index: i}
		r.table, r.chain = NewTable(r.id), testChain(t, epoch.Add(time.Duration(w.rnd.Int64N(int64(DefaultInterval)))), r.id, 1)
		r.table.Own(epoch, r.chain)
		w.nodes = append(w.nodes, r)
		w.byID[r.id] = r
	}
	for _, r := range w.nodes {
		for _, s := range w.nodes {
			if r == s {
				continue
			}
			r.peers = append(r.peers, s.id)
			if err := r.table.Track(epoch, s.id, s.chain.Anchor()); err != nil {
				t.Fatal(err)
			}
		}
	}
	return w
}

// begin lets every node tick, each with a phase of its own.
func (w *world) begin() {
	for _, r := range w.nodes {
		w.after(time.Duration(w.rnd.Int64N(int64(w.period))), func() { w.tick(r) })
	}
}

func (w *world) after(d time.Duration, do func()) {
	w.seq++
	heap.Push(&w.events, event{w.now.Add(d), w.seq, do})
}

func (w *world) run(d time.Duration) {
	end := w.now.Add(d)
	for len(w.events) > 0 && !w.events[0].at.After(end) {
		e := heap.Pop(&w.events).(event)
		w.now = e.at
		e.do()
	}
	w.now = end
}

func (w *world) tick(r *resident) {
	if r.dead {
		return
	}
	w.after(w.period, func() { w.tick(r) })
	var doubted func(micronet.NodeID) bool
	if w.doubted != nil {
		doubted = func(id micronet.NodeID) bool { return w.doubted(r, w.find(id)) }
	}
	for _, id := range r.table.Targets(w.now, r.peers, doubted, w.rnd, w.fanout) {
		w.send(r, w.find(id), r.table.Packet(w.now, id, doubted, w.size))
	}
}

func (w *world) find(id micronet.NodeID) *resident {
	return w.byID[id]
}

func (w *world) send(from, to *resident, packet []byte) {
	if packet == nil {
		return
	}
	w.bytes += len(packet)
	from.last = w.now
	if to.dead || w.rnd.Float64() < w.loss || (w.link != nil && !w.link(from, to)) {
		return
	}
	w.after(time.Duration(w.rnd.Int64N(int64(w.latency))), func() {
		if to.dead {
			return
		}
		if _, err := to.table.Receive(w.now, from.id, packet); err != nil {
			w.t.Error(err)
		}
	})
}

// ages is a distribution of how old signs of life are.
type ages []time.Duration

func (a ages) at(share float64) time.Duration {
	slices.Sort(a)
	return a[min(int(share*float64(len(a))), len(a)-1)]
}

func (a ages) String() string {
	return fmt.Sprintf("p50 %v, p99 %v, p99.9 %v, max %v", a.at(.5).Round(10*time.Millisecond), a.at(.99).Round(10*time.Millisecond),
		a.at(.999).Round(10*time.Millisecond), a.at(1).Round(10*time.Millisecond))
}

// measure runs for d and looks every 500 ms at how old the news of the chosen pairs are.
func (w *world) measure(d time.Duration, pair func(at, of *resident) bool) (out ages) {
	for end := w.now.Add(d); w.now.Before(end); {
		w.run(500 * time.Millisecond)
		for _, r := range w.nodes {
			for _, s := range w.nodes {
				if r == s || r.dead || s.dead || !pair(r, s) {
					continue
				}
				at, ok := r.table.Heard(s.id)
				if !ok {
					at = epoch
				}
				out = append(out, w.now.Sub(at))
			}
		}
	}
	return out
}
