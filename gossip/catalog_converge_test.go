package gossip_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
)

// story is everything that a few owners ever broadcast, and their last documents.
func story(t testing.TB, rng *rand.Rand, owners int) (messages [][]byte, cats []*gossip.Catalog, end time.Time) {
	t.Helper()
	now := catalogStart
	for seed := range owners {
		cats = append(cats, newTestCatalog(seed))
	}
	for range 12 * owners {
		now = now.Add(time.Duration(rng.IntN(1500)) * time.Millisecond)
		c := cats[rng.IntN(owners)]
		if out, ok := act(t, rng, now, c); ok {
			messages = append(messages, out.Broadcast)
			if own := c.All()[0].Document.Owner; rng.IntN(3) == 0 {
				raw, _ := c.Document(now, own)
				messages = append(messages, raw)
			}
		}
	}
	return messages, cats, now
}

// act lets an owner do one of the things it can do.
func act(t testing.TB, rng *rand.Rand, now time.Time, c *gossip.Catalog) (out gossip.Outcome, ok bool) {
	t.Helper()
	var err error
	switch rng.IntN(10) {
	case 0:
		if out, err = c.Goodbye(now); err == nil {
			err = c.Raise(c.Epoch() + 1 + rng.Uint64N(3))
		}
	case 1:
		out, err = c.Refresh(now)
	default:
		d := testDocument("node", instanceNames(rng.IntN(4)*10+rng.IntN(3))...)
		for i := range d.Instances {
			if rng.IntN(20) == 0 {
				d.Instances[i].Health = micronet.Warning
			}
		}
		out, err = c.Publish(now, d)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out, out.Broadcast != nil
}

// The same messages in any order, any number of times, some lost, then synchronised: all catalogs
// are equal, and hold the last word of each owner.
func TestAnyOrderGivesTheSameCatalog(t *testing.T) {
	for seed := range uint64(8) {
		rng := rand.New(rand.NewPCG(seed, 7))
		messages, owners, now := story(t, rng, 5)
		var cats []*gossip.Catalog
		for i := range 6 {
			c := newTestCatalog(100 + i)
			for _, j := range rng.Perm(3 * len(messages)) {
				if rng.IntN(4) > 0 {
					if _, err := c.Receive(now, messages[j%len(messages)]); err != nil {
						t.Fatalf("seed %d: %v", seed, err)
					}
				}
			}
			cats = append(cats, c)
		}
		all := append(cats, owners...)
		for range 2 {
			for i := range all {
				syncCatalogs(t, now, all[i], all[(i+1)%len(all)])
			}
		}
		for i, c := range all {
			if catalogState(c, now) != catalogState(all[0], now) {
				t.Fatalf("seed %d: catalog %d differs", seed, i)
			}
			if w := c.Wanted(); len(w) != 0 {
				t.Fatalf("seed %d: catalog %d still wants %v", seed, i, w)
			}
		}
	}
}

// merged returns what a catalog holds that heard the documents of several others one after the
// other.
func merged(t testing.TB, now time.Time, from ...*gossip.Catalog) *gossip.Catalog {
	t.Helper()
	c := newTestCatalog(999)
	for _, f := range from {
		for _, e := range f.All() {
			raw, _ := f.Document(now, e.Document.Owner)
			if _, err := c.Import(now, raw); err != nil {
				t.Fatal(err)
			}
		}
	}
	return c
}

func TestMergeIsASemilattice(t *testing.T) {
	for seed := range uint64(10) {
		rng := rand.New(rand.NewPCG(seed, 9))
		messages, _, now := story(t, rng, 4)
		var x [3]*gossip.Catalog
		for i := range x {
			x[i] = newTestCatalog(200 + i)
			for _, msg := range messages {
				if rng.IntN(2) == 0 {
					_, _ = x[i].Receive(now, msg)
				}
			}
		}
		a, b, c := x[0], x[1], x[2]
		laws := map[string][2]*gossip.Catalog{
			"commutative": {merged(t, now, a, b), merged(t, now, b, a)},
			"associative": {merged(t, now, merged(t, now, a, b), c), merged(t, now, a, merged(t, now, b, c))},
			"idempotent":  {merged(t, now, a, a), merged(t, now, a)},
		}
		for law, pair := range laws {
			if catalogState(pair[0], now) != catalogState(pair[1], now) {
				t.Errorf("seed %d: merging is not %s", seed, law)
			}
		}
	}
}

// world is a mesh of bare catalogs: messages travel in a heap of virtual time, some are lost,
// and nodes synchronise with a random other one every 15 s.
type world struct {
	t     *testing.T
	rng   *rand.Rand
	now   time.Time
	nodes []*gossip.Catalog
	queue []flight // sorted by time
	loss  int      // percent
	peak  int
}

type flight struct {
	at  time.Time
	to  int
	msg []byte
}

// gossip sends msg to a few nodes, as broadcasts do.
func (w *world) gossip(msg []byte) {
	if msg == nil {
		return
	}
	if len(msg) > gossip.MaxBroadcast {
		w.t.Fatalf("a broadcast of %d bytes", len(msg))
	}
	for range 6 {
		if w.rng.IntN(100) >= w.loss {
			at := w.now.Add(time.Duration(5+w.rng.IntN(400)) * time.Millisecond)
			w.queue = append(w.queue, flight{at: at, to: w.rng.IntN(len(w.nodes)), msg: msg})
		}
	}
	w.peak = max(w.peak, len(w.queue))
}

func (w *world) step(d time.Duration) {
	w.now = w.now.Add(d)
	due := w.queue
	w.queue = nil
	for _, f := range due {
		if f.at.After(w.now) {
			w.queue = append(w.queue, f)
			continue
		}
		out, err := w.nodes[f.to].Receive(w.now, f.msg)
		if err != nil {
			w.t.Fatalf("an honest message was refused: %v", err)
		}
		w.gossip(out.Broadcast)
	}
}

func (w *world) synchronise() {
	for i, c := range w.nodes {
		if j := w.rng.IntN(len(w.nodes)); j != i && w.rng.IntN(100) >= w.loss {
			syncCatalogs(w.t, w.now, c, w.nodes[j])
		}
	}
}

func (w *world) converged() bool {
	first := catalogState(w.nodes[0], w.now)
	for _, c := range w.nodes[1:] {
		if catalogState(c, w.now) != first {
			return false
		}
	}
	return true
}

func (w *world) run(seconds int, busy bool) {
	for tick := range seconds * 10 {
		if busy && w.rng.IntN(3) == 0 {
			if out, ok := act(w.t, w.rng, w.now, w.nodes[w.rng.IntN(len(w.nodes))]); ok {
				w.gossip(out.Broadcast)
			}
		}
		w.step(100 * time.Millisecond)
		if tick%150 == 149 {
			w.synchronise()
		}
	}
}

func simulate(t *testing.T, seed uint64, nodes, loss int) (state string) {
	w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 3)), now: catalogStart, loss: loss}
	for i := range nodes {
		w.nodes = append(w.nodes, newTestCatalog(i))
		w.gossip(mustPublish(t, w.nodes[i], w.now, testDocument("node", instanceNames(i%25)...)))
	}
	w.run(30, true)
	rounds := 0
	for ; !w.converged() && rounds < 12; rounds++ {
		w.run(15, false)
	}
	if !w.converged() {
		t.Fatalf("seed %d, %d nodes, %d %% loss: the catalogs still differ after %d rounds", seed, nodes, loss, rounds)
	}
	if len(w.queue) != 0 {
		w.run(5, false)
		if len(w.queue) != 0 {
			t.Fatalf("seed %d: %d messages still travel: broadcasts do not end", seed, len(w.queue))
		}
	}
	return catalogState(w.nodes[0], w.now)
}

func TestLossyMeshConverges(t *testing.T) {
	for i, nodes := range []int{3, 8, 21, 50} {
		t.Run(fmt.Sprint(nodes), func(t *testing.T) {
			simulate(t, uint64(i), nodes, 15*i)
		})
	}
}

func TestSimulationIsRepeatable(t *testing.T) {
	first, second := simulate(t, 42, 10, 30), simulate(t, 42, 10, 30)
	if first != second {
		t.Error("one seed gave two worlds")
	}
}
