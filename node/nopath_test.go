package node

import (
	"fmt"
	"strings"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/sim/netsim"
)

// TestNoPath: who has no path to a node that all others hear says so of its routes, refuses calls with that reason, and
// takes it again as soon as there is a path.
func TestNoPath(t *testing.T) {
	inBubble(t, 83, func(t *testing.T, b *bubble) {
		noRelay := func(c *Config) { c.Relay = RelayOff }
		a := b.start("a", "", noRelay)
		c := b.start("c", b.invite(a), noRelay)
		d := b.start("d", b.invite(a), noRelay)
		b.await(15*time.Second, "all see all", b.alive(3, a, c, d))
		b.serve(c, "echo", "c")
		b.await(5*time.Second, "it is called", b.answers(a, "echo", "c"))

		heal := b.world.CutAll([]*netsim.Host{a.host}, []*netsim.Host{c.host})
		back := b.world.CutAll([]*netsim.Host{c.host}, []*netsim.Host{a.host})
		route := func(state micronet.RouteState, reason string) func() error {
			return func() error {
				_, _ = b.call(a, "echo", "x") // somebody looks for a path
				list, err := a.backend().Routes("echo")
				if err != nil {
					return err
				}
				if len(list) != 1 || list[0].State != state || !strings.Contains(list[0].Reason, reason) {
					return fmt.Errorf("%+v", list)
				}
				return nil
			}
		}
		b.await(15*time.Second, "the route has no path", route(micronet.RouteEjected, "no path to its node"))
		if n := a.backend().Status().Nodes; n.Alive != 3 {
			t.Errorf("a sees %+v: the others hear c", n)
		}
		begin := time.Now()
		_, err := b.call(a, "echo", "x")
		if took := time.Since(begin); err == nil || took > 100*time.Millisecond {
			t.Errorf("a call ended after %v with %v", took, err)
		}
		_, err = a.node.Dial(t.Context(), "echo")
		if !strings.Contains(fmt.Sprint(err), "no path to its node") || micronet.KindOf(err) != micronet.Unreachable {
			t.Errorf("the error is %v", err)
		}
		e, err := a.backend().Explain(t.Context(), "echo", micronet.Caller{})
		if err != nil || len(e.Candidates) != 1 || !strings.Contains(fmt.Sprintf("%+v", e), "no path to its node") {
			t.Errorf("explain: %+v, %v", e, err)
		}
		if err := b.answers(d, "echo", "c")(); err != nil {
			t.Errorf("d has a path: %v", err)
		}
		heal()
		back()
		b.await(8*time.Second, "it is called again", b.answers(a, "echo", "c"))
		if err := route(micronet.RouteUp, "")(); err != nil {
			t.Error(err)
		}
	})
}
