package sim

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/sim/scenario"
)

// Claims must reach membership, or the scenarios with insiders show nothing: memberlist believes
// them at times, and the nodes do not.
func TestForgedClaimsReachMembership(t *testing.T) {
	for _, forgery := range []string{"dead", "suspect", "alive"} {
		believed, shown := 0, 0
		looks := map[time.Duration]func(*mesh){}
		for at := 30 * time.Second; at < 50*time.Second; at += 50 * time.Millisecond {
			looks[at] = func(m *mesh) {
				victim := m.machines[1]
				for _, x := range m.machines {
					for _, p := range x.inside.membership().Members() {
						if p.ID == victim.id && (p.Status != micronet.Alive || p.Epoch > gossip.NextStart(0)) {
							believed++
						}
					}
				}
				for _, s := range m.statuses(victim) {
					if s == micronet.Dead {
						shown++
					}
				}
			}
		}
		watch(t, quiet+"nodes: 5\nduration: 60s\ntimeline: [{at: 30s, for: 20s, insider: {node: 5, forge: "+forgery+", about: 2}}]\n", looks)
		if believed == 0 {
			t.Errorf("%s: membership never took notice of the claims", forgery)
		}
		if shown > 0 {
			t.Errorf("%s: the victim was shown as dead %d times", forgery, shown)
		}
	}
}

// Each kind of broken record must be refused by the rule that is there for it.
func TestForgedRecordsAreRefused(t *testing.T) {
	for forgery, want := range map[string]struct {
		after   time.Duration
		reasons []string
	}{
		"poison": {50 * time.Millisecond, []string{"malformed", "bad-hash", "bad-content", "bad-signature", "equivocation"}},
		// A sender's budget of packets lets through what uses up the budget of updates within seconds.
		"flood": {4900 * time.Millisecond, []string{"too-many-updates", "quarantined"}},
	} {
		watch(t, quiet+"nodes: 4\nduration: 60s\ntimeline: [{at: 30s, for: 5s, insider: {node: 4, forge: "+forgery+"}}]\n", map[time.Duration]func(*mesh){
			30*time.Second + want.after: func(m *mesh) {
				if !m.machines[3].doubtful() || m.machines[2].doubtful() {
					t.Error("only the insider is to be doubted")
				}
				seen := map[string]bool{}
				for _, e := range m.recorder.last() {
					if e.Kind == "refused" {
						seen[e.Detail] = true
					}
				}
				for _, r := range want.reasons {
					if !seen[r] {
						t.Errorf("%s: nothing was refused as %s, only %v", forgery, r, seen)
					}
				}
			},
			59 * time.Second: func(m *mesh) {
				if m.machines[3].doubtful() {
					t.Error("the insider is honest again and still doubted")
				}
			},
		})
	}
}

// visits are those that a program remembers.
func (p *program) visits() []visit {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Collect(maps.Keys(p.seen))
}

// A caller that comes from an address which stands for another node is a breach.
func TestUnauthorizedCallersAreSeen(t *testing.T) {
	text := quiet + "nodes: 3\nduration: 40s\nservices: [{name: web, on: [2], protocol: tcp}]\ntraffic: [{from: all, to: web, rate: 1/s}]\nexpect: [{always: [no_unauthorized]}]\n"
	watch(t, text, map[time.Duration]func(*mesh){
		35 * time.Second: func(m *mesh) {
			x := m.machines[1]
			table, err := vipsOf(x)
			if err != nil {
				t.Fatal(err)
			}
			visits := m.services[0].on[x].program.visits()
			if len(visits) < 3 {
				t.Errorf("the program saw %d callers, want 3", len(visits))
			}
			for _, v := range visits {
				if why := m.unauthorized(table, v); why != "" {
					t.Errorf("%v: %s", v, why)
				}
				lie := visit{v.from, "n9"}
				if why := m.unauthorized(table, lie); !strings.Contains(why, "by n9") {
					t.Errorf("%v under another's address is fine: %q", lie, why)
				}
			}
			if why := m.unauthorized(table, visit{daemon().VIPs.Addr().Prev(), "n1"}); why == "" {
				t.Error("an address that stands for nobody is fine")
			}
		},
	})
}

func TestEveryVerbHasALabel(t *testing.T) {
	s, err := scenario.Parse("test", []byte(`name: labels
groups: [{name: n, nodes: 6}, {name: home, nodes: 1, nat: symmetric}]
duration: 10s
services: [{name: web, on: [2], protocol: tcp}]
timeline:
  - {at: 1s, partition: [[1-2], [3-4]]}
  - {at: 1s, isolate: 1}
  - {at: 1s, apart: {a: 1, b: 2}}
  - {at: 1s, bridge: {a: 1, b: 2, over: 3}}
  - {at: 1s, ring: n}
  - {at: 1s, one_way: {from: 1, to: 2}}
  - {at: 1s, for: 1s, flap: {a: 1, b: 2}}
  - {at: 1s, link: {from: 1, to: 2, loss: 1%}}
  - {at: 1s, network: {loss: 1%}}
  - {at: 1s, heal: all}
  - {at: 1s, start: 1}
  - {at: 1s, stop: 1}
  - {at: 1s, kill: 1}
  - {at: 1s, restart: {nodes: 1, disk: lost}}
  - {at: 1s, for: 1s, stall: 1}
  - {at: 1s, slow: {nodes: 1, factor: 2}}
  - {at: 1s, clock: {nodes: 1, skew: 1s}}
  - {at: 1s, disk: {nodes: 1, fault: torn}}
  - {at: 1s, snapshot: 1}
  - {at: 1s, clone: {of: 1, as: twin}}
  - {at: 1s, join: {nodes: 1}}
  - {at: 1s, address: 1}
  - {at: 1s, udp_blocked: 1}
  - {at: 1s, rebind: home}
  - {at: 1s, register: {service: web, on: 1}}
  - {at: 1s, deregister: {service: web, on: 1}}
  - {at: 1s, for: 1s, churn: {rate: 1/s}}
  - {at: 1s, insider: {node: 1, forge: dead}}
`))
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range s.Timeline {
		if label(step.Action) == "" {
			t.Errorf("%s says nothing in the report", step.Action.Verb())
		}
	}
}
