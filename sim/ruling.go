package sim

import (
	"fmt"
	"net"
	"time"

	"github.com/micro/micro-net/internal/policy"
	"github.com/micro/micro-net/node/api"
	"github.com/micro/micro-net/sim/scenario"
)

const (
	// cutTime is how long after a policy was stated connections may live that it refuses, at nodes that
	// the authority can reach.
	cutTime = 2 * time.Second
	// ruleTime bounds stating policies.
	ruleTime = 10 * time.Second
)

// ruling is a policy that was stated.
type ruling struct {
	service string
	from    map[string]bool // names of machines, nil for all
	since   time.Duration
}

// greet remembers who is at the other end of a connection.
func (p *program) greet(c net.Conn, said string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, open := p.open[c]; open {
		p.open[c] = said
	}
}

// talking returns who has a connection now, or was heard in the time before.
func (p *program) talking(within time.Duration) map[string]bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := map[string]bool{}
	for _, said := range p.open {
		out[said] = said != ""
	}
	for said, at := range p.bytes {
		if time.Since(at) < within {
			out[said] = true
		}
	}
	return out
}

// rule lets the founder state policies, one for each caller, and returns what deletes them.
func (m *mesh) rule(a scenario.Policy) (undo func()) {
	r := &ruling{service: a.To, since: m.now()}
	rules := []policy.Rule{{Name: a.To + "-all"}}
	if !a.From.IsZero() {
		rules, r.from = nil, map[string]bool{}
		for _, x := range m.selected(a.From) {
			r.from[x.name] = true
			rules = append(rules, policy.Rule{Name: a.To + "-" + x.name, From: policy.Callers{Node: x.name}})
		}
	}
	for i := range rules {
		rules[i].To.Service, rules[i].Action = a.To, policy.Action(a.Action)
	}
	founder := api.NewClient(m.machines[0].host, "unix://"+daemon().Socket)
	ctx, cancel := timeout(ruleTime)
	defer cancel()
	if _, err := founder.ApplyPolicies(ctx, rules); err != nil {
		m.fail(m.machines[0].name, "scenario", "the policies could not be stated: "+err.Error())
		return nil
	}
	if a.Action == scenario.Deny {
		m.rulings = append(m.rulings, r)
		m.barring.Store(true)
	}
	return func() { m.unrule(r, founder, rules) }
}

func (m *mesh) unrule(r *ruling, founder *api.Client, rules []policy.Rule) {
	var kept []*ruling
	for _, o := range m.rulings {
		if o != r {
			kept = append(kept, o)
		}
	}
	m.rulings = kept
	ctx, cancel := timeout(ruleTime)
	defer cancel()
	for i := range rules {
		if err := founder.DeletePolicy(ctx, rules[i].Name); err != nil {
			m.fail(m.machines[0].name, "scenario", "a policy could not be deleted: "+err.Error())
		}
	}
}

// checkRulings: where a policy must be known by now, nobody whom it refuses has a connection or gets one.
func (m *mesh) checkRulings() {
	for _, r := range m.rulings {
		s := m.service(r.service)
		for _, x := range s.places() {
			p, known := s.on[x].program, m.ruledFor(r, x)
			if p == nil || known <= 0 {
				continue
			}
			for said := range p.talking(known) {
				if r.refuses(said) {
					m.tellRuled(r, x, said)
				}
			}
		}
	}
}

func (r *ruling) refuses(said string) bool { return r.from == nil || r.from[said] }

// ruledFor is for how long a machine must have acted on a policy by now; 0 and less: it need not yet.
func (m *mesh) ruledFor(r *ruling, x *machine) time.Duration {
	if !x.steady() || x.doubtful() {
		return 0
	}
	return min(m.now()-r.since, m.oracle.connected(x, m.machines[0]), time.Since(x.since)-bootTime) - cutTime
}

func (m *mesh) tellRuled(r *ruling, x *machine, said string) {
	m.fail(x.name, string(scenario.NoUnauthorized), fmt.Sprintf("%s serves %s, which a policy refuses since %v", r.service, said, r.since))
}
