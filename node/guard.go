package node

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/policy"
	"github.com/micro/micro-net/proxy"
)

// guard decides about connections to instances of this node by the mesh's policies.
type guard struct {
	// constant
	events *micronet.Events
	self   micronet.NodeID
	here   string // this node's name
	origin origin

	rules atomic.Pointer[policy.Snapshot]

	mu     sync.Mutex
	counts map[string]tally // by rule, "" for the default
}

var _ proxy.Guard = (*guard)(nil)

// origin tells what is known of callers for certain.
type origin struct {
	// name and cluster are those of the node's certificate, "" while that was not seen.
	name    func(micronet.NodeID) (name, cluster string)
	tags    func(node micronet.NodeID, service string) []string
	cluster string // this node's
}

// tally is what a rule has done at this node since it started.
type tally struct{ refused, audited uint64 }

func newGuard(events *micronet.Events, self micronet.NodeID, here string, o origin) *guard {
	g := &guard{events: events, self: self, here: here, origin: o, counts: map[string]tally{}}
	g.rules.Store(policy.Compile(nil))
	return g
}

// Admit decides about a new connection to an instance of this node.
func (g *guard) Admit(caller micronet.Caller, to *micronet.Instance) error {
	return g.admit(caller, to, func(string) bool { return true })
}

// admit decides, and counts what was refused, and what audit rules would have refused of those that count.
func (g *guard) admit(caller micronet.Caller, to *micronet.Instance, audits func(rule string) bool) error {
	call, v, err := g.judge(caller, to)
	caller.Name = call.From.Node
	for _, rule := range v.Audited {
		if audits(rule) {
			g.note(micronet.Judgement{Caller: caller, Service: to.Service, Rule: rule, Audited: true})
		}
	}
	if err != nil {
		g.note(micronet.Judgement{Caller: caller, Service: to.Service, Rule: v.Rule})
	}
	return err
}

// Allows decides without effect, also about instances of other nodes as far as this one knows.
func (g *guard) Allows(caller micronet.Caller, to *micronet.Instance) error {
	_, _, err := g.judge(caller, to)
	return err
}

func (g *guard) judge(caller micronet.Caller, to *micronet.Instance) (policy.Call, policy.Verdict, error) {
	rules := g.rules.Load()
	call := policy.Call{From: policy.Source{Service: caller.Service}, To: policy.Target{Service: to.Service, Tags: to.Tags}}
	call.From.Node, call.From.Cluster = g.here, g.origin.cluster
	if caller.Node != g.self {
		call.From.Node, call.From.Cluster = g.origin.name(caller.Node)
	}
	call.Across = call.From.Cluster != g.origin.cluster
	if call.From.Node == "" {
		if rules.Len() == 0 {
			return call, policy.Verdict{Allowed: true}, nil
		}
		return call, policy.Verdict{}, fmt.Errorf("%s does not know the certificate of the calling node yet, and cannot apply the mesh's policies to it", g.here)
	}
	if rules.AsksForService() && caller.Service != "" {
		call.From.Tags = g.origin.tags(caller.Node, caller.Service)
	}
	v := rules.Judge(call)
	if v.Allowed {
		return call, v, nil
	}
	return call, v, fmt.Errorf("%s at %s: %s may not call %s", v, g.here, callerText(call.From), to.Service)
}

// weigh is the decision about a caller that is known by name.
func (g *guard) weigh(from policy.Source, to *micronet.Instance) policy.Verdict {
	return g.rules.Load().Judge(policy.Call{
		From: from, To: policy.Target{Service: to.Service, Tags: to.Tags}, Across: from.Cluster != g.origin.cluster,
	})
}

// callerText names a caller to people.
func callerText(s policy.Source) string {
	if s.Service == "" {
		return "node " + s.Node
	}
	return fmt.Sprintf("%s of node %s", s.Service, s.Node)
}

// note counts and reports what a rule has done.
func (g *guard) note(j micronet.Judgement) {
	g.count(j)
	g.events.PolicyApplied(j)
}

func (g *guard) count(j micronet.Judgement) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.counts[j.Rule]
	if j.Audited {
		t.audited++
	} else {
		t.refused++
	}
	g.counts[j.Rule] = t
}

// tally is what a rule has done here.
func (g *guard) tally(rule string) tally {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.counts[rule]
}

// set takes new rules. Who counts on them for connections that are there already calls
// Flows.CloseRefused afterwards.
func (g *guard) set(rules *policy.Snapshot) {
	g.rules.Store(rules)
	g.mu.Lock()
	defer g.mu.Unlock()
	kept := map[string]tally{"": g.counts[""]}
	for _, r := range rules.Rules() {
		kept[r.Name] = g.counts[r.Name]
	}
	g.counts = kept
}

// origin is what this node knows of callers.
func (l *life) origin() origin {
	cluster := l.pass.member().ClusterName
	return origin{
		cluster: cluster,
		// Every member that this node talks to is of its own cluster: others are not let in.
		name: func(id micronet.NodeID) (string, string) { return l.contacts.name(id), cluster },
		tags: func(node micronet.NodeID, service string) []string { return l.view.Load().tagsAt(node, service) },
	}
}

// enforce takes new rules, and ends the connections that they refuse.
func (l *life) enforce(ctx context.Context, rules *policy.Snapshot) {
	came := newRules(l.guard.rules.Load(), rules)
	l.guard.set(rules)
	look := l.hindsight(ctx, came)
	if cut := l.flows.CloseRefused(l.self, look); cut > 0 {
		l.env.Log.Info("connections were cut by a change of the policies", "count", cut)
	}
	for _, r := range rules.Rules() {
		if r.Strange != "" {
			l.env.Log.Warn("a policy of a newer version refuses what it covers", "policy", r.Name, "reason", r.Strange, "fix", "update micro-net on this node")
		}
	}
}

// newRules names the rules that are not among the former ones as they are now.
func newRules(former, now *policy.Snapshot) map[string]bool {
	list := former.Rules()
	came, known := map[string]bool{}, make(map[string]*policy.Rule, len(list))
	for i := range list {
		known[list[i].Name] = &list[i]
	}
	for _, r := range now.Rules() {
		old := known[r.Name]
		came[r.Name] = old == nil || *old != r
	}
	return came
}
