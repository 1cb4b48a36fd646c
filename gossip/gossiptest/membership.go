package gossiptest

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
)

const (
	// converges is how long members may take to agree on what happened.
	converges = 10 * time.Second
	// settle is what libraries may take to end their goroutines after Run; a bubble that ends
	// with goroutines left fails.
	settle = 15 * time.Second
)

// World makes the members of one test, which can reach each other. It is called inside a
// bubble of testing/synctest.
type World func(t *testing.T) (member func(Config) gossip.Membership)

// ConformMembership runs the suite.
func ConformMembership(t *testing.T, world World) {
	for name, test := range map[string]func(*testing.T, func(Config) gossip.Membership){
		"Agree":         agree,
		"Broadcast":     broadcast,
		"Replace":       replace,
		"TooLarge":      tooLarge,
		"State":         state,
		"Leave":         leave,
		"Dead":          dead,
		"Refused":       refused,
		"Restart":       restart,
		"SetCredential": setCredential,
		"JoinNobody":    joinNobody,
		"JoinEarly":     joinEarly,
		"RunOnce":       runOnce,
		"Ended":         afterEnd,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, world(t)) })
		})
	}
}

// three starts three members that have joined.
func three(t *testing.T, member func(Config) gossip.Membership) (a, b, c *node) {
	t.Helper()
	a, b, c = start(t, member, id(1), 1), start(t, member, id(2), 1), start(t, member, id(3), 1)
	b.join(t, a.id)
	c.join(t, a.id)
	eventually(t, converges, "all see all", func() bool {
		return len(a.Members()) == 2 && len(b.Members()) == 2 && len(c.Members()) == 2
	})
	return a, b, c
}

// agree: members list each other, sorted, without themselves, with epoch and credential; the
// snapshot is the caller's.
func agree(t *testing.T, member func(Config) gossip.Membership) {
	a, b, c := three(t, member)
	for _, n := range []*node{a, b, c} {
		var want []micronet.NodeID
		for _, i := range []int{1, 2, 3} {
			if id(i) != n.id {
				want = append(want, id(i))
			}
		}
		for i, m := range n.Members() {
			if m.ID != want[i] || m.Epoch != 1 || m.Status != micronet.Alive || string(m.Credential) != string(credential(m.ID)) || m.Since.IsZero() {
				t.Errorf("member %d of %s = %+v, want %s, alive, epoch 1", i, n.id.Short(), m, want[i].Short())
			}
		}
		n.Members()[0].Status = micronet.Dead
		if got := n.Members()[0].Status; got != micronet.Alive {
			t.Errorf("a changed snapshot changes the next one: %v", got)
		}
		synctest.Wait() // the word may come a moment after the change
		eventually(t, time.Second, n.id.Short()+" is told of a change", func() bool { return n.Changes() > 0 })
	}
	stopAll(t, a, b, c)
}

// broadcast: a message reaches all others, unchanged, and not its sender.
func broadcast(t *testing.T, member func(Config) gossip.Membership) {
	a, b, c := three(t, member)
	full := strings.Repeat("x", gossip.MaxBroadcast)
	buf := []byte(full)
	a.Broadcast("one", buf)
	buf[0] = 'Y' // the caller's to change again
	a.Broadcast("two", []byte("short"))
	eventually(t, converges, "both messages are everywhere", func() bool {
		return slices.Contains(b.Got(), full) && slices.Contains(c.Got(), full) &&
			slices.Contains(b.Got(), "short") && slices.Contains(c.Got(), "short")
	})
	if got := a.Got(); len(got) != 0 {
		t.Errorf("the sender received %d messages of its own", len(got))
	}
	stopAll(t, a, b, c)
}

// replace: a message that still waits is replaced by one with the same key.
func replace(t *testing.T, member func(Config) gossip.Membership) {
	a, b, c := three(t, member)
	// A receiver that is busy meanwhile: otherwise nothing may ever have to wait.
	b.Delegate.mu.Lock()
	c.Delegate.mu.Lock()
	for range 100 {
		a.Broadcast("key", []byte("old"))
	}
	a.Broadcast("key", []byte("new"))
	b.Delegate.mu.Unlock()
	c.Delegate.mu.Unlock()
	eventually(t, converges, "the newest is everywhere", func() bool {
		return slices.Contains(b.Got(), "new") && slices.Contains(c.Got(), "new")
	})
	for _, n := range []*node{b, c} {
		if old := len(n.Got()); old > 10 {
			t.Errorf("%s received %d messages of one key", n.id.Short(), old)
		}
		if got := n.Got(); got[len(got)-1] != "new" {
			t.Errorf("the last message at %s is %q, want new", n.id.Short(), got[len(got)-1])
		}
	}
	stopAll(t, a, b, c)
}

// tooLarge: a message above the bound is dropped.
func tooLarge(t *testing.T, member func(Config) gossip.Membership) {
	a, b, c := three(t, member)
	a.Broadcast("big", make([]byte, gossip.MaxBroadcast+1))
	a.Broadcast("small", []byte("small"))
	eventually(t, converges, "the small message arrives", func() bool {
		return slices.Contains(b.Got(), "small") && slices.Contains(c.Got(), "small")
	})
	if got := b.Got(); slices.ContainsFunc(got, func(m string) bool { return m != "small" }) {
		t.Errorf("received %q, want only small", got)
	}
	stopAll(t, a, b, c)
}

// state: a join exchanges the states of both sides.
func state(t *testing.T, member func(Config) gossip.Membership) {
	a, b := start(t, member, id(1), 1), start(t, member, id(2), 1)
	big := strings.Repeat("s", gossip.MaxState/2)
	a.SetState(big)
	b.SetState("of b")
	b.join(t, a.id)
	eventually(t, converges, "states are exchanged", func() bool {
		return slices.Contains(a.Merged(), "of b") && slices.Contains(b.Merged(), big)
	})
	stopAll(t, a, b)
}

// leave: who says goodbye is left to the others, and stays so when it stops.
func leave(t *testing.T, member func(Config) gossip.Membership) {
	a, b, c := three(t, member)
	if err := c.Leave(t.Context()); err != nil {
		t.Fatalf("Leave = %v", err)
	}
	eventually(t, converges, "c is left", func() bool {
		return a.sees(c.id, 1, micronet.Left) && b.sees(c.id, 1, micronet.Left)
	})
	c.stop(t)
	time.Sleep(time.Minute)
	if !a.sees(c.id, 1, micronet.Left) || !b.sees(c.id, 1, micronet.Left) {
		t.Errorf("c is not left any more: %v", a.Members())
	}
	stopAll(t, a, b)
}

// dead: who stops without a goodbye is dead to the others.
func dead(t *testing.T, member func(Config) gossip.Membership) {
	a, b, c := three(t, member)
	c.stop(t)
	eventually(t, converges, "c is dead", func() bool {
		return a.sees(c.id, 1, micronet.Dead) && b.sees(c.id, 1, micronet.Dead)
	})
	time.Sleep(time.Hour)
	if !a.sees(c.id, 1, micronet.Dead) || !a.sees(b.id, 1, micronet.Alive) {
		t.Errorf("after an hour: %v, want b alive, c dead", a.Members())
	}
	stopAll(t, a, b)
}

// refused: whom the delegate does not admit is not listed, while others may list it.
func refused(t *testing.T, member func(Config) gossip.Membership) {
	a, b, c := start(t, member, id(1), 1), start(t, member, id(2), 1), start(t, member, id(3), 1)
	a.Refuse(c.id)
	b.join(t, a.id)
	c.join(t, b.id)
	eventually(t, converges, "b sees both", func() bool {
		return b.sees(a.id, 1, micronet.Alive) && b.sees(c.id, 1, micronet.Alive)
	})
	time.Sleep(time.Minute)
	if got := a.Members(); len(got) != 1 || got[0].ID != b.id {
		t.Errorf("Members of a = %v, want b alone", got)
	}
	stopAll(t, a, b, c)
}

// restart: a node that comes back with a newer epoch is listed once, alive.
func restart(t *testing.T, member func(Config) gossip.Membership) {
	a, b, c := three(t, member)
	c.stop(t)
	again := start(t, member, c.id, 2)
	again.join(t, a.id)
	eventually(t, 2*time.Second, "the new life is alive", func() bool {
		return a.sees(c.id, 2, micronet.Alive) && b.sees(c.id, 2, micronet.Alive)
	})
	for range 600 {
		for _, n := range []*node{a, b} {
			if got := n.Members(); len(got) != 2 || !n.sees(c.id, 2, micronet.Alive) {
				t.Fatalf("Members of %s = %v, want two, the new life alive", n.id.Short(), got)
			}
		}
		if got := again.Members(); len(got) != 2 {
			t.Fatalf("Members of the new life = %v, want two", got)
		}
		time.Sleep(100 * time.Millisecond)
	}
	stopAll(t, a, b, again)
}

// setCredential: others see a new credential.
func setCredential(t *testing.T, member func(Config) gossip.Membership) {
	a, b, c := three(t, member)
	a.SetCredential([]byte("renewed"))
	shown := func(n *node) bool { return string(n.Members()[0].Credential) == "renewed" }
	eventually(t, converges, "the new credential is shown", func() bool { return shown(b) && shown(c) })
	stopAll(t, a, b, c)
}

// joinNobody: a join that nobody answers says so.
func joinNobody(t *testing.T, member func(Config) gossip.Membership) {
	a := start(t, member, id(1), 1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if n, err := a.Join(ctx, id(9)); n != 0 || micronet.KindOf(err) != micronet.Unreachable {
		t.Errorf("Join = %d, %v, want 0, unreachable", n, err)
	}
	stopAll(t, a)
}

// joinEarly: a join before Run waits for it, or for its context.
func joinEarly(t *testing.T, member func(Config) gossip.Membership) {
	a := start(t, member, id(1), 1)
	b := member(Config{Self: id(2), Epoch: 1, Delegate: &Delegate{}})
	short, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := b.Join(short, a.id); micronet.KindOf(err) != micronet.Timeout {
		t.Errorf("Join without Run = %v, want a timeout", err)
	}
	result := make(chan error, 1)
	go func() {
		_, err := b.Join(t.Context(), a.id)
		result <- err
	}()
	time.Sleep(time.Second)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	if err := <-result; err != nil {
		t.Errorf("Join before Run = %v, want nil", err)
	}
	stop()
	<-ended
	stopAll(t, a)
}

// runOnce: a second Run is an error.
func runOnce(t *testing.T, member func(Config) gossip.Membership) {
	a := start(t, member, id(1), 1)
	time.Sleep(time.Second)
	if err := a.Run(t.Context()); micronet.KindOf(err) != micronet.Refused {
		t.Errorf("the second Run = %v, want refused", err)
	}
	stopAll(t, a)
}

// afterEnd: after Run, calls end with net.ErrClosed, and the delegate hears nothing more.
func afterEnd(t *testing.T, member func(Config) gossip.Membership) {
	a, b, c := three(t, member)
	a.stop(t)
	if _, err := a.Join(t.Context(), b.id); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Join = %v, want net.ErrClosed", err)
	}
	if err := a.Leave(t.Context()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Leave = %v, want net.ErrClosed", err)
	}
	before, received := a.Changes(), len(a.Got())
	a.Broadcast("late", []byte("late"))
	b.Broadcast("late", []byte("late"))
	b.stop(t)
	c.stop(t)
	time.Sleep(time.Minute)
	if a.Changes() != before || len(a.Got()) != received {
		t.Errorf("the delegate is called after Run: %d changes, %d messages", a.Changes()-before, len(a.Got())-received)
	}
}
