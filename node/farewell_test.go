package node

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/config"
	"github.com/micro/micro-net/node/api"
	"github.com/micro/micro-net/sim/netsim"
)

// Leave says when nobody, or no authority, has heard it: the name stays taken.
func TestLeaveUnheard(t *testing.T) {
	inBubble(t, 333, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c", "d")
		hosts := func(list ...*simNode) (out []*netsim.Host) {
			for _, n := range list {
				out = append(out, n.host)
			}
			return out
		}
		b.world.Partition(hosts(all[0]), hosts(all[1], all[2]), hosts(all[3]))
		b.await(time.Minute, "d is alone, b sees c", func() error {
			if len(all[3].life().alive()) > 0 || len(all[1].life().alive()) != 1 {
				return errors.New("not yet")
			}
			return nil
		})
		for _, c := range []struct {
			n    *simNode
			name string
			want string
		}{
			{all[1], "b", "no authority of the cluster was told; the name stays taken until `micro-net invite --name b` gives it to another"},
			{all[3], "d", "nobody was told; the name stays taken until `micro-net invite --name d` gives it to another"},
		} {
			f, err := c.n.backend().Leave(context.Background(), api.LeaveRequest{})
			if err != nil || f.Warning != c.want {
				t.Errorf("%s leaves: %q, %v; want %q", c.name, f.Warning, err, c.want)
			}
			if err := b.ended(c.n, 2*drainFor); err != nil {
				t.Errorf("%s ended with %v", c.name, err)
			}
		}
		b.world.Heal()
	})
}

// A founder that is alone takes its cluster with it: no name is left to be taken.
func TestLeaveOfALonelyFounder(t *testing.T) {
	inBubble(t, 334, func(t *testing.T, b *bubble) {
		a := b.start("a", "")
		if f, err := a.backend().Leave(context.Background(), api.LeaveRequest{}); err != nil || f.Warning != "" {
			t.Errorf("leave: %+v, %v", f, err)
		}
		if err := b.ended(a, 2*drainFor); err != nil {
			t.Error(err)
		}
	})
}

// A host whose name is taken gets another one, and its log says what to do.
func TestTakenHostName(t *testing.T) {
	inBubble(t, 335, func(t *testing.T, b *bubble) {
		a := b.start("a", "")
		b.start("worker", b.invite(a))
		logs := &recorder{}
		logged := func(c *Config) { c.Env.Log, c.Env.Host.Name = logs.logger(), "worker" }
		n := b.start("twin", b.invite(a), logged)
		if got := n.life().name; got != "worker-2" {
			t.Fatalf("it is called %q", got)
		}
		if logs.count("level=WARN") != 1 || logs.count("invite --name worker") != 1 || logs.count("node=worker-2") == 0 {
			t.Errorf("the log says %q", logs.lines)
		}
		plain := &recorder{}
		b.start("other", b.invite(a), func(c *Config) { c.Env.Log = plain.logger() })
		if plain.count("level=WARN") != 0 {
			t.Errorf("a host with a free name is warned: %q", plain.lines)
		}
	})
}

// A registration tells which instances were there with other values.
func TestRegisterReplaces(t *testing.T) {
	inBubble(t, 336, func(t *testing.T, b *bubble) {
		n := b.start("a", "")
		put := func(port int, want int) {
			t.Helper()
			s := complete(t, config.Service{Name: "web", Port: port, Checks: config.Checks{None: true}})
			r, err := n.backend().Register(0, []config.Service{s})
			if err != nil || len(r.IDs) != 1 || len(r.Replaced) != want {
				t.Errorf("port %d: %+v, %v; want %d replaced", port, r, err, want)
			}
		}
		put(80, 0)
		put(80, 0)
		put(81, 1)
		b.halt(n)
		n = b.start("a", "")
		put(81, 0) // as it was read from disk
		put(82, 1)
	})
}

// TestGoodbyesOutliveARestart: who left is not missed by an authority that starts again alone, and the name is free.
func TestGoodbyesOutliveARestart(t *testing.T) {
	inBubble(t, 335, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c", "d")
		b.promote(all[0], "b")
		b.await(10*time.Second, "all know", b.signing(all[2], "a", "b"))
		for _, n := range all[2:] {
			if _, err := n.backend().Leave(t.Context(), api.LeaveRequest{}); err != nil {
				t.Fatal(err)
			}
			if err := b.ended(n, 2*drainFor); err != nil {
				t.Fatal(err)
			}
		}
		b.await(10*time.Second, "b knows", func() error { return errors.Join(b.seen("c", "left", "b")(), b.seen("d", "left", "b")()) })
		time.Sleep(2 * saveSoon)
		b.powerCut(all[0])
		b.powerCut(all[1])
		a := b.start("b", "")
		b.await(time.Minute, "it is ready", func() error {
			if !a.backend().Status().Ready {
				return errors.New("not yet")
			}
			return nil
		})
		time.Sleep(time.Minute)
		if err := errors.Join(b.seen("c", "left", "b")(), b.seen("d", "left", "b")()); err != nil {
			t.Error(err)
		}
		if codesOf(a, "minority") != "" {
			t.Error("those who left are missed")
		}
		n := b.start("new", b.invite(a), func(c *Config) { c.Env.Host.Name = "c" })
		if got := n.backend().Status().Node.Name; got != "c" {
			t.Errorf("it is called %s although the name is free", got)
		}
	})
}

// TestNamesAreFreeEverywhere: whichever authority gave out a name, it is free there once its node has left.
func TestNamesAreFreeEverywhere(t *testing.T) {
	inBubble(t, 466, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b")
		b.promote(all[0], "b")
		for i, at := range all {
			name := fmt.Sprint("n", i)
			named := func(c *Config) { c.Name = name }
			n := b.start("first-"+name, b.invite(at), named)
			b.await(10*time.Second, "it knows both", b.signing(n, "a", "b"))
			if f, err := n.backend().Leave(t.Context(), api.LeaveRequest{}); err != nil || f.Warning != "" {
				t.Fatalf("leave: %+v, %v", f, err)
			}
			b.await(2*time.Second, "it has left", b.seen(name, micronet.Left, "a", "b"))
			b.start("second-"+name, b.invite(at), named)
		}
	})
}
