package node

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/dns"
	"github.com/micro/micro-net/dns/server"
	"github.com/micro/micro-net/node/api"
	"github.com/micro/micro-net/proxy"
)

// front is what programs of this host talk to.
type front struct {
	dns       *server.Server  // nil when off
	outbound  *proxy.Outbound // nil when off
	zone      *dns.Zone
	vips      proxy.Listeners // nil in a program
	captured  bool            // vips redirects, and binds nothing
	upstreams atomic.Pointer[[]netip.AddrPort]
}

// newFront makes the local listeners of a daemon. Nothing is open yet, and nothing of the life
// is used before they run.
func newFront(l *life) *front {
	f := &front{}
	d := l.config.Daemon
	if d == nil {
		return f
	}
	if d.DNS.IsValid() {
		f.dns = server.New(server.Config{
			Env: l.env, Addr: d.DNS, Handler: dns.Chain{late{f}, dns.Special{}}, Upstreams: f.resolvers, AllowFrom: d.AllowFrom,
			Own: []netip.Prefix{d.VIPs},
		})
	}
	if d.Proxy.IsValid() {
		c := proxy.OutboundConfig{Env: l.env, Addr: d.Proxy, Self: l.self, Resolve: l.meshName, Dial: l.dialFor, Allow: l.mayUse}
		if d.ProxyPass {
			c.Lookup = func(ctx context.Context, host string) ([]netip.Addr, error) { return lookup(ctx, l.env.Net, host) }
		}
		f.outbound = proxy.NewOutbound(c)
	}
	return f
}

// late is the zone, which exists only once the node is a member.
type late struct{ f *front }

// Serve answers for the zone.
func (h late) Serve(ctx context.Context, q dns.Question) (dns.Answer, bool) {
	return h.f.zone.Serve(ctx, q)
}

// dialFor connects a program of this host that came through the outbound proxy.
func (l *life) dialFor(ctx context.Context, dest micronet.Destination, caller micronet.Caller) (proxy.Conn, error) {
	caller.Node = l.self
	return l.dialer.Dial(ctx, dest, caller)
}

// mayUse is the rule for local listeners: programs of this host, and those --allow-from names.
func (l *life) mayUse(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsLoopback() || slices.ContainsFunc(l.config.Daemon.AllowFrom, func(p netip.Prefix) bool { return p.Contains(a) })
}

// assembleFront makes what needs open listeners and no passport: the VIPs and the zone.
func (l *life) assembleFront(ctx context.Context) error {
	d := l.config.Daemon
	if d == nil {
		return l.acceptable(l.config.Services)
	}
	var server netip.Addr
	if l.front.dns != nil {
		server = l.front.dns.Addr().Addr()
	}
	var err error
	if l.vips, err = loadVIPs(l.node.disk, d.VIPs); err != nil {
		return err
	}
	// Only now is it known which ports are ours.
	if err = l.acceptable(l.config.Services); err != nil {
		return err
	}
	l.front.zone, err = dns.NewZone(dns.Config{
		Domains: d.Domains, Source: zoneSource{l}, Rand: l.env.Rand("dns"), Server: server, Reverse: []netip.Prefix{d.VIPs},
	})
	if err != nil {
		return err
	}
	return l.assembleVIPs(ctx)
}

// assembleVIPs redirects the VIP range where that is allowed, and otherwise binds ports when
// names are resolved.
func (l *life) assembleVIPs(ctx context.Context) error {
	d := l.config.Daemon
	handle := func(ctx context.Context, c net.Conn, dest micronet.Destination) { l.dialer.Carry(ctx, c, dest) }
	if d.Capture != CaptureOff {
		c, err := proxy.NewCapture(proxy.CaptureConfig{
			Env: l.env, Prefix: d.VIPs, Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0),
			Table: tableName(d.VIPs), Lookup: l.vips.destination, Ports: l.ports, Handle: handle,
		})
		if err == nil {
			err = c.Listen(ctx)
		}
		if err == nil {
			l.front.vips, l.listeners.vips, l.front.captured = c, c, true
			return nil
		}
		if errors.Is(err, micronet.ErrRedirected) {
			// Binding ports instead would be in vain: connections would reach the other daemon.
			return micronet.E("vip-cidr", micronet.Refused, "another daemon of this host has the addresses %s", d.VIPs).
				WithFix("give this one its own, for instance --vip-cidr 127.96.0.0/12")
		}
		if d.Capture == CaptureOn {
			return micronet.E("capture", micronet.Refused, "%w", err).
				WithFix("run as root or with CAP_NET_ADMIN, or use --capture off")
		}
		l.env.Log.Debug("VIPs are not captured", "err", err)
	}
	l.front.vips = proxy.NewBound(proxy.BoundConfig{Env: l.env, Handle: handle})
	return nil
}

// tableName is the nftables table of this daemon: several on one host have different VIP ranges.
func tableName(p netip.Prefix) string {
	return "micro_net_" + strings.NewReplacer(".", "_", "/", "_").Replace(p.String())
}

// startFront opens the node to programs of this host. What runs closes its sockets itself.
func (l *life) startFront(g *group) {
	d := l.config.Daemon
	if d == nil {
		return
	}
	l.listeners.dns, l.listeners.proxy, l.listeners.vips = nil, nil, nil
	l.front.readResolvers(l.env, d)
	g.run(l.front.vips.Run)
	if l.front.dns != nil {
		g.run(l.front.dns.Run)
		g.run(func(ctx context.Context) error { return l.front.followResolvers(ctx, l.env, d) })
	}
	if l.front.outbound != nil {
		g.run(l.front.outbound.Run)
	}
	srv := api.NewServer(l.env, backend{l}, api.Config{
		TCPAddr: listenAddr(l.listeners.api), Socket: d.Socket, AllowFrom: d.AllowFrom, Write: d.APIWrite,
	})
	g.run(func(ctx context.Context) error { return srv.Run(ctx, l.listeners.socket, l.listeners.api) })
	if d.ConfigDir != "" {
		g.run(l.followFiles)
	}
}

func listenAddr(ln net.Listener) netip.AddrPort {
	if ln == nil {
		return netip.AddrPort{}
	}
	return micronet.AddrPortOf(ln.Addr())
}

// quiesce lets nobody new in; who is in may go on.
func (f *front) quiesce() {
	if f.vips != nil {
		f.vips.Quiesce()
	}
	if f.outbound != nil {
		f.outbound.Quiesce()
	}
}

const (
	resolvConf = "/etc/resolv.conf"
	// resolvedConf has the real resolvers where /etc/resolv.conf names systemd-resolved, which may
	// ask us.
	resolvedConf = "/run/systemd/resolve/resolv.conf"
	// resolversEvery is how often the host's resolvers are read again.
	resolversEvery = 10 * time.Second
)

func (f *front) resolvers() []netip.AddrPort {
	if p := f.upstreams.Load(); p != nil {
		return *p
	}
	return nil
}

func (f *front) followResolvers(ctx context.Context, env micronet.Env, d *Daemon) error {
	t := time.NewTicker(resolversEvery + env.Phase)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			f.readResolvers(env, d)
		}
	}
}

// readResolvers takes the configured upstreams, or those of the host. Our own address is never
// among them: a question must not go round in a circle.
func (f *front) readResolvers(env micronet.Env, d *Daemon) {
	list := d.Upstreams
	if len(list) == 0 {
		list = hostResolvers(env.FS)
	}
	own := netip.AddrPort{}
	if f.dns != nil {
		own = f.dns.Addr()
	}
	list = slices.DeleteFunc(slices.Clone(list), func(a netip.AddrPort) bool { return a == own })
	f.upstreams.Store(&list)
}

func hostResolvers(fsys micronet.FS) []netip.AddrPort {
	text, err := fsys.ReadFile(resolvConf)
	if err != nil {
		return nil
	}
	list := server.ParseResolvConf(text)
	stub := func(a netip.AddrPort) bool { return a.Addr().IsLoopback() }
	if !slices.ContainsFunc(list, stub) {
		return list
	}
	if text, err = fsys.ReadFile(resolvedConf); err == nil {
		return server.ParseResolvConf(text)
	}
	// A local resolver that is not systemd's: it is used as it is, unless it is ours.
	return list
}
