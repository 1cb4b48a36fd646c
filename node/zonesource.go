package node

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/dns"
	"github.com/micro/micro-net/proxy"
)

// zoneSource answers the DNS zone's questions from the view.
type zoneSource struct{ l *life }

var _ dns.Source = zoneSource{}

// Synced reports whether names may be denied.
func (s zoneSource) Synced() bool { return s.l.view.Load().synced }

// Known reports whether any instance matches, healthy or not.
func (s zoneSource) Known(d micronet.Destination) bool { return len(s.l.view.Load().of(d)) > 0 }

// Endpoints lists the instances that may get traffic. This host comes before the others.
func (s zoneSource) Endpoints(d micronet.Destination) []dns.Endpoint {
	var usable []*placed
	strangers := s.heldPorts(d)
	for _, p := range s.l.view.Load().of(d) {
		if p.usable() && p.instance.Protocol != micronet.UDP && !strangers[p.instance.ServicePort] {
			usable = append(usable, p)
		}
	}
	var out []dns.Endpoint
	for _, p := range undamped(usable) {
		tier := 0
		if p.node.ID != s.l.self {
			tier = 1
		}
		out = append(out, dns.Endpoint{Instance: &p.instance, Tier: tier})
	}
	return out
}

// heldPorts are the ports of a destination that another program holds at its VIP: they would lead
// to a stranger.
func (s zoneSource) heldPorts(d micronet.Destination) map[uint16]bool {
	out := map[uint16]bool{}
	for _, p := range s.l.front.vips.Problems() {
		if p.Dest == d {
			out[p.Addr.Port()] = true
		}
	}
	return out
}

// VIP returns the address that stands for d, once connections to it lead here.
func (s zoneSource) VIP(ctx context.Context, d micronet.Destination) (netip.Addr, error) {
	vip, err := s.l.vips.of(d)
	if err != nil {
		return netip.Addr{}, err
	}
	return vip, s.l.front.vips.Offer(ctx, d, vip, s.l.ports(d))
}

// ports are the ports of a destination at its VIP.
func (l *life) ports(d micronet.Destination) []proxy.Port {
	var list []micronet.Instance
	for _, p := range l.view.Load().of(d) {
		list = append(list, p.instance)
	}
	return proxy.Ports(list)
}

// Node returns where a node says it can be reached. Of several that have the name it is the one
// with the newest certificate, or all when that cannot be told.
func (s zoneSource) Node(name, cluster string) (out []netip.Addr, known bool) {
	for _, n := range s.l.view.Load().called(name, cluster) {
		known = true
		for _, e := range n.Endpoints {
			if (!e.Addr().IsLoopback() || s.sameHost(n)) && !slices.Contains(out, e.Addr()) {
				out = append(out, e.Addr())
			}
		}
	}
	return out, known
}

// called lists the nodes that a name leads to: one, unless its holder cannot be told.
func (v *view) called(name, cluster string) (out []*micronet.Node) {
	twice := v.namesakesOf(name, cluster)
	if twice != nil && twice.newest() != nil {
		return append(out, twice.newest())
	}
	for i := range v.nodes {
		n := &v.nodes[i]
		if n.Name != name || !n.Status.Serving() || (cluster != "" && cluster != n.Cluster) {
			continue
		}
		if out = append(out, n); twice == nil {
			return out
		}
	}
	return out
}

// sameHost reports whether loopback addresses of a node mean this host: it is this node, or the
// path to it is over loopback.
func (s zoneSource) sameHost(n *micronet.Node) bool {
	if n.ID == s.l.self {
		return true
	}
	p, ok := s.l.under.Path(n.ID)
	return ok && p.Relay.IsZero() && p.Remote.Addr().IsLoopback()
}

// Instance finds an instance by its id. Ids are unique at one node only: this node's comes first,
// then that of the least node id.
func (s zoneSource) Instance(id string) (micronet.Instance, bool) {
	var found *placed
	for _, list := range s.l.view.Load().instances {
		for _, p := range list {
			if strings.EqualFold(p.instance.ID, id) && (found == nil || p.before(found, s.l.self)) {
				found = p
			}
		}
	}
	if found == nil {
		return micronet.Instance{}, false
	}
	return found.instance, true
}

// before orders instances of one id.
func (p *placed) before(o *placed, self micronet.NodeID) bool {
	if p.node.ID == self || o.node.ID == self {
		return p.node.ID == self
	}
	return p.node.ID.Compare(o.node.ID) < 0
}

// Cluster reports whether a cluster is known.
func (s zoneSource) Cluster(name string) bool { return name == s.l.pass.member().ClusterName }

// Reverse names what stands behind a VIP.
func (s zoneSource) Reverse(a netip.Addr) (string, bool) {
	domain := s.l.config.Daemon.Domains[0] + "."
	if d, ok := s.l.vips.destination(a); ok {
		return d.String() + "." + domain, true
	}
	if id, ok := s.l.vips.node(a); ok {
		if n := s.l.view.Load().byID[id]; n != nil {
			return n.Name + ".node." + domain, true
		}
	}
	return "", false
}

// meshName tells what a host name stands for: a bare name, one in a domain of ours, or a VIP.
func (l *life) meshName(host string) (micronet.Destination, bool) {
	if a, err := netip.ParseAddr(host); err == nil {
		if !l.vips.prefix().Contains(a) {
			return micronet.Destination{}, false
		}
		return l.vips.destination(a)
	}
	for _, domain := range l.config.Daemon.Domains {
		if name, ok := strings.CutSuffix(host, "."+domain); ok {
			return parseMeshName(name)
		}
	}
	if strings.Contains(host, ".") {
		return micronet.Destination{}, false
	}
	return parseMeshName(host)
}

// parseMeshName reads a name without its domain; "any" is the word for no cluster in particular.
func parseMeshName(name string) (micronet.Destination, bool) {
	d, err := micronet.ParseDestination(name)
	if err != nil {
		return micronet.Destination{}, false
	}
	if d.Cluster == "any" {
		d.Cluster = ""
	}
	return d, true
}
