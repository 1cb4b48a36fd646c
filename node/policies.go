package node

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/config"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/internal/policy"
	"github.com/micro/micro-net/node/api"
)

// restatePolicies makes the policies count that authorities have stated.
func (l *life) restatePolicies() {
	rules := []policy.Rule{}
	for _, st := range l.stated(identity.StatementPolicy) {
		if len(st.Body) > 0 {
			rules = append(rules, policy.Decode(string(st.Subject), st.Body))
		}
	}
	if !slices.Equal(rules, l.guard.rules.Load().Rules()) {
		l.enforce(context.Background(), policy.Compile(rules))
	}
}

// Policies lists the mesh's policies, with what they have done at this node.
func (b backend) Policies() []api.Policy {
	out := []api.Policy{}
	for _, r := range b.l.guard.rules.Load().Rules() {
		t := b.l.guard.tally(r.Name)
		out = append(out, api.Policy{Name: r.Name, From: r.From, To: r.To, Action: r.Action, Problem: r.Strange, Refused: t.refused, Audited: t.audited})
	}
	return out
}

// ApplyPolicies states policies, each in the place of the one that has its name: all of them, or none.
func (b backend) ApplyPolicies(ctx context.Context, rules []policy.Rule) (api.PolicyChange, error) {
	change := api.PolicyChange{Applied: []string{}, Unchanged: []string{}, Warnings: b.l.view.Load().unknownNames(rules)}
	held, count := b.l.policyBodies()
	var all []identity.Statement
	for i := range rules {
		body, err := policy.Encode(&rules[i])
		if err != nil {
			return change, err
		}
		name := rules[i].Name
		if bytes.Equal(held[name], body) {
			change.Unchanged = append(change.Unchanged, name)
			continue
		}
		if len(held[name]) == 0 {
			count++
		}
		change.Applied = append(change.Applied, name)
		all = append(all, identity.Statement{Kind: identity.StatementPolicy, Subject: []byte(name), Body: body})
	}
	if count > config.MaxPolicies {
		return change, micronet.E("policy.apply", micronet.Refused, "the mesh would have %d policies, at most %d are kept", count, config.MaxPolicies).
			WithFix("say more with patterns, or delete some: `micro-net policy list`")
	}
	return change, b.l.declareAll(ctx, "policy.apply", all...)
}

// policyBodies returns the policies as they were stated, empty for those that were deleted, and how many
// there are.
func (l *life) policyBodies() (bodies map[string][]byte, count int) {
	bodies = map[string][]byte{}
	for _, st := range l.stated(identity.StatementPolicy) {
		bodies[string(st.Subject)] = st.Body
		if len(st.Body) > 0 {
			count++
		}
	}
	return bodies, count
}

// DeletePolicy states that there is no policy of a name any more.
func (b backend) DeletePolicy(ctx context.Context, name string) error {
	if held, _ := b.l.policyBodies(); len(held[name]) == 0 {
		return micronet.E("policy.delete", micronet.NotFound, "no policy %q", name).WithFix("see `micro-net policy list`")
	}
	return b.l.declare(ctx, "policy.delete", identity.StatementPolicy, []byte(name), nil)
}

// TestPolicy judges calls of a node, of a service at a node, or of a service wherever it is.
func (b backend) TestPolicy(from, to string) ([]api.PolicyVerdict, error) {
	sources, err := b.l.view.Load().sources(from)
	if err != nil {
		return nil, err
	}
	out := []api.PolicyVerdict{}
	for _, s := range sources {
		out = append(out, b.l.verdicts(s, to)...)
	}
	return out, nil
}

// sources are the callers that a word means: NODE, SERVICE@NODE, or SERVICE at every node that has it.
func (v *view) sources(word string) ([]policy.Source, error) {
	service, node, both := strings.Cut(word, "@")
	if !both {
		if n, err := v.find(word); err == nil {
			return []policy.Source{v.source(n, "")}, nil
		}
		return v.sourcesOf(word)
	}
	if service == "" {
		return nil, micronet.E("policy.test", micronet.Invalid, "%q names no service", word).WithFix("write NODE, SERVICE@NODE or SERVICE")
	}
	n, err := v.find(node)
	if err != nil {
		return nil, err
	}
	return []policy.Source{v.source(n, service)}, nil
}

func (v *view) sourcesOf(service string) (out []policy.Source, err error) {
	var last *micronet.Node
	for _, p := range v.instances[service] {
		if p.node != last {
			out, last = append(out, v.source(p.node, service)), p.node
		}
	}
	if out == nil {
		fix := "write NODE, or SERVICE@NODE for a service that does not run yet"
		if near := config.Nearest(service, append(v.nodeNames(), v.offered()...)); near != "" {
			fix = fmt.Sprintf("did you mean %q? %s", near, fix)
		}
		return nil, micronet.E("policy.test", micronet.NotFound, "no node and no service %q", service).WithFix("%s", fix)
	}
	return out, nil
}

func (v *view) source(n *micronet.Node, service string) policy.Source {
	return policy.Source{Node: n.Name, Cluster: n.Cluster, Service: service, Tags: v.tagsAt(n.ID, service)}
}

// verdicts judges calls of one service: one verdict for all instances of which the same rule decides.
func (l *life) verdicts(from policy.Source, service string) (out []api.PolicyVerdict) {
	list := l.view.Load().instances[service]
	if len(list) == 0 {
		v := l.verdict(from, &micronet.Instance{Service: service})
		v.Reason += "; nobody is led to an instance of it now"
		return []api.PolicyVerdict{v}
	}
	for _, p := range list {
		v := l.verdict(from, &p.instance)
		i := slices.IndexFunc(out, func(o api.PolicyVerdict) bool {
			return o.Allowed == v.Allowed && o.Rule == v.Rule && slices.Equal(o.Audited, v.Audited)
		})
		if i < 0 {
			i, out = len(out), append(out, v)
		}
		out[i].Instances = append(out[i].Instances, p.instance.ID+"@"+p.node.Name)
	}
	return out
}

func (l *life) verdict(from policy.Source, to *micronet.Instance) api.PolicyVerdict {
	v := l.guard.weigh(from, to)
	return api.PolicyVerdict{
		From:    api.PolicyCaller{Node: from.Node, Service: from.Service, Cluster: from.Cluster, Tags: append([]string{}, from.Tags...)},
		Service: to.Service, Instances: []string{}, Allowed: v.Allowed, Rule: v.Rule, Reason: v.String(),
		Audited: append([]string{}, v.Audited...),
	}
}
