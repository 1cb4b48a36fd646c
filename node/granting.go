package node

import (
	"context"
	"slices"
	"strings"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/config"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/internal/policy"
	"github.com/micro/micro-net/node/api"
)

// Names tells who may offer what, and who offers what it was not granted.
func (b backend) Names() api.Names {
	l, v := b.l, b.l.view.Load()
	grants := l.grants()
	out := api.Names{Mode: l.namesMode(), Grants: []api.Grant{}}
	offers := map[micronet.NodeID][]string{}
	for _, s := range v.squatted(l.self, policy.NewNames(grants)) {
		offers[s.node.ID] = s.services
	}
	for id := range offers {
		if _, some := grants[id]; !some {
			grants[id] = nil
		}
	}
	for id, patterns := range grants {
		out.Grants = append(out.Grants, api.Grant{
			Node: l.node.nameOf(id), ID: id.String(), Patterns: append([]string{}, patterns...), Ungranted: append([]string{}, offers[id]...),
		})
	}
	slices.SortFunc(out.Grants, func(a, b api.Grant) int { return strings.Compare(a.Node+" "+a.ID, b.Node+" "+b.ID) })
	return out
}

// SetNames says whether names are granted in this mesh.
func (b backend) SetNames(ctx context.Context, r api.NamesRequest) (api.Names, error) {
	const op = "node names"
	if r.Mode != namesOpen && r.Mode != namesGranted {
		return api.Names{}, micronet.E(op, micronet.Invalid, "%q is no way to handle names", r.Mode).WithFix("say %s or %s", namesOpen, namesGranted)
	}
	if r.Mode == namesGranted && !r.Force {
		if err := b.mayWithhold(op, b.l.grants()); err != nil {
			return api.Names{}, err
		}
	}
	err := b.l.declare(ctx, op, identity.StatementSetting, []byte(settingNames), []byte(r.Mode))
	if err != nil {
		return api.Names{}, err
	}
	return b.Names(), nil
}

// GrantNames says what one node may offer.
func (b backend) GrantNames(ctx context.Context, r api.GrantRequest) (api.Names, error) {
	const op = "node grant"
	n, err := b.l.view.Load().find(r.Node)
	if err != nil {
		return api.Names{}, err
	}
	if err := policy.CheckGrant(r.Patterns, b.l.view.Load().offered()); err != nil {
		return api.Names{}, err
	}
	body, err := policy.EncodeNames(r.Patterns)
	if err != nil {
		return api.Names{}, err
	}
	if b.l.namesMode() == namesGranted && !r.Force {
		grants := b.l.grants()
		grants[n.ID] = r.Patterns
		if err := b.mayWithhold(op, grants); err != nil {
			return api.Names{}, err
		}
	}
	if err := b.l.declare(ctx, op, identity.StatementGrant, n.ID[:], body); err != nil {
		return api.Names{}, err
	}
	return b.Names(), nil
}

// mayWithhold refuses grants that would take away callers from what gets them now.
func (b backend) mayWithhold(op string, grants map[micronet.NodeID][]string) error {
	if b.l.gate.authority.Load() == nil {
		return b.noAuthority(op)
	}
	v := b.l.view.Load()
	before := b.l.names.Load()
	var lost []squat
	for _, s := range v.squatted(b.l.self, policy.NewNames(grants)) {
		s.services = slices.DeleteFunc(s.services, func(name string) bool { return !before.Allows(s.node.ID, name) })
		if len(s.services) > 0 {
			lost = append(lost, s)
		}
	}
	if len(lost) == 0 {
		return nil
	}
	return micronet.E(op, micronet.Refused, "nobody would be led any more to %s", shortList(wordsOf(lost))).
		WithFix("grant the names as well, %s, or say --force", grantEach(lost, grants))
}

// Withheld says of services of this node that nobody is led to them, and why.
func (b backend) Withheld(services []config.Service) []string {
	out := []string{}
	names := b.l.names.Load()
	for i := range services {
		if s := services[i].Name; !names.Allows(b.l.self, s) {
			one := squat{node: &micronet.Node{ID: b.l.self, Name: b.l.name}, services: []string{s}}
			out = append(out, "nobody is led to "+services[i].ID+": "+notGranted(s, b.l.name)+"; "+b.l.grantFix(&one))
		}
	}
	return out
}
