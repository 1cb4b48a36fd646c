package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	micronet "github.com/micro/micro-net"
)

const (
	meshPort = 8085
	dnsPort  = 53
	off      = "off"
	// maxDomain leaves room for the names below it: a DNS name has 253 characters.
	maxDomain = 120
	// maxGrace is as long as peers are remembered who say nothing.
	maxGrace = 30 * 24 * time.Hour
)

// settingsReader checks values and collects what is wrong with them.
type settingsReader struct {
	values map[string]raw
	errs   []error
}

// fail reports a mistake at its origin: line of the file, variable, or flag.
func (r *settingsReader) fail(key, fix, format string, args ...any) {
	v := r.values[key]
	if v.at != nil {
		r.errs = append(r.errs, v.at.fault(fix, format, args...))
		return
	}
	op := "--" + key
	if name, ok := strings.CutPrefix(v.origin, "env:"); ok {
		op = name
	}
	what := visible(clip(fmt.Sprintf(format, args...), maxWhat))
	r.errs = append(r.errs, micronet.E(op, micronet.Invalid, "%s", what).WithFix("%s", fix))
}

func (r *settingsReader) settings() Settings {
	s := Settings{
		Join: r.join(), Name: r.name(), Cluster: r.cluster(), DataDir: r.path("data-dir"),
		ConfigDir: r.path("config-dir"), APISocket: r.path("api-socket"),
		APIWrite: r.oneOf("api-write", "services", "none"), Capture: r.oneOf("capture", "auto", "on", off),
		Relay: r.oneOf("relay", "auto", "on", off), PortMap: r.oneOf("port-map", "auto", off), Lane: r.oneOf("lane", "auto", off),
		Domain: r.domain("domain"), AltDomain: r.domain("alt-domain"),
		LogLevel: r.oneOf("log-level", "debug", "info", "warn", "error"), LogFormat: r.oneOf("log-format", "text", "json"),
		Listen: r.mesh(), VIPs: r.vips(), Advertise: r.advertised(), Upstreams: r.upstreams(),
		AllowFrom: r.prefixes("allow-from"), ProxyPass: r.flag("proxy-pass"), Dev: r.flag("dev"),
		ExpiredGrace: r.duration("expired-grace", maxGrace),
	}
	s.APIAddr, s.DNSAddr, s.ProxyAddr = r.local("api-addr", &s), r.local("dns-addr", &s), r.local("proxy-addr", &s)
	s.TCP, s.NoTCP = r.tcp()
	s.Services = r.services()
	r.clashes(&s)
	r.notYet()
	return s
}

// text returns the last of the values given.
func (r *settingsReader) text(key string) string {
	if v := r.values[key].values; len(v) > 0 {
		return v[len(v)-1]
	}
	return ""
}

// join refuses a token that was given and is empty: it is a script's unset variable, and would
// found a cluster.
func (r *settingsReader) join() string {
	v := r.text("join")
	if strings.TrimSpace(v) == "" && r.values["join"].origin == fromFlag {
		r.fail("join", "make one with `micro-net invite`, or leave --join out to start a new cluster", "no token is given")
	}
	return v
}

// path refuses an empty one: it is a script's unset variable, and would mean "no folder".
func (r *settingsReader) path(key string) string {
	v := r.text(key)
	if strings.TrimSpace(v) == "" || strings.ContainsRune(v, 0) {
		r.fail(key, "give a path, or leave it out", "%q is no path", v)
	}
	return v
}

func (r *settingsReader) name() string {
	v := r.text("name")
	if v == "" {
		return ""
	}
	if err := micronet.CheckLabel(v); err != nil {
		r.fail("name", fmt.Sprintf("use %q", micronet.Label(v)), "%s", err)
	}
	return v
}

func (r *settingsReader) cluster() string {
	v := r.text("cluster")
	if err := micronet.CheckName(v); err != nil {
		r.fail("cluster", "use a DNS label like eu-west", "%s", err)
	}
	return v
}

func (r *settingsReader) oneOf(key string, valid ...string) string {
	v := r.text(key)
	if !slices.Contains(valid, v) {
		fix := ""
		if near := nearest(v, valid); near != "" {
			fix = fmt.Sprintf("did you mean %q?", near)
		}
		r.fail(key, fix, "%q is not one of %s", shorten(v), strings.Join(valid, ", "))
	}
	return v
}

func (r *settingsReader) flag(key string) bool {
	b, err := strconv.ParseBool(r.text(key))
	if err != nil {
		r.fail(key, "", "%q is neither true nor false", shorten(r.text(key)))
	}
	return b
}

// duration reads a time of at most so much.
func (r *settingsReader) duration(key string, most time.Duration) time.Duration {
	d, err := time.ParseDuration(r.text(key))
	if err != nil || d < 0 || d > most {
		r.fail(key, fmt.Sprintf("write it like 240h, at most %.0fh, or 0", most.Hours()), "%q is no duration that can be used", shorten(r.text(key)))
		return 0
	}
	return d
}

// domain reads a domain in lower case without the last dot. alt-domain may be missing.
func (r *settingsReader) domain(key string) string {
	d := strings.ToLower(strings.TrimSuffix(r.text(key), "."))
	if d == "" && r.values[key].origin == fromDefault {
		return ""
	}
	if len(d) > maxDomain {
		r.fail(key, "", "the domain has %d characters, at most %d leave room for names", len(d), maxDomain)
		return ""
	}
	for label := range strings.SplitSeq(d, ".") {
		if err := micronet.CheckLabel(label); err != nil {
			r.fail(key, "write it like micro.internal", "%q is no domain: %s", d, err)
			return ""
		}
	}
	return d
}

// mesh reads the UDP address of the mesh.
func (r *settingsReader) mesh() netip.AddrPort { return r.listened("listen", "") }

// tcp reads where datagrams are taken over TCP: an address, or neither.
func (r *settingsReader) tcp() (addr netip.AddrPort, none bool) {
	switch r.text("tcp-addr") {
	case "", "auto":
		return addr, false
	case off:
		return addr, true
	}
	return r.listened("tcp-addr", ", auto or off"), false
}

// listened reads an address to listen on for other hosts, a port alone or an address without one too; more is what else may be written there.
func (r *settingsReader) listened(key, more string) netip.AddrPort {
	v := r.text(key)
	if port, ok := strings.CutPrefix(v, ":"); ok && !strings.Contains(port, ":") {
		v = "[::]:" + port
	}
	ap, err := parseAddrPort(v, meshPort)
	if err != nil || ap.Addr().IsMulticast() {
		r.fail(key, "write it like [::]:8085 or 10.0.0.1:8085, with port 0 for any free port"+more, "%q is no address to listen on", shorten(r.text(key)))
		return netip.AddrPort{}
	}
	return ap
}

// local reads the address of a listener for this host. Off loopback it must be said who may
// use it.
func (r *settingsReader) local(key string, s *Settings) netip.AddrPort {
	v := r.text(key)
	if v == off {
		return netip.AddrPort{}
	}
	if port, ok := strings.CutPrefix(v, "localhost:"); ok {
		v = ":" + port
	}
	if strings.HasPrefix(v, ":") {
		v = localAddress + v
	}
	ap, err := netip.ParseAddrPort(v)
	if err != nil || ap.Addr().IsMulticast() {
		r.fail(key, "write it like 127.0.0.1:8500, with port 0 for any free port, or off", "%q is no address:port", shorten(r.text(key)))
		return netip.AddrPort{}
	}
	ap = netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	switch {
	case !ap.Addr().IsLoopback() && len(s.AllowFrom) == 0:
		r.fail(key, "say who may use it with --allow-from CIDR, or use a loopback address", "%s can be reached from other hosts", ap)
	case s.VIPs.IsValid() && s.VIPs.Contains(ap.Addr()):
		r.fail(key, "use 127.0.0.1, or another --vip-cidr", "%s is one of the addresses that stand for services (%s)", ap, s.VIPs)
	}
	return ap
}

const (
	minVIPBits = 24 // fewer addresses than a /24 has would run out
	vipFix     = "write it like 127.80.0.0/12"
)

// systemLoopback is what hosts use themselves: localhost, Debian's 127.0.1.1, the stub resolver.
var systemLoopback = netip.MustParsePrefix("127.0.0.0/16")

func (r *settingsReader) vips() netip.Prefix {
	v := r.text("vip-cidr")
	p, err := netip.ParsePrefix(v)
	switch {
	case err != nil || !p.Addr().Is4() || !p.Addr().IsLoopback() || p.Bits() < 8 || p.Bits() > minVIPBits:
		r.fail("vip-cidr", vipFix, "%q is no part of 127.0.0.0/8 with at least 256 addresses", shorten(v))
		return netip.Prefix{}
	case p.Overlaps(systemLoopback):
		r.fail("vip-cidr", vipFix, "%s holds addresses that the host uses itself, of %s", p.Masked(), systemLoopback)
		return netip.Prefix{}
	}
	return p.Masked()
}

// advertised are addresses that others connect to.
func (r *settingsReader) advertised() []netip.AddrPort {
	return r.addresses("advertise", meshPort, func(a netip.Addr) bool {
		return !a.IsMulticast() && !a.IsLinkLocalUnicast() && !micronet.IsIdentityAddr(a)
	})
}

// upstreams may be link-local: clouds have their resolvers at 169.254.169.253 and the like.
func (r *settingsReader) upstreams() []netip.AddrPort {
	return r.addresses("upstream", dnsPort, func(a netip.Addr) bool { return !a.IsMulticast() })
}

func (r *settingsReader) addresses(key string, port uint16, fits func(netip.Addr) bool) []netip.AddrPort {
	var out []netip.AddrPort
	for _, v := range r.values[key].values {
		ap, err := parseAddrPort(strings.TrimSpace(v), port)
		a := ap.Addr().Unmap()
		if err != nil || ap.Port() == 0 || isUnspecified(a) || isBroadcast(a) || !fits(a) {
			r.fail(key, fmt.Sprintf("write it like 203.0.113.7 or 203.0.113.7:%d", port), "%q is no address that can be used", shorten(v))
			continue
		}
		out = append(out, netip.AddrPortFrom(a, ap.Port()))
	}
	return out
}

func parseAddrPort(s string, port uint16) (netip.AddrPort, error) {
	bare := s
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		bare = s[1 : len(s)-1]
	}
	if a, err := netip.ParseAddr(bare); err == nil {
		return netip.AddrPortFrom(a, port), nil
	}
	return netip.ParseAddrPort(s)
}

// prefixes reads CIDRs; an address alone is that address.
func (r *settingsReader) prefixes(key string) []netip.Prefix {
	var out []netip.Prefix
	for _, v := range r.values[key].values {
		v = strings.TrimSpace(v)
		p, err := netip.ParsePrefix(v)
		if a, bad := netip.ParseAddr(v); bad == nil && a.Zone() == "" {
			p, err = netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
		}
		if err != nil || p.Addr().Is4In6() {
			r.fail(key, "write it like 10.0.0.0/8", "%q is no CIDR", shorten(v))
			continue
		}
		out = append(out, p.Masked())
	}
	return out
}

func (r *settingsReader) services() []Service {
	var out []Service
	for _, v := range r.values["service"].values {
		s, err := ParseServiceFlag(strings.TrimSpace(v))
		if err != nil {
			r.fail("service", "write it like web:8080/http", "%s", strings.ReplaceAll(err.Error(), "\n", ", "))
			continue
		}
		if slices.ContainsFunc(out, func(o Service) bool { return o.ID == s.ID }) {
			r.fail("service", "give each its own name, or use a service file", "the service %q stands twice", s.ID)
			continue
		}
		out = append(out, s)
	}
	return out
}

// clashes refuses listeners that would take each other's port.
func (r *settingsReader) clashes(s *Settings) {
	if s.Domain != "" && s.Domain == s.AltDomain {
		r.fail("alt-domain", "remove it", "%q is the domain already", s.Domain)
	}
	all := []struct {
		key  string
		addr netip.AddrPort
		udp  bool // takes UDP as well as TCP; the mesh has its TCP port if it is free
	}{{"listen", s.Listen, true}, {"api-addr", s.APIAddr, false}, {"dns-addr", s.DNSAddr, true}, {"proxy-addr", s.ProxyAddr, false}, {"tcp-addr", s.TCP, false}}
	for i, b := range all {
		for _, a := range all[:i] {
			if samePort(a.addr, b.addr) && (a.key != "listen" || b.udp) {
				r.fail(b.key, "give one of them another port", "%s is taken by --%s %s", b.addr, a.key, a.addr)
			}
		}
	}
}

// samePort reports whether two listeners exclude each other.
func samePort(a, b netip.AddrPort) bool {
	if !a.IsValid() || !b.IsValid() || a.Port() == 0 || a.Port() != b.Port() {
		return false
	}
	return a.Addr() == b.Addr() || a.Addr().IsUnspecified() || b.Addr().IsUnspecified()
}

// notYet refuses what later versions can do, so that nobody relies on it.
func (r *settingsReader) notYet() {
	for _, key := range []string{"gateway", "overlay"} {
		if r.flag(key) {
			r.fail(key, "leave it out", "this version cannot do this")
		}
	}
}
