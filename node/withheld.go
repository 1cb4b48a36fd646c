package node

import (
	"fmt"
	"slices"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/node/api"
)

// withheldOf lists the instances of a destination that get no traffic, as their nodes were not granted its name.
func (v *view) withheldOf(d micronet.Destination) (out []*placed) {
	for _, p := range v.withheld[d.Service] {
		if (d.Tag == "" || p.instance.HasTag(d.Tag)) && (d.Cluster == "" || d.Cluster == p.node.Cluster) {
			out = append(out, p)
		}
	}
	return out
}

// whyNobody is the error of a pick that led to nobody. What is offered and withheld is there, and who looks for
// it should not look for a mistake in the name.
func (l *life) whyNobody(d micronet.Destination, err error) error {
	list := l.view.Load().withheldOf(d)
	if micronet.KindOf(err) != micronet.NotFound || len(list) == 0 {
		return err
	}
	var at []string
	var squats []squat
	for _, p := range list {
		if !slices.Contains(at, p.node.Name) {
			at, squats = append(at, p.node.Name), append(squats, squat{node: p.node, services: []string{d.Service}})
		}
	}
	return micronet.E("router.pick", micronet.Refused, "%q is registered at %s, and withheld: names are granted in this mesh, and this one was not",
		d.Service, shortNames(at)).WithFix("%s", l.grantAll(squats))
}

// withheldRoute shows an instance among the routes that callers may be led to.
func (b backend) withheldRoute(p *placed) api.Route {
	inst := &p.instance
	r := api.Route{
		Service: inst.Service, Instance: inst.ID, Node: p.node.Name, Cluster: p.node.Cluster, Via: []string{},
		Path: micronet.PathDirect, Transport: micronet.TransportNone, RTTMs: ms(p.node.RTT), Weight: inst.Weight, State: micronet.RouteWithheld,
	}
	if p.node.ID == b.l.self {
		r.Path = micronet.PathLocal
	}
	one := squat{node: p.node, services: []string{inst.Service}}
	r.Reason = fmt.Sprintf("%s; %s", notGranted(inst.Service, p.node.Name), b.l.grantFix(&one))
	return r
}
