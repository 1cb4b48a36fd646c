package swim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/gossip/gossiptest"
)

// settle is what memberlist may take to end its goroutines after Run.
const settle = 15 * time.Second

// bubble runs a test in virtual time and lets memberlist settle before it ends.
func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Cleanup(func() { time.Sleep(settle) })
		test(t)
	})
}

// cluster is a set of running members on one fabric.
type cluster struct {
	t       *testing.T
	fabric  *fabric
	nodes   []*member
	profile Profile
}

type member struct {
	*Swim
	delegate *gossiptest.Delegate
	poisons  atomic.Int32
	mu       sync.Mutex
	reports  []string
	drops    map[string]int
	cancel   context.CancelFunc
	ended    chan error
	killed   bool
}

func newCluster(t *testing.T) *cluster {
	c := &cluster{t: t, fabric: newFabric()}
	t.Cleanup(c.stop)
	return c
}

func testID(i int) micronet.NodeID { return micronet.NodeID{0: byte(i), 1: byte(i >> 8), 31: 1} }

// start runs node i with an epoch. The credential has the size of a real one.
func (c *cluster) start(i int, epoch uint64) *member {
	m := &member{delegate: &gossiptest.Delegate{}, ended: make(chan error, 1), drops: make(map[string]int)}
	events := &micronet.Events{
		BackgroundError: func(op string, err error) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.reports = append(m.reports, op+": "+err.Error())
		},
		PacketDropped: func(d micronet.PacketDrop) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.drops[d.Why]++
		},
	}
	rng := rand.New(rand.NewPCG(uint64(i), epoch))
	m.Swim = c.fabric.add(Config{
		Env: micronet.Env{
			Events: events, Phase: time.Duration(i) * 1009,
			Rand: func(string) *rand.Rand { return rng },
		},
		Self: testID(i), Epoch: epoch, Delegate: m.delegate, Profile: c.profile,
		Credential: append(make([]byte, 420), fmt.Sprint("node ", i)...),
		Poisoned:   func() { m.poisons.Add(1) },
	})
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel = cancel
	go func() { m.ended <- m.Run(ctx) }()
	c.nodes = append(c.nodes, m)
	return m
}

// startAll starts n nodes at once; each joins two earlier ones and the first.
func (c *cluster) startAll(n int) {
	c.t.Helper()
	failed := make(chan error, n)
	for i := range n {
		m := c.start(i, 1)
		go func() {
			if i == 0 {
				failed <- nil
				return
			}
			_, err := m.Join(c.t.Context(), testID(0), testID(i/2), testID(i-1))
			failed <- err
		}()
	}
	for range n {
		if err := <-failed; err != nil {
			c.t.Fatalf("Join = %v", err)
		}
	}
}

// kill cuts a node off and ends it, as a crash of its host would.
func (c *cluster) kill(m *member) {
	m.killed = true
	c.fabric.isolate(c.killed()...)
	c.end(m)
}

func (c *cluster) killed() (ids []micronet.NodeID) {
	for _, m := range c.nodes {
		if m.killed {
			ids = append(ids, m.self.id)
		}
	}
	return ids
}

func (c *cluster) end(m *member) {
	m.cancel()
	if err := <-m.ended; err != nil {
		c.t.Errorf("Run = %v", err)
	}
	m.ended <- nil
}

func (c *cluster) stop() {
	for _, m := range c.nodes {
		m.cancel()
	}
	for _, m := range c.nodes {
		if err := <-m.ended; err != nil {
			c.t.Errorf("Run = %v", err)
		}
	}
}

// told returns the background errors so far.
func (m *member) told() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.reports)
}

// dropped returns how many packets were dropped for a reason.
func (m *member) dropped(why string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.drops[why]
}

// status returns what one node thinks of another, "" when it does not list it.
func (m *member) status(id micronet.NodeID) micronet.NodeStatus {
	for _, o := range m.Members() {
		if o.ID == id {
			return o.Status
		}
	}
	return ""
}

// count returns how many members m lists with a status.
func (m *member) count(s micronet.NodeStatus) (n int) {
	for _, o := range m.Members() {
		if o.Status == s {
			n++
		}
	}
	return n
}

// all reports whether a condition holds at every node that was not killed.
func (c *cluster) all(condition func(m *member) bool) bool {
	for _, m := range c.nodes {
		if !m.killed && !condition(m) {
			return false
		}
	}
	return true
}

// within returns the virtual time until a condition holds at all nodes.
func (c *cluster) within(limit time.Duration, what string, condition func(m *member) bool) time.Duration {
	c.t.Helper()
	begin := time.Now()
	for !c.all(condition) {
		if time.Since(begin) > limit {
			c.t.Fatalf("not within %v: %s", limit, what)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return time.Since(begin)
}

// converged waits until all see all others alive.
func (c *cluster) converged(limit time.Duration) time.Duration {
	c.t.Helper()
	return c.within(limit, "all see all alive", func(m *member) bool {
		return m.count(micronet.Alive) == len(c.nodes)-len(c.killed())-1
	})
}

// redial drives gossip.Redial as a node does, until the test ends.
func (c *cluster) redial(m *member) {
	r := gossip.NewRedial(rand.New(rand.NewPCG(7, uint64(m.self.id[0]))))
	ctx := c.t.Context()
	results := make(chan struct {
		id micronet.NodeID
		ok bool
	}, 16)
	go func() {
		for ctx.Err() == nil {
			var peers []gossip.RedialPeer
			for _, o := range m.Members() {
				peers = append(peers, gossip.RedialPeer{ID: o.ID, Heard: o.Since, Status: o.Status})
			}
			r.Update(time.Now(), peers)
			ids, _ := r.Next(time.Now())
			for _, id := range ids {
				go func() {
					attempt, cancel := context.WithTimeout(ctx, gossip.AttemptTimeout)
					defer cancel()
					_, err := m.Join(attempt, id)
					results <- struct {
						id micronet.NodeID
						ok bool
					}{id, err == nil}
				}()
			}
			select {
			case <-ctx.Done():
			case res := <-results:
				r.Result(time.Now(), res.id, res.ok)
			case <-time.After(500 * time.Millisecond):
			}
		}
	}()
}
