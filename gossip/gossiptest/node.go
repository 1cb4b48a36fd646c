package gossiptest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
)

// Config is what the suite asks a member to be made of.
type Config struct {
	Self       micronet.NodeID
	Epoch      uint64
	Credential []byte
	Delegate   gossip.Delegate
}

// Delegate records what membership tells it, and admits whom Refuse does not name.
type Delegate struct {
	mu       sync.Mutex
	refuse   map[micronet.NodeID]bool
	received []string
	merged   []string
	state    string
	changes  int
}

var _ gossip.Delegate = (*Delegate)(nil)

// Admit implements gossip.Delegate.
func (d *Delegate) Admit(id micronet.NodeID, _ uint64, _ []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.refuse[id] {
		return errors.New("refused by the test")
	}
	return nil
}

// Changed implements gossip.Delegate.
func (d *Delegate) Changed() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.changes++
}

// Received implements gossip.Delegate.
func (d *Delegate) Received(msg []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.received = append(d.received, string(msg))
}

// State implements gossip.Delegate.
func (d *Delegate) State() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return []byte(d.state)
}

// Merge implements gossip.Delegate.
func (d *Delegate) Merge(state []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.merged = append(d.merged, string(state))
}

// Refuse keeps a node out from now on.
func (d *Delegate) Refuse(id micronet.NodeID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.refuse == nil {
		d.refuse = make(map[micronet.NodeID]bool)
	}
	d.refuse[id] = true
}

// SetState sets what State returns.
func (d *Delegate) SetState(s string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.state = s
}

// Got returns the messages received so far.
func (d *Delegate) Got() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.received)
}

// Merged returns the states merged so far.
func (d *Delegate) Merged() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.merged)
}

// Changes returns how often Changed was called.
func (d *Delegate) Changes() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.changes
}

// node is a running member of a test.
type node struct {
	gossip.Membership
	*Delegate
	id     micronet.NodeID
	cancel context.CancelFunc
	ended  chan error
}

// start runs a member until the test ends or stop is called.
func start(t *testing.T, member func(Config) gossip.Membership, id micronet.NodeID, epoch uint64) *node {
	t.Helper()
	n := &node{Delegate: &Delegate{}, id: id, ended: make(chan error, 1)}
	n.Membership = member(Config{Self: id, Epoch: epoch, Credential: credential(id), Delegate: n.Delegate})
	ctx, cancel := context.WithCancel(t.Context())
	n.cancel = cancel
	go func() { n.ended <- n.Run(ctx) }()
	synctest.Wait() // it runs when others join it
	return n
}

// stop ends Run and demands that it does so within a second and without an error.
func (n *node) stop(t *testing.T) {
	t.Helper()
	n.cancel()
	select {
	case err := <-n.ended:
		if err != nil {
			t.Errorf("Run of %s = %v, want nil", n.id.Short(), err)
		}
	case <-time.After(time.Second):
		t.Errorf("Run of %s goes on a second after its context ended", n.id.Short())
	}
}

func stopAll(t *testing.T, nodes ...*node) {
	t.Helper()
	for _, n := range nodes {
		n.stop(t)
	}
	time.Sleep(settle)
}

// join demands that all seeds answer.
func (n *node) join(t *testing.T, seeds ...micronet.NodeID) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if got, err := n.Join(ctx, seeds...); err != nil || got != len(seeds) {
		t.Fatalf("Join = %d, %v, want %d, nil", got, err, len(seeds))
	}
}

// sees reports whether n lists id with this epoch and status.
func (n *node) sees(id micronet.NodeID, epoch uint64, status micronet.NodeStatus) bool {
	return slices.ContainsFunc(n.Members(), func(m gossip.Member) bool {
		return m.ID == id && m.Epoch == epoch && m.Status == status
	})
}

// id returns the NodeID of the i-th test node.
func id(i int) micronet.NodeID { return micronet.NodeID{0: byte(i), 31: 1} }

func credential(id micronet.NodeID) []byte { return append([]byte("credential of "), id[:]...) }

// eventually waits for a condition, up to a virtual time.
func eventually(t *testing.T, limit time.Duration, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !condition(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}
