package node

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/dns"
	"github.com/micro/micro-net/internal/config"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/node/api"
	"github.com/micro/micro-net/router"
)

// backend answers the API from the life and its view.
type backend struct{ l *life }

var _ api.Backend = backend{}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// Status is this node in one screen.
func (b backend) Status() api.Status {
	l, v := b.l, b.l.view.Load()
	m := l.pass.member()
	s := api.Status{
		Node:      api.StatusNode{ID: l.self.String(), Name: m.Name, Cluster: m.ClusterName, Version: l.config.Version, Address: b.address(), Status: b.ownStatus(), Roles: b.roles(l.self, 0)},
		Ready:     b.Ready() == nil,
		Listeners: b.listeners(), PortMapping: l.mapper.status(l.env.Wall()), Services: len(v.instances),
		Certificate: api.Certificate{Expires: m.NotAfter.UTC()}, Warnings: l.warnings(),
	}
	s.Nodes.Revoked = len(l.outcasts.Load().revoked)
	for i := range v.nodes {
		if v.nodes[i].ID == l.self && s.Node.Status == micronet.Revoked {
			continue // it is counted already
		}
		switch v.nodes[i].Status {
		case micronet.Alive:
			s.Nodes.Alive++
		case micronet.Suspect:
			s.Nodes.Suspect++
		case micronet.Dead:
			s.Nodes.Dead++
		}
	}
	return s
}

// ownStatus is alive, or revoked: a node learns of that while it runs.
func (b backend) ownStatus() micronet.NodeStatus {
	if b.l.outcasts.Load().isRevoked(b.l.self) {
		return micronet.Revoked
	}
	return micronet.Alive
}

// roles are what a node may sign, by what it has shown. Nobody keeps any whose key was revoked.
func (b backend) roles(id micronet.NodeID, shown identity.Roles) []string {
	l, out := b.l, []string{}
	root, authority := shown.Has(identity.RoleRoot), shown.Has(identity.RoleAuthority)
	if id == l.self {
		root, authority = l.pass.root.Load() != nil, l.gate.authority.Load() != nil
	}
	if l.outcasts.Load().isRevoked(id) {
		return out
	}
	if root {
		out = append(out, api.RoleRoot)
	}
	if authority {
		out = append(out, api.RoleAuthority)
	}
	if l.relays(id) {
		out = append(out, api.RoleRelay)
	}
	return out
}

func (b backend) address() string {
	if e := b.l.address.where(); len(e) > 0 {
		return e[0].String()
	}
	return b.l.mesh.String()
}

const switchedOff = "off"

func (b backend) listeners() api.Listeners {
	l := b.l
	out := api.Listeners{Mesh: l.mesh.String(), TCP: switchedOff, API: switchedOff, DNS: switchedOff, Proxy: switchedOff, VIPs: switchedOff, Socket: switchedOff}
	switch {
	case l.listeners.tcp != nil:
		out.TCP = l.listeners.tcp.Addr().String()
	case l.listeners.noTCP != nil:
		out.TCP, out.TCPReason = l.listeners.noTCP.state(), l.listeners.noTCP.words
	}
	if l.config.Daemon == nil {
		return out
	}
	out.Socket = l.config.Daemon.Socket
	if l.listeners.api != nil {
		out.API = l.listeners.api.Addr().String()
	}
	if l.front.dns != nil {
		out.DNS = l.front.dns.Addr().String()
	}
	if l.front.outbound != nil {
		out.Proxy = l.front.outbound.Addr().String()
	}
	out.VIPs = "bound"
	if l.front.captured {
		out.VIPs = "capture"
	}
	return out
}

// Nodes lists all nodes that are known.
func (b backend) Nodes() []api.Node {
	v, shown := b.l.view.Load(), b.l.rights()
	out := make([]api.Node, 0, len(v.nodes))
	for i := range v.nodes {
		n := &v.nodes[i]
		a := api.Node{
			ID: n.ID.String(), Name: n.Name, Cluster: n.Cluster, Status: n.Status, Version: n.Version,
			RTTMs: ms(n.RTT), Gateway: n.Gateway, Roles: b.roles(n.ID, shown[n.ID]), Self: n.ID == b.l.self, Reason: b.l.whyRefused(n),
		}
		if !n.Heard.IsZero() && !a.Self {
			a.AgeMs = time.Since(n.Heard).Milliseconds()
		}
		if a.Self {
			a.Status = b.ownStatus()
		}
		if len(n.Endpoints) > 0 {
			a.Address = n.Endpoints[0].String()
		}
		if p, ok := b.l.under.Path(n.ID); ok && p.Confirmed && p.Relay.IsZero() {
			a.Address = p.Remote.String()
		}
		out = append(out, a)
	}
	return out
}

// Services lists services with instances on live nodes.
func (b backend) Services(name string) ([]api.Service, error) {
	v := b.l.view.Load()
	out := []api.Service{}
	if name != "" {
		d, err := micronet.ParseDestination(name)
		if err != nil {
			d = micronet.Destination{Service: name}
		}
		list := v.of(d)
		if len(list)+len(v.withheld[d.Service]) == 0 {
			return nil, b.l.unknownService(name)
		}
		return b.named(append(out, b.service(v, d.Service, list))), nil
	}
	for _, service := range v.offered() {
		out = append(out, b.service(v, service, v.instances[service]))
	}
	return b.named(out), nil
}

// offered lists the services that anybody offers, those that are withheld too, sorted.
func (v *view) offered() []string {
	names := slices.AppendSeq(slices.Collect(maps.Keys(v.instances)), maps.Keys(v.withheld))
	slices.Sort(names)
	return slices.Compact(names)
}

// service tells of a service: list are the instances that get traffic. Those that are withheld are told as
// well, each with the reason; they give the service nothing else.
func (b backend) service(v *view, name string, list []*placed) api.Service {
	s := api.Service{Name: name, Ports: []int{}, Tags: []string{}, Instances: []api.Instance{}}
	if first, _, ok := v.held.first(name); ok {
		s.FirstHolder = v.nameOf(first)
	}
	for _, p := range list {
		s.Protocol = string(list[0].instance.Protocol)
		s.Ports = append(s.Ports, int(p.instance.ServicePort))
		s.Tags = append(s.Tags, p.instance.Tags...)
		s.Instances = append(s.Instances, instanceOf(v, p))
	}
	for _, p := range v.withheld[name] {
		s.Protocol = cmp.Or(s.Protocol, string(p.instance.Protocol))
		a := instanceOf(v, p)
		a.Withheld = notGranted(name, p.node.Name)
		s.Instances = append(s.Instances, a)
	}
	slices.Sort(s.Ports)
	s.Ports = slices.Compact(s.Ports)
	slices.Sort(s.Tags)
	s.Tags = slices.Compact(s.Tags)
	slices.SortFunc(s.Instances, func(a, c api.Instance) int { return cmp.Or(cmp.Compare(a.Node, c.Node), cmp.Compare(a.ID, c.ID)) })
	return s
}

func instanceOf(v *view, p *placed) api.Instance {
	inst := &p.instance
	a := api.Instance{
		ID: inst.ID, Node: p.node.Name, Cluster: p.node.Cluster, Address: inst.Address.String(), Port: int(inst.Port),
		Tags: append([]string{}, inst.Tags...), Meta: inst.Meta, Weight: inst.Weight, Health: inst.Health, AgeMs: p.age.Milliseconds(),
	}
	if a.Meta == nil {
		a.Meta = map[string]string{}
	}
	if since, known := v.held.all()[holder{inst.Service, p.node.ID}]; known {
		a.HeldMs = v.made.Sub(since).Milliseconds()
	}
	return a
}

// named adds how callers of this host reach the services.
func (b backend) named(list []api.Service) []api.Service {
	d := b.l.config.Daemon
	if d == nil {
		return list
	}
	var labels []string
	for i := range list {
		if isNamed(&list[i]) {
			labels = append(labels, list[i].Name)
		}
	}
	vips, err := b.l.vips.ofServices(labels)
	b.l.report("node.vips", err)
	for i := range list {
		s := &list[i]
		if isNamed(s) {
			s.DNS = s.Name + "." + d.Domains[0]
		}
		if vip, ok := vips[s.Name]; ok {
			s.VIP = vip.String()
		}
	}
	return list
}

// isNamed reports whether a service has a name in DNS: nobody is led to one of which all is withheld.
func isNamed(s *api.Service) bool {
	return micronet.CheckName(s.Name) == nil && slices.ContainsFunc(s.Instances, func(i api.Instance) bool { return i.Withheld == "" })
}

// Routes lists the ways to instances.
func (b backend) Routes(service string) ([]api.Route, error) {
	v := b.l.view.Load()
	if service != "" && len(v.instances[service])+len(v.withheld[service]) == 0 {
		return nil, b.l.unknownService(service)
	}
	out := []api.Route{}
	for _, v := range b.l.router.Routes(time.Now(), service) {
		out = append(out, b.routeOf(&v))
	}
	for _, name := range v.offered() {
		if service == "" || service == name {
			for _, p := range v.withheld[name] {
				out = append(out, b.withheldRoute(p))
			}
		}
	}
	slices.SortStableFunc(out, func(a, c api.Route) int { return strings.Compare(a.Service, c.Service) })
	return out, nil
}

func (b backend) routeOf(v *router.View) api.Route {
	r := &v.Route
	out := api.Route{
		Service: r.Instance.Service, Instance: r.Instance.ID, Node: r.NodeName, Cluster: r.Cluster, Via: []string{},
		Path: r.Path, Transport: r.Transport, Metric: v.Metric, RTTMs: ms(r.RTT), Weight: r.Instance.Weight,
		State: v.State, Reason: v.Reason,
	}
	if r.Path == micronet.PathRelay {
		out.Via = append(out.Via, b.l.node.nameOf(r.Relay))
	}
	return out
}

// Connections lists the open tunnels.
func (b backend) Connections() []api.Connection {
	v := b.l.view.Load()
	out := []api.Connection{}
	for _, c := range b.l.tun.Connections() {
		a := api.Connection{
			ID: c.Peer.String(), Path: c.Path, Transport: c.Transport, Remote: c.Remote.String(), RTTMs: ms(c.RTT), Loss: c.Loss,
			MTU: c.MTU, Streams: c.Streams, Lanes: c.Lanes, SentBytes: c.SentBytes, ReceivedBytes: c.ReceivedBytes,
			Since: b.l.env.Wall().Add(-time.Since(c.Since)).UTC(),
		}
		if !c.Relay.IsZero() {
			a.Relay = b.l.node.nameOf(c.Relay)
		}
		if n := v.byID[c.Peer]; n != nil {
			a.Node, a.Cluster = n.Name, n.Cluster
		}
		out = append(out, a)
	}
	return out
}

// Graph is who this node has a confirmed path to.
func (b backend) Graph() api.Graph {
	g := api.Graph{Nodes: b.Nodes(), Edges: []api.Edge{}}
	v := b.l.view.Load()
	for _, p := range b.l.under.Paths() {
		if n := v.byID[p.Peer]; n != nil && p.Confirmed && n.Status.Serving() {
			g.Edges = append(g.Edges, api.Edge{From: b.l.name, To: n.Name, Path: pathKind(p.Relay), RTTMs: ms(p.RTT)})
		}
	}
	slices.SortFunc(g.Edges, func(a, c api.Edge) int { return cmp.Compare(a.To, c.To) })
	return g
}

// Settings is the local configuration.
func (b backend) Settings() []api.Setting {
	if b.l.config.Daemon == nil {
		return []api.Setting{}
	}
	return b.l.config.Daemon.Settings
}

// Invite makes a join token, where this node is an authority.
func (b backend) Invite(r api.InviteRequest) (api.Invitation, error) {
	a := b.l.gate.authority.Load()
	if a == nil {
		return api.Invitation{}, b.noAuthority("invite")
	}
	if r.Name != "" {
		if err := micronet.CheckLabel(r.Name); err != nil {
			return api.Invitation{}, micronet.E("invite", micronet.Invalid, "--name: %w", err)
		}
	}
	addresses, err := inviteAddresses(r.Addresses, b.l.mesh.Port(), b.l.address.where())
	if err != nil {
		return api.Invitation{}, err
	}
	out, err := a.invite(r, addresses, b.l.listeners.joinPort())
	if err == nil && r.Name != "" {
		out.Warning = strings.TrimPrefix(out.Warning+b.nameWarning(r.Name), "; ")
	}
	return out, err
}

// nameWarning says when the name of a token belongs to a node that is there: only of one that is gone does the token
// take it.
func (b backend) nameWarning(name string) string {
	n, err := b.l.view.Load().find(name)
	if err != nil || n.Name != name || !n.Status.Serving() {
		return ""
	}
	return fmt.Sprintf("; %s (%s) is %s and has this name: another host with the token is refused as long as that is so", name, n.ID.Short(), n.Status)
}

// noAuthority refuses what only an authority can do, and names one. Who was revoked is told that first.
func (b backend) noAuthority(op string) error {
	if err := b.l.revoked(op); err != nil {
		return err
	}
	e := micronet.E(op, micronet.Refused, "this node is no authority of the cluster")
	if ids := b.l.signers(); len(ids) > 0 {
		return e.WithFix("run it on %s", b.l.view.Load().byID[ids[0]].Name)
	}
	return e.WithFix("run it on the node that founded the cluster")
}

// inviteAddresses are those the user names, in front of those this node knows of itself, as many
// as a token holds. port is that of the mesh, for names without one.
func inviteAddresses(named []string, port uint16, own []netip.AddrPort) ([]string, error) {
	var out []string
	add := func(s string) {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	for _, s := range named {
		host, p, err := splitAddress(s, port)
		if err != nil {
			return nil, micronet.E("invite", micronet.Invalid, "--address: %w", err)
		}
		add(net.JoinHostPort(host, portText(p)))
	}
	for _, e := range own {
		// Loopback leads a guest to itself, unless everybody is on this host.
		lost := e.Addr().IsLoopback() && len(own) > 1
		if !lost && len(out) < identity.MaxTokenAddresses {
			add(e.String())
		}
	}
	return out, nil
}

// Join moves this node into another cluster.
func (b backend) Join(ctx context.Context, token string) error { return b.l.move(ctx, token) }

// Leave ends this node's membership.
func (b backend) Leave(ctx context.Context, r api.LeaveRequest) (api.Farewell, error) {
	warning, err := b.l.leave(ctx, r.Force)
	return api.Farewell{Warning: warning}, err
}

// Register adds instances that survive a restart.
func (b backend) Register(owner int, services []config.Service) (api.Registered, error) {
	if err := b.l.acceptable(services); err != nil {
		return api.Registered{}, err
	}
	replaced := []string{}
	err := b.l.node.keep(func() (func(), error) {
		// Other registrations wait for this one: nothing changes between the look and the addition.
		replaced = b.l.node.registry.others(services)
		return b.l.node.registry.add(source{kind: "api"}, owner, services)
	})
	if err != nil {
		return api.Registered{}, err
	}
	b.l.settled(idsOf(services)...)
	return api.Registered{IDs: idsOf(services), Replaced: replaced}, nil
}

func idsOf(services []config.Service) []string {
	out := []string{}
	for i := range services {
		out = append(out, services[i].ID)
	}
	return out
}

// Hold adds instances that end with the closer.
func (b backend) Hold(owner int, services []config.Service) ([]string, io.Closer, error) {
	if err := b.l.acceptable(services); err != nil {
		return nil, nil, err
	}
	h := hold{registry: b.l.node.registry, src: b.l.node.newSource("hold")}
	if _, err := h.registry.add(h.src, owner, services); err != nil {
		return nil, nil, err
	}
	b.l.settled(idsOf(services)...)
	return idsOf(services), h, nil
}

type hold struct {
	registry *registry
	src      source
}

// Close withdraws what was held.
func (h hold) Close() error {
	h.registry.removeSource(h.src)
	return nil
}

// Deregister withdraws an instance.
func (b backend) Deregister(owner int, id string) error {
	err := b.l.node.keep(func() (func(), error) { return b.l.node.registry.remove(owner, id) })
	if err == nil {
		b.l.settled(id)
	}
	return err
}

// Resolve asks the local zone.
func (b backend) Resolve(ctx context.Context, name, typ string) (api.Resolution, error) {
	if b.l.front.zone == nil {
		return api.Resolution{}, micronet.E("resolve", micronet.Refused, "DNS is switched off").WithFix("start the daemon without --dns-addr off")
	}
	t, err := dns.ParseType(cmp.Or(typ, "A"))
	if err != nil {
		return api.Resolution{}, micronet.E("resolve", micronet.Invalid, "%w", err)
	}
	return b.resolve(ctx, b.absolute(name), t)
}

// pingTime bounds one round trip.
const pingTime = time.Second

// Ping measures a round trip.
func (b backend) Ping(ctx context.Context, word string) (api.Pong, error) {
	n, err := b.l.view.Load().find(word)
	if err != nil {
		return api.Pong{}, err
	}
	pong := api.Pong{Node: n.Name, ID: n.ID.String(), Path: micronet.PathLocal, Transport: micronet.TransportNone}
	if n.ID == b.l.self {
		return pong, nil
	}
	begin := time.Now()
	ctx, cancel := context.WithTimeout(ctx, pingTime)
	defer cancel()
	p, err := b.l.under.Ping(ctx, n.ID)
	if ctx.Err() != nil {
		return api.Pong{}, micronet.E("ping", micronet.Timeout, "%s did not answer within %s", n.Name, pingTime)
	}
	if err != nil {
		return api.Pong{}, err
	}
	pong.Path, pong.Transport, pong.Remote, pong.RTTMs = pathKind(p.Relay), transportKind(p.TCP), p.Remote.String(), ms(time.Since(begin))
	if !p.Relay.IsZero() {
		pong.Relay = b.l.node.nameOf(p.Relay)
	}
	return pong, nil
}

// transportKind is what carries packets.
func transportKind(tcp bool) micronet.TransportKind {
	if tcp {
		return micronet.TransportTCP
	}
	return micronet.TransportQUIC
}

// pathKind is how packets go that take a relay, or none.
func pathKind(relay micronet.NodeID) micronet.PathKind {
	if relay.IsZero() {
		return micronet.PathDirect
	}
	return micronet.PathRelay
}

// Clocks compares clocks.
func (b backend) Clocks(ctx context.Context) []api.Clock { return b.l.clocks(ctx) }

// Dial connects to a service.
func (b backend) Dial(ctx context.Context, service string, from micronet.Caller) (net.Conn, error) {
	if strings.ContainsAny(service, ":/ ") {
		return nil, micronet.E("dial", micronet.Invalid, "%q is no service: want a name alone, as in `micro-net services`", service)
	}
	d := b.destination(service)
	from.Node, from.Name = b.l.self, b.l.name
	c, err := b.l.dialer.Dial(ctx, d, from)
	if err != nil {
		return nil, b.dialError(service, d, err)
	}
	// Who asks wants to hear why an instance did not take the connection, which a stream that ends
	// cannot say.
	if err := c.Answered(ctx); err != nil {
		err = b.dialError(service, d, err)
		c.Abort()
		return nil, err
	}
	return programConn{Conn: c, l: b.l, from: from, service: service}, nil
}

// destination reads a service as people type it: any name, or the DNS form with or without domain.
func (b backend) destination(service string) micronet.Destination {
	if b.l.config.Daemon != nil {
		if d, ok := b.l.meshName(strings.ToLower(service)); ok {
			return d
		}
	}
	return micronet.Destination{Service: service}
}

// Healthy is nil as long as the daemon answers.
func (b backend) Healthy() error { return nil }

// Ready says why the node is not ready.
func (b backend) Ready() error {
	if err := b.l.revoked("ready"); err != nil {
		return err
	}
	select {
	case <-b.l.ready:
		return nil
	default:
		return micronet.E("ready", micronet.Unreachable, "the catalog is not synchronised yet")
	}
}
