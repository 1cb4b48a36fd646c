package node

import (
	"strings"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/config"
)

// An instance that comes and goes is avoided, everybody says so, and the last one never is.
func TestFlappingInstances(t *testing.T) {
	inBubble(t, 160, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c")
		steady := b.serve(all[1], "web", "b")
		flap := func() {
			s := complete(t, config.Service{Name: "web", ID: "web-2", Port: 1, ServicePort: 7000, Checks: config.Checks{None: true}})
			if _, err := all[2].backend().Register(0, []config.Service{s}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			if err := all[2].backend().Deregister(0, "web-2"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		for range 5 {
			flap()
		}
		s := complete(t, config.Service{Name: "web", ID: "web-2", Port: 1, ServicePort: 7000, Checks: config.Checks{None: true}})
		if _, err := all[2].backend().Register(0, []config.Service{s}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		for _, n := range all {
			snap, _ := n.node.Snapshot()
			if got := snap.Offered("web"); len(got) != 1 || got[0].Node != all[1].node.ID() {
				t.Errorf("%s offers %v", n.host.Name(), got)
			}
			routes, err := n.backend().Routes("web")
			if err != nil || len(routes) != 2 {
				t.Fatalf("routes %+v, %v", routes, err)
			}
			for _, r := range routes {
				if r.Node == "c" && (r.State != micronet.RouteDamped || !strings.Contains(r.Reason, "flapping: damped until")) {
					t.Errorf("%s shows %+v", n.host.Name(), r)
				}
			}
			found := false
			for _, w := range n.backend().Status().Warnings {
				found = found || (w.Code == "flapping" && strings.Contains(w.Text, "web at c"))
			}
			if !found {
				t.Errorf("%s does not warn: %+v", n.host.Name(), n.backend().Status().Warnings)
			}
		}
		_ = steady.Close()
		if err := all[1].backend().Deregister(0, "web"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		if snap, _ := all[0].node.Snapshot(); len(snap.Offered("web")) != 1 {
			t.Error("the last instance is not offered because it flaps")
		}
		time.Sleep(15 * time.Minute)
		snap, _ := all[0].node.Snapshot()
		if got := snap.Offered("web"); len(got) != 1 {
			t.Errorf("after a quiet time a offers %v", got)
		}
		if w := all[0].backend().Status().Warnings; len(w) > 0 && w[0].Code == "flapping" {
			t.Errorf("after a quiet time: %+v", w)
		}
	})
}
