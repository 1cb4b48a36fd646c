package swim

import (
	"slices"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/gossip/gossiptest"
)

func TestConforms(t *testing.T) {
	gossiptest.ConformMembership(t, func(*testing.T) func(gossiptest.Config) gossip.Membership {
		f := newFabric()
		return func(c gossiptest.Config) gossip.Membership {
			return f.add(Config{Self: c.Self, Epoch: c.Epoch, Credential: c.Credential, Delegate: c.Delegate})
		}
	})
}

func TestMassJoinConverges(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t)
		c.startAll(25)
		t.Logf("converged %v after the last join", c.converged(3*time.Second))
	})
}

func TestKilledNodeIsDead(t *testing.T) {
	for _, test := range []struct {
		nodes int
		limit time.Duration
	}{{2, 8 * time.Second}, {3, 10 * time.Second}, {5, 10 * time.Second}, {10, 12 * time.Second}, {25, 15 * time.Second}} {
		bubble(t, func(t *testing.T) {
			c := newCluster(t)
			c.startAll(test.nodes)
			c.converged(5 * time.Second)
			time.Sleep(10 * time.Second)
			victim := c.nodes[test.nodes-1]
			c.kill(victim)
			took := c.within(test.limit, "the victim is dead everywhere", func(m *member) bool {
				return m.status(victim.self.id) == micronet.Dead
			})
			t.Logf("%d nodes: dead everywhere after %v", test.nodes, took)
			if !c.all(func(m *member) bool { return m.count(micronet.Dead) == 1 }) {
				t.Error("another node is dead too")
			}
		})
	}
}

// A suspicion is shown before the verdict, and taken back when the suspect answers.
func TestSuspicionIsShownAndTakenBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t)
		c.startAll(5)
		c.converged(5 * time.Second)
		victim := c.nodes[4].self.id
		c.fabric.isolate(victim)
		suspected := false
		others := c.nodes[:4]
		for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline) && !suspected; time.Sleep(20 * time.Millisecond) {
			suspected = slices.ContainsFunc(others, func(m *member) bool { return m.status(victim) == micronet.Suspect })
		}
		if !suspected {
			t.Fatal("nobody suspects a silent member")
		}
		c.fabric.setCut(nil)
		c.converged(3 * time.Second)
	})
}

// An outage that ends before the verdict must not lead to one: without accusations a host of
// ten that was cut off for 2.5 s was dead to somebody in half of the trials.
func TestShortOutageIsForgiven(t *testing.T) {
	for range 5 {
		bubble(t, func(t *testing.T) {
			c := newCluster(t)
			c.startAll(10)
			c.converged(5 * time.Second)
			time.Sleep(5 * time.Second)
			c.fabric.isolate(testID(9))
			time.Sleep(2500 * time.Millisecond)
			c.fabric.setCut(nil)
			for range 80 {
				time.Sleep(500 * time.Millisecond)
				if !c.all(func(m *member) bool { return m.count(micronet.Dead) == 0 }) {
					t.Fatal("a short outage made somebody dead")
				}
			}
			c.converged(time.Second)
		})
	}
}

func TestNoFalseDeadUnderLoss(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t)
		c.startAll(10)
		c.converged(5 * time.Second)
		c.fabric.setLoss(0.3)
		for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
			for _, m := range c.nodes {
				if m.count(micronet.Dead) > 0 {
					t.Fatalf("%s takes somebody for dead", m.self.id.Short())
				}
			}
		}
	})
}

// memberlist alone never heals a partition of 40 s.
func TestPartitionHealsByRedial(t *testing.T) {
	for _, lasts := range []time.Duration{10 * time.Second, 25 * time.Second, time.Minute, 10 * time.Minute} {
		bubble(t, func(t *testing.T) {
			c := newCluster(t)
			c.startAll(10)
			c.converged(5 * time.Second)
			for _, m := range c.nodes {
				c.redial(m)
			}
			c.fabric.setCut(func(a, b micronet.NodeID) bool { return a[0]%2 != b[0]%2 })
			time.Sleep(lasts)
			c.fabric.setCut(nil)
			t.Logf("%v: merged after %v", lasts, c.converged(15*time.Second))
		})
	}
}

// A whole site that is cut off finds nobody alive, and comes back all the same.
func TestOneNodeAloneComesBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t)
		c.startAll(5)
		c.converged(5 * time.Second)
		c.redial(c.nodes[4])
		c.fabric.isolate(c.nodes[4].self.id)
		time.Sleep(5 * time.Minute)
		if got := c.nodes[4].count(micronet.Dead); got != 4 {
			t.Fatalf("alone, %d of 4 are dead", got)
		}
		c.fabric.setCut(nil)
		c.converged(15 * time.Second)
	})
}

func TestRestartWithinASecond(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t)
		c.startAll(5)
		c.converged(5 * time.Second)
		old := c.nodes[4]
		c.kill(old)
		time.Sleep(500 * time.Millisecond)
		c.fabric.setCut(nil)
		again := c.start(4, 2)
		if _, err := again.Join(t.Context(), testID(1)); err != nil {
			t.Fatal(err)
		}
		alive := func(m *member) bool {
			return m == again || slices.ContainsFunc(m.Members(), func(o gossip.Member) bool {
				return o.ID == old.self.id && o.Epoch == 2 && o.Status == micronet.Alive
			})
		}
		c.within(time.Second, "the new life is alive everywhere", alive)
		// The death of the old life must not be taken for one of the new.
		for range 300 {
			time.Sleep(100 * time.Millisecond)
			if !c.all(alive) {
				t.Fatal("the new life is not alive any more")
			}
		}
		if again.status(old.self.id) != "" {
			t.Error("a node lists its own former life")
		}
	})
}

func TestCredentialBounds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t)
		c.startAll(2)
		c.converged(5 * time.Second)
		a, b := c.nodes[0], c.nodes[1]
		b.SetCredential(make([]byte, maxCredential+1))
		b.SetCredential(make([]byte, maxCredential))
		c.within(5*time.Second, "the largest credential is shown", func(m *member) bool {
			return m == b || len(m.Members()[0].Credential) == maxCredential
		})
		if len(b.told()) != 1 || len(a.told()) != 0 {
			t.Errorf("reports %q and %q, want one about the size", b.told(), a.told())
		}
	})
}

func TestRunRefusesBadConfig(t *testing.T) {
	good := Config{Self: testID(1), Epoch: 1, Transport: port{}, Delegate: &gossiptest.Delegate{}}
	for name, spoil := range map[string]func(*Config){
		"no id":        func(c *Config) { c.Self = micronet.NodeID{} },
		"no epoch":     func(c *Config) { c.Epoch = 0 },
		"epoch":        func(c *Config) { c.Epoch = maxEpoch + 1 },
		"no transport": func(c *Config) { c.Transport = nil },
		"no delegate":  func(c *Config) { c.Delegate = nil },
		"credential":   func(c *Config) { c.Credential = make([]byte, maxCredential+1) },
	} {
		bad := good
		spoil(&bad)
		if err := New(bad).Run(t.Context()); micronet.KindOf(err) != micronet.Invalid {
			t.Errorf("%s: Run = %v, want invalid", name, err)
		}
	}
}
