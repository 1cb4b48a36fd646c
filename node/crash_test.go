package node

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/node/api"
	"github.com/micro/micro-net/sim/netsim"
)

// failAfter lets the first n operations that change a disk pass, and fails all others.
func failAfter(d *netsim.Disk, n int) {
	var mu sync.Mutex
	count := 0
	d.SetFault(func(op, _ string) error {
		switch op {
		case "read", "readdir", "stat", "watch":
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		count++
		if count > n {
			return syscall.EIO
		}
		return nil
	})
}

// powerCut ends a daemon with all that it has not made durable.
func (b *bubble) powerCut(n *simNode) {
	b.crash(n)
	n.host.Disk().SetFault(nil)
	n.host.Restart()
}

// The power fails after each step of founding: the next start works, and nothing is half-written.
func TestO4_CrashWhileFounding(t *testing.T) {
	inBubble(t, 30, func(t *testing.T, b *bubble) {
		for step := 0; ; step++ {
			name := fmt.Sprintf("h%d", step)
			failAfter(b.prepare(name).host.Disk(), step)
			n := b.launch(name, "")
			time.Sleep(5 * time.Second)
			id := n.node.ID()
			whole := n.life() != nil
			b.powerCut(n)
			b.start(name, "")
			if again := n.node.ID(); whole && again != id {
				t.Errorf("step %d: it was %s, and is %s after the crash", step, id.Short(), again.Short())
			}
			if b.invite(n) == "" {
				t.Errorf("step %d: no token", step)
			}
			b.halt(n)
			if whole {
				if step < 10 {
					t.Errorf("founding has only %d steps", step)
				}
				return
			}
		}
	})
}

// The power fails after each step of joining: the same token lets the same node in after that, and
// nobody else.
func TestO4_CrashWhileJoining(t *testing.T) {
	inBubble(t, 31, func(t *testing.T, b *bubble) {
		a := b.start("a", "")
		for step := 0; ; step++ {
			name, token := fmt.Sprintf("h%d", step), b.invite(a)
			failAfter(b.prepare(name).host.Disk(), step)
			n := b.launch(name, token)
			time.Sleep(5 * time.Second)
			whole := n.life() != nil
			b.powerCut(n)
			b.start(name, token)
			if got := n.backend().Status().Node; got.Name != name || got.Cluster != "sim" {
				t.Errorf("step %d: it is %q of %q", step, got.Name, got.Cluster)
			}
			b.halt(n)
			thief := b.launch("thief-"+name, token)
			wantError(t, fmt.Sprintf("step %d: somebody else with the token", step), b.ended(thief, 5*time.Second), micronet.Refused, "has been used")
			if whole {
				if step < 10 {
					t.Errorf("joining has only %d steps", step)
				}
				return
			}
		}
	})
}

// The authority's disk fails between the use of a token and the name, and then its power: the token
// is not given back, and the guest gets in with it when the authority is there again.
func TestQ5_CrashOfTheAuthorityWhileAdmitting(t *testing.T) {
	inBubble(t, 32, func(t *testing.T, b *bubble) {
		a := b.start("a", "")
		token := b.invite(a)
		a.host.Disk().SetFault(func(op, path string) error {
			if op == "create" && path == testDir+"/"+fileAuthority+".tmp" {
				return syscall.EIO
			}
			return nil
		})
		guest := b.launch("guest", token)
		time.Sleep(2 * time.Second)
		if guest.life() != nil {
			t.Fatal("the guest was admitted although its name could not be kept")
		}
		b.powerCut(a)
		b.start("a", "")
		thief := b.launch("thief", token)
		wantError(t, "somebody else with the token", b.ended(thief, 5*time.Second), micronet.Refused, "has been used")
		b.await(joinTime, "the guest is in", func() error {
			if guest.life() == nil {
				return fmt.Errorf("not yet")
			}
			return nil
		})
		if got := guest.backend().Status().Node.Name; got != "guest" {
			t.Errorf("it is called %q", got)
		}
	})
}

// A token that could not be written down was not used.
func TestQ5_TokenThatCouldNotBeWritten(t *testing.T) {
	inBubble(t, 33, func(t *testing.T, b *bubble) {
		a := b.start("a", "")
		token := b.invite(a)
		failAfter(a.host.Disk(), 0)
		first := b.launch("first", token)
		wantError(t, "with a full disk at the authority", b.ended(first, joinTime+time.Second), micronet.Unreachable, "a fault of its own")
		time.Sleep(time.Second) // what the first sent last has arrived
		a.host.Disk().SetFault(nil)
		b.start("second", token)
	})
}

// The power fails after each step of a move into another cluster: the node is in one of the two,
// whole, and in the first one still as the authority that it was.
func TestO4_CrashWhileMoving(t *testing.T) {
	inBubble(t, 34, func(t *testing.T, b *bubble) {
		a := b.start("a", "")
		for step := 0; ; step++ {
			name, token := fmt.Sprintf("h%d", step), b.invite(a)
			n := b.start(name, "", func(c *Config) { c.Cluster = "other" })
			failAfter(n.host.Disk(), step)
			err := n.backend().Join(context.Background(), token)
			b.powerCut(n)
			b.start(name, "")
			switch got := n.backend().Status().Node.Cluster; {
			case err == nil && got != "sim":
				t.Errorf("step %d: the move was done, and it is in %q", step, got)
			case got == "other":
				if _, err := n.backend().Invite(api.InviteRequest{}); err != nil {
					t.Errorf("step %d: it is no authority of its own cluster any more: %v", step, err)
				}
			case got != "sim":
				t.Errorf("step %d: it is in %q", step, got)
			}
			b.halt(n)
			if err == nil {
				if step < 10 {
					t.Errorf("moving has only %d steps", step)
				}
				return
			}
		}
	})
}

// A registration that could not be written down was not made; one that could be survives.
func TestD1_RegistrationsAndTheDisk(t *testing.T) {
	inBubble(t, 35, func(t *testing.T, b *bubble) {
		a := b.start("a", "")
		b.serve(a, "one", "a")
		failAfter(a.host.Disk(), 0)
		two := withoutChecks("two", 9000)
		if _, err := a.backend().Register(0, two); micronet.KindOf(err) != micronet.Refused {
			t.Errorf("Register with a full disk = %v", err)
		}
		if err := a.backend().Deregister(0, "one"); micronet.KindOf(err) != micronet.Refused {
			t.Errorf("Deregister with a full disk = %v", err)
		}
		if _, err := b.lookup(context.Background(), a, "one"); err == nil {
			t.Error("an address was told that is not on disk")
		}
		a.host.Disk().SetFault(nil)
		check := func(when string) {
			b.await(5*time.Second, when+": one is there, two is not", func() error {
				_, err := a.backend().Services("one")
				if _, two := a.backend().Services("two"); err == nil && micronet.KindOf(two) != micronet.NotFound {
					err = fmt.Errorf("services two = %w", two)
				}
				return err
			})
			b.await(5*time.Second, when+": one has an address", func() error {
				_, err := b.lookup(context.Background(), a, "one")
				return err
			})
		}
		check("before the restart")
		vip, _ := b.lookup(context.Background(), a, "one")
		b.powerCut(a)
		b.start("a", "")
		check("after the restart")
		if again, err := b.lookup(context.Background(), a, "one"); err != nil || again != vip {
			t.Errorf("after the restart its address is %v, %v; before it was %v", again, err, vip)
		}
	})
}

// TestExpiredCertificates: after a fortnight in which nobody ran, the founder renews its own
// certificate and a member comes back with a new token, under its old name.
func TestExpiredCertificates(t *testing.T) {
	inBubble(t, 77, func(t *testing.T, b *bubble) {
		a := b.start("a", "")
		n := b.start("b", b.invite(a))
		for _, s := range []*simNode{n, a} {
			s.stop()
			<-s.done
			s.host.SetSkew(20 * 24 * time.Hour)
		}
		a = b.start("a", "")
		if left := a.backend().Status().Certificate.Expires.Sub(a.host.Env().Wall()); left < 13*24*time.Hour {
			b.t.Errorf("the founder's certificate is valid for %v, want a new one", left)
		}
		b.start("b", b.invite(a))
		b.await(5*time.Second, "b is back", b.seen("b", micronet.Alive, "a"))
	})
}
