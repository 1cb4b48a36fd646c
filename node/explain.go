package node

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/config"
	"github.com/micro/micro-net/internal/policy"
	"github.com/micro/micro-net/node/api"
)

// maxExplained is how many instances the proxy tries for one call.
const maxExplained = 5

// Explain tells what would become of a call from this host, and why: it asks the router and the policies as
// a call does, and has no effect.
func (b backend) Explain(ctx context.Context, service string, from micronet.Caller) (api.Explanation, error) {
	dest := b.destination(service)
	if v := b.l.view.Load(); len(v.of(dest))+len(v.withheldOf(dest)) == 0 {
		return api.Explanation{}, b.l.unknownService(service)
	}
	if err := b.l.view.Load().mayCallAs(from.Service, service); err != nil {
		return api.Explanation{}, err
	}
	from.Node = b.l.self
	from = b.l.attested(ctx, from)
	v := b.l.view.Load()
	source := v.source(v.byID[b.l.self], from.Service)
	out := api.Explanation{
		Service: dest.Service, From: api.PolicyCaller{Node: source.Node, Service: source.Service, Cluster: source.Cluster, Tags: append([]string{}, source.Tags...)},
		Candidates: b.candidates(dest, source),
	}
	b.answer(&out, dest, source)
	return out, nil
}

// mayCallAs refuses a caller that nobody knows, which was probably meant to be another: policies would take it for
// a service all the same.
func (v *view) mayCallAs(caller, service string) error {
	if caller == "" || slices.ContainsFunc(v.offered(), func(s string) bool { return strings.EqualFold(s, caller) }) {
		return nil
	}
	err := micronet.E("explain", micronet.NotFound, "no service %q in the mesh to call as", caller)
	if near := config.Nearest(caller, v.offered()); near != "" {
		return err.WithFix("did you mean %q?", near)
	}
	return err.WithFix("see `micro-net services`; for callers of other nodes `micro-net policy test SERVICE@NODE %s`", service)
}

// candidates are the routes of a destination, each with what the policies say.
func (b backend) candidates(dest micronet.Destination, from policy.Source) []api.Candidate {
	out := []api.Candidate{}
	add := func(r api.Route, inst *micronet.Instance) {
		v := b.l.verdict(from, inst)
		out = append(out, api.Candidate{Route: r, Allowed: v.Allowed, Rule: v.Rule, Policy: v.Reason, Audited: v.Audited})
	}
	for _, v := range b.l.router.Routes(time.Now(), dest.Service) {
		r := &v.Route
		if (dest.Tag != "" && !r.Instance.HasTag(dest.Tag)) || (dest.Cluster != "" && dest.Cluster != r.Cluster) {
			continue
		}
		add(b.routeOf(&v), &r.Instance)
	}
	for _, p := range b.l.view.Load().withheldOf(dest) {
		add(b.withheldRoute(p), &p.instance)
	}
	return out
}

// answer picks as a call does: an instance that refuses is passed over. The next call may be led to another
// one where several cost the same.
func (b backend) answer(e *api.Explanation, dest micronet.Destination, from policy.Source) {
	var tried []micronet.InstanceKey
	refused := ""
	for range maxExplained {
		choice, err := b.l.router.Pick(time.Now(), dest, tried)
		if err != nil {
			e.Answer = cmp.Or(refused, b.l.whyNobody(dest, err).Error())
			return
		}
		key := choice.Route.Key()
		tried = append(tried, key)
		i := slices.IndexFunc(e.Candidates, func(c api.Candidate) bool {
			return c.Instance == key.ID && c.Node == choice.Route.NodeName
		})
		if i < 0 {
			continue // it came a moment ago
		}
		if c := &e.Candidates[i]; !c.Allowed {
			refused = fmt.Sprintf("%s: %s may not call %s", c.Policy, callerText(from), e.Service)
			continue
		}
		e.Candidates[i].Picked = true
		e.Answer = fmt.Sprintf("%s of node %s, %s, takes the call: %s", key.ID, choice.Route.NodeName, choice.Route.Path, e.Candidates[i].Policy)
		return
	}
	e.Answer = refused
}
