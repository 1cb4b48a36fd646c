package main

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/micro/micro-net/node/api"
)

const (
	switchedOff   = "off"
	defaultDomain = "micro.internal"
	// vipPort is the warning about a service port that cannot be had at its VIP.
	vipPort = "vip-port"
)

// daemon checks a running daemon from outside, as its users meet it.
func (d *doctor) daemon(ctx context.Context, s *api.Status) {
	who := fmt.Sprintf("%s in cluster %s, version %s", s.Node.Name, s.Node.Cluster, s.Node.Version)
	if s.Ready {
		d.add(good, "daemon", who, "")
	} else {
		d.add(warn, "daemon", who+" is not ready: its catalog is not synchronised yet", "wait, and check that other nodes are reachable: micro-net nodes")
	}
	d.add(good, "mesh", "listens on UDP "+s.Listeners.Mesh, "")
	d.meshTCP(s.Listeners)
	d.portMapping(&s.PortMapping)
	d.reach(ctx, "api", s.Listeners.API)
	d.reach(ctx, "proxy", s.Listeners.Proxy)
	d.dns(ctx, s)
	d.certificate(s)
	d.warnings(s)
	d.nodes(s)
	d.network(ctx)
}

// meshTCP says by what hosts whose UDP is blocked find this one.
func (d *doctor) meshTCP(l api.Listeners) {
	const check, so = "mesh, TCP", ": hosts whose UDP is blocked cannot dial this one"
	switch l.TCP {
	case switchedOff, "":
		d.add(good, check, "switched off", "")
	case api.PortTaken:
		d.add(warn, check, "the TCP port is "+cmp.Or(l.TCPReason, "in use")+so, "free it, or choose another: --tcp-addr :PORT")
	case api.PortFailed:
		d.add(warn, check, "the TCP port could not be had ("+l.TCPReason+")"+so, "allow it, or choose another: --tcp-addr :PORT")
	default:
		d.add(good, check, "listens on TCP "+l.TCP, "")
	}
}

// reach connects to a listener that status names.
func (d *doctor) reach(ctx context.Context, check, listener string) {
	if listener == switchedOff || listener == "" {
		d.add(good, check, "switched off", "")
		return
	}
	addr, err := netip.ParseAddrPort(listener)
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, probeTimeout)
		defer cancel()
		c, dialErr := d.app.env.Net.Dial(ctx, netip.Addr{}, reachable(addr))
		if err = dialErr; err == nil {
			err = c.Close()
		}
	}
	if err != nil {
		d.addError(bad, check, err, "restart the daemon; see its log")
		return
	}
	d.add(good, check, "listens on "+listener, "")
}

// reachable is the address to dial for a listener on all addresses.
func reachable(a netip.AddrPort) netip.AddrPort {
	switch {
	case !a.Addr().IsUnspecified():
		return a
	case a.Addr().Is4():
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), a.Port())
	}
	return netip.AddrPortFrom(netip.IPv6Loopback(), a.Port())
}

// dns asks the daemon's server over UDP, and then whether the host's resolver asks it too.
func (d *doctor) dns(ctx context.Context, s *api.Status) {
	if s.Listeners.DNS == switchedOff || s.Listeners.DNS == "" {
		d.add(good, "dns", "switched off", "")
		return
	}
	addr, err := netip.ParseAddrPort(s.Listeners.DNS)
	if err != nil {
		d.addError(bad, "dns", err, "restart the daemon; see its log")
		return
	}
	domain := d.domain(ctx)
	addr = reachable(addr)
	if !d.answers(ctx, addr, domain, typeSOA) {
		return
	}
	if name := d.someService(ctx); name != "" {
		d.answers(ctx, addr, name, typeA)
	}
	d.hostResolver(ctx, addr, domain)
}

func (d *doctor) answers(ctx context.Context, server netip.AddrPort, name string, typ uint16) bool {
	what := fmt.Sprintf("%s %s at %s", name, typeNames[typ], server)
	r, err := d.app.lookup(ctx, server, name, typ)
	switch {
	case err != nil:
		d.addError(bad, "dns", fmt.Errorf("%s: %w", what, err), "restart the daemon; see its log")
	case r.rcode != 0:
		d.add(bad, "dns", fmt.Sprintf("%s: response code %d", what, r.rcode), "see `micro-net status`")
	case r.answers == 0:
		d.add(warn, "dns", what+": no answer", "see `micro-net resolve "+name+"` for the reason")
	default:
		d.add(good, "dns", what+" is answered", "")
		return true
	}
	return false
}

// domain is the daemon's; the default when it does not say.
func (d *doctor) domain(ctx context.Context) string {
	settings, err := d.client.Settings(ctx)
	if err != nil {
		return defaultDomain
	}
	for _, s := range settings {
		if v, ok := s.Value.(string); ok && s.Key == "domain" {
			return cmp.Or(v, defaultDomain)
		}
	}
	return defaultDomain
}

// someService is the name of a service with a healthy instance, "" when there is none.
func (d *doctor) someService(ctx context.Context) string {
	list, err := d.client.Services(ctx, "")
	if err != nil {
		return ""
	}
	for i := range list {
		if list[i].DNS != "" && healthy(&list[i]) > 0 {
			return list[i].DNS
		}
	}
	return ""
}

const (
	resolvConf = "/etc/resolv.conf"
	dnsPort    = 53
	// stubResolver is where systemd-resolved listens.
	stubResolver = "127.0.0.53"
)

// hostResolver asks the host's first name server (resolv.conf(5)) for the domain: programs that
// know nothing of us ask it.
func (d *doctor) hostResolver(ctx context.Context, ours netip.AddrPort, domain string) {
	data, err := d.app.env.FS.ReadFile(resolvConf)
	if err != nil {
		d.add(warn, "host resolver", resolvConf+" cannot be read: "+err.Error(), "until there is one, programs can ask "+ours.String()+", or use the proxy")
		return
	}
	server, ok := firstNameserver(string(data))
	if !ok {
		d.add(warn, "host resolver", resolvConf+" names no server", resolverFix(ours, domain, ""))
		return
	}
	r, err := d.app.lookup(ctx, netip.AddrPortFrom(server, dnsPort), domain, typeSOA)
	if err == nil && r.rcode == 0 && r.answers > 0 {
		d.add(good, "host resolver", fmt.Sprintf("%s knows %s", server, domain), "")
		return
	}
	if err != nil {
		d.add(warn, "host resolver", fmt.Sprintf("%s, the first server of %s, cannot be asked: %s", server, resolvConf, reason(err)),
			"mend "+resolvConf+"; until then programs can ask "+ours.String()+", or use the proxy")
		return
	}
	d.add(warn, "host resolver", fmt.Sprintf("%s does not know %s: programs must ask %s, or use the proxy", server, domain, ours),
		resolverFix(ours, domain, server.String()))
}

func firstNameserver(conf string) (netip.Addr, bool) {
	for line := range strings.Lines(conf) {
		f := strings.Fields(line)
		if len(f) >= 2 && f[0] == "nameserver" {
			if a, err := netip.ParseAddr(f[1]); err == nil {
				return a, true
			}
		}
	}
	return netip.Addr{}, false
}

func resolverFix(ours netip.AddrPort, domain, server string) string {
	if server == stubResolver {
		return fmt.Sprintf("resolvectl dns lo %s && resolvectl domain lo '~%s'", ours, domain)
	}
	return fmt.Sprintf("make the resolver send %s to %s (dnsmasq: server=/%s/%s#%d)", domain, ours, domain, ours.Addr(), ours.Port())
}

func (d *doctor) certificate(s *api.Status) {
	text := d.app.expiry(s.Certificate.Expires)
	if s.Certificate.Expires.After(d.app.env.Wall()) {
		d.add(good, "certificate", text, "")
		return
	}
	d.add(bad, "certificate", text, "check the clock; join again with a token of `micro-net invite`")
}

// warnings repeats what the daemon warns of. Ports of VIPs that a wildcard listener of the host
// holds are told even when there are none, as that is what people look for here.
func (d *doctor) warnings(s *api.Status) {
	clashes := 0
	for _, w := range s.Warnings {
		check := w.Code
		if w.Code == vipPort {
			clashes++
			check = "vip ports"
		}
		d.add(warn, check, w.Text, w.Fix)
	}
	if clashes == 0 {
		d.add(good, "vip ports", "no port of a service clashes with a listener of this host", "")
	}
}

func (d *doctor) nodes(s *api.Status) {
	n := s.Nodes
	text := fmt.Sprintf("%d alive, %d suspect, %d dead", n.Alive, n.Suspect, n.Dead)
	if n.Suspect+n.Dead > 0 {
		d.add(warn, "nodes", text, "see `micro-net nodes`; the name of one that is gone for good passes to its replacement with `micro-net invite --name NAME`")
		return
	}
	d.add(good, "nodes", text, "")
}
