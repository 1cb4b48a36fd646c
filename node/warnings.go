package node

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/config"
	"github.com/micro/micro-net/node/api"
)

// warnings lists what the user should know of, most urgent first.
func (l *life) warnings() []api.Warning {
	out := []api.Warning{}
	add := func(code, text, fix string) { out = append(out, api.Warning{Code: code, Text: text, Fix: fix}) }
	for _, find := range []func() (api.Warning, bool){l.revokedWarning, l.voidWarning, l.certificateWarning, l.graceWarning, l.promotionWarning, l.rotationWarning, l.overtakenWarning, l.memberVoidWarning} {
		if w, some := find(); some {
			out = append(out, w)
		}
	}
	if w, there := l.twin.warning(time.Now(), l.address.where()); there {
		out = append(out, w)
	}
	for _, o := range []*offenders{l.liars, l.jumpers} {
		if ids := slices.DeleteFunc(o.list(time.Now()), l.pass.trust.Revoked); len(ids) > 0 {
			out = append(out, o.tell(ids...))
		}
	}
	v := l.view.Load()
	for i := range v.namesakes {
		if s := &v.namesakes[i]; s.alive() {
			out = append(out, s.warning(l.self))
		}
	}
	if heard, known := v.reach(); 2*heard < known {
		add("minority", fmt.Sprintf("only %d of %d nodes can be heard; what they offer is used, and nothing is forgotten", heard, known),
			"see whether this host is cut off: `micro-net doctor`, `micro-net nodes`")
	}
	if flaps := v.flapping(); len(flaps) > 0 {
		add("flapping", fmt.Sprintf("%d instances come and go and are avoided: %s", len(flaps), shortList(flaps)), "see why their health changes: `micro-net services`")
	}
	now := time.Now()
	if w, some := quarantineWarning(now, l.quarantines(now)); some {
		out = append(out, w)
	}
	if w, some := l.loops.warning(now); some {
		out = append(out, w)
	}
	if w, some := l.poison.warning(l.node.nameOf); some {
		out = append(out, w)
	}
	out = append(out, l.namesWarnings(now)...)
	if l.isOneAuthority() {
		add("one-authority", "only this node can invite others, renew certificates and revoke", "run `micro-net node promote NAME`, or keep the root key elsewhere: `micro-net node root export FILE`")
	}
	for _, m := range l.node.disk.diary.mends() {
		add("damaged-file", m, "see whether the disk is well; what was in the file is beside it, in a file that ends in "+damagedSuffix)
	}
	if l.front.vips != nil {
		for _, p := range l.front.vips.Problems() {
			add("vip-port", p.Text(), l.vipFix(p.Dest))
		}
	}
	if faults := l.fileFaults.Load(); faults != nil {
		for _, f := range *faults {
			add("service-file", f, "mend the file; it is read again by itself")
		}
	}
	return append(out, l.serviceWarnings()...)
}

// isOneAuthority reports whether the cluster has other nodes and hangs on this one: no other can sign, and
// nobody has a copy of the root key. Signatures are looked at last, as they cost most.
func (l *life) isOneAuthority() bool {
	return l.gate.authority.Load() != nil && !l.isRootKept() && len(l.alive()) > 0 && l.isLastAuthority()
}

// vipFix says how else callers reach a destination one of whose ports is taken.
func (l *life) vipFix(d micronet.Destination) string {
	others := fmt.Sprintf("run `micro-net forward %s`, ", d)
	if l.front.outbound != nil {
		others += fmt.Sprintf("use the proxy on %s, ", l.front.outbound.Addr())
	}
	return others + "or start the daemon with CAP_NET_ADMIN, which captures the VIPs without taking ports"
}

func (l *life) serviceWarnings() []api.Warning {
	var out []api.Warning
	for _, e := range l.node.registry.all() {
		if err := micronet.CheckName(e.service.Name); err != nil {
			out = append(out, api.Warning{
				Code: "no-dns-name", Text: fmt.Sprintf("service %q has no DNS name: %s", e.service.Name, err), Fix: "reach it with `micro-net call` or `dial`, or rename it",
			})
		}
		if e.health == micronet.Critical {
			out = append(out, api.Warning{
				Code: "critical", Text: fmt.Sprintf("instance %q gets no traffic: %s", e.service.ID, firstLine(e.output)), Fix: "start the program, or mend its checks",
			})
		}
	}
	return out
}

func firstLine(s string) string {
	for i, r := range s {
		if r == '\n' || r == '\r' {
			return s[:i]
		}
	}
	if s == "" {
		return "not checked yet"
	}
	return s
}

// acceptable refuses instances that could lead callers back into micro-net itself.
func (l *life) acceptable(services []config.Service) error {
	for i := range services {
		s := &services[i]
		inst, err := s.Instance(micronet.Passing)
		if err != nil {
			return micronet.E("register", micronet.Invalid, "%w", err)
		}
		if l.isOurs(inst) {
			return micronet.E("register", micronet.Refused, "%s of service %q is a listener of micro-net itself", inst.AddrPort(), s.Name).
				WithFix("register the program's own address and port")
		}
	}
	return nil
}

func (l *life) isOurs(i micronet.Instance) bool {
	addr := i.Address.Unmap()
	if l.vips != nil && l.vips.prefix().Contains(addr) {
		return true
	}
	return slices.ContainsFunc(l.localListeners(), func(own netip.AddrPort) bool {
		return own.Port() == i.Port && (own.Addr() == addr || (own.Addr().IsUnspecified() && l.isHere(addr)))
	})
}

// localListeners are the addresses at which this node serves programs of its host.
func (l *life) localListeners() []netip.AddrPort {
	var out []netip.AddrPort
	if l.listeners.api != nil {
		out = append(out, micronet.AddrPortOf(l.listeners.api.Addr()))
	}
	if l.front.dns != nil {
		out = append(out, l.front.dns.Addr())
	}
	if l.front.outbound != nil {
		out = append(out, l.front.outbound.Addr())
	}
	return out
}

// isHere reports whether an address is one of this host.
func (l *life) isHere(a netip.Addr) bool {
	if a.IsLoopback() {
		return true
	}
	all, err := l.env.Net.Interfaces()
	l.report("node.interfaces", err)
	return slices.ContainsFunc(all, func(i micronet.Interface) bool {
		return slices.ContainsFunc(i.Prefixes, func(p netip.Prefix) bool { return p.Addr().Unmap() == a })
	})
}
