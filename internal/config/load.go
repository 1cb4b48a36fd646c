package config

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	micronet "github.com/micro/micro-net"
)

const (
	envPrefix = "MICRO_NET_"
	meshPort  = 8085
	dnsPort   = 53
	off       = "off"
)

// environment are variables with the prefix that are no settings of the daemon.
var environment = []string{"MICRO_NET_API", "MICRO_NET_JOIN"}

// Input is where settings come from. Flag beats environment beats file beats default.
type Input struct {
	Flags   map[string][]string // by key, only those that were given
	Getenv  func(string) string
	Environ []string // "NAME=value", to warn about unknown variables; may be nil
	UID     int
	File    string // name of config.yaml
	Data    []byte // its content, nil when there is none
}

// Origin tells where one setting came from.
type Origin struct {
	Key    string
	Value  any
	Origin string // "default", "file:PATH", "env:NAME", "flag"
}

// Loaded is a whole configuration.
type Loaded struct {
	Settings Settings
	Origins  []Origin
	Services []Service // of config.yaml
	Warnings []string
}

// raw is a setting before it is checked.
type raw struct {
	values []string
	origin string
}

// Load reads the settings. All mistakes are told at once.
func Load(in Input) (Loaded, error) {
	file, services, errs := readFile(in.File, in.Data)
	out := Loaded{Services: services, Warnings: unknownVariables(in.Environ)}
	values := map[string]raw{}
	for _, s := range Specs() {
		r := pick(&s, &in, file)
		if len(r.values) == 0 {
			r = derived(s.Key, &in, values)
		}
		values[s.Key] = r
		out.Origins = append(out.Origins, Origin{Key: s.Key, Value: shown(&s, r), Origin: r.origin})
	}
	c := &settingsReader{values: values}
	out.Settings = c.settings()
	return out, errors.Join(append(errs, c.errs...)...)
}

// shown is a value for `config show`; a token is a secret.
func shown(s *Spec, r raw) any {
	switch {
	case s.Key == "join" && len(r.values) > 0 && r.values[0] != "":
		return "(redacted)"
	case s.Kind == KindList:
		return append([]string{}, r.values...)
	case len(r.values) == 0:
		return ""
	case s.Kind == KindBool:
		return r.values[0] == "true"
	}
	return r.values[0]
}

func pick(s *Spec, in *Input, file map[string]raw) raw {
	if v, ok := in.Flags[s.Key]; ok {
		return raw{v, "flag"}
	}
	name := envPrefix + strings.ToUpper(strings.ReplaceAll(s.Key, "-", "_"))
	if v := in.Getenv(name); v != "" {
		values := []string{v}
		if s.Kind == KindList {
			values = strings.Split(v, ",")
		}
		return raw{values, "env:" + name}
	}
	if r, ok := file[s.Key]; ok {
		return r
	}
	if s.Default == "" {
		return raw{nil, "default"}
	}
	return raw{[]string{s.Default}, "default"}
}

// derived are defaults that depend on the user and the environment.
func derived(key string, in *Input, known map[string]raw) raw {
	switch key {
	case "data-dir":
		return raw{[]string{DataDir(in.Getenv, in.UID)}, "default"}
	case "config-dir":
		return raw{[]string{ConfigDir("", in.Getenv, in.UID)}, "default"}
	case "api-socket":
		return raw{[]string{SocketPath(known["data-dir"].values[0], in.Getenv, in.UID)}, "default"}
	}
	return raw{nil, "default"}
}

func unknownVariables(environ []string) (warnings []string) {
	valid := slices.Clone(environment)
	for _, s := range Specs() {
		valid = append(valid, envPrefix+strings.ToUpper(strings.ReplaceAll(s.Key, "-", "_")))
	}
	for _, e := range environ {
		name, _, _ := strings.Cut(e, "=")
		if strings.HasPrefix(name, envPrefix) && !slices.Contains(valid, name) {
			warnings = append(warnings, fmt.Sprintf("the environment variable %s means nothing; %s", name, suggest(name, valid)))
		}
	}
	return warnings
}

// readFile reads config.yaml: settings at the top, and services.
func readFile(name string, data []byte) (map[string]raw, []Service, []error) {
	out := map[string]raw{}
	if data == nil {
		return out, nil, nil
	}
	t, err := parseTree(name, data)
	if err != nil {
		return out, nil, []error{err}
	}
	p := &serviceParser{}
	specs := map[string]Spec{}
	valid := []string{"services"}
	for _, s := range Specs() {
		key := strings.ReplaceAll(s.Key, "-", "_")
		specs[key] = s
		valid = append(valid, key)
	}
	if t.root.kind == scalar || t.root.kind == sequence {
		return out, nil, []error{t.root.wrong("a mapping of settings")}
	}
	for _, pr := range t.root.pairs {
		if pr.name == "services" {
			p.finish(pr.value.items)
			continue
		}
		s, ok := specs[pr.name]
		if !ok {
			p.fail(&Fault{File: name, Line: pr.line, Key: pr.name, What: "unknown key", Fix: suggest(pr.name, valid)})
			continue
		}
		values, err := fileValues(&s, pr.value)
		if err != nil {
			p.fail(err)
			continue
		}
		out[s.Key] = raw{values, "file:" + name}
	}
	return out, p.services, p.errs
}

func fileValues(s *Spec, v *value) ([]string, error) {
	switch s.Kind {
	case KindBool:
		b, err := v.boolean()
		return []string{strconv.FormatBool(b)}, err
	case KindList:
		return v.texts()
	}
	if b, ok := v.scalar.(bool); ok && !b {
		return []string{off}, nil // YAML 1.1 habits: off is false
	}
	t, err := v.text()
	return []string{t}, err
}

// settingsReader checks values and collects what is wrong with them.
type settingsReader struct {
	values map[string]raw
	errs   []error
}

func (c *settingsReader) fail(key, fix, format string, args ...any) {
	where := "--" + key
	if o := c.values[key].origin; o != "flag" && o != "default" {
		where = o + ": " + strings.ReplaceAll(key, "-", "_")
	}
	c.errs = append(c.errs, (&micronet.Error{Op: where, Kind: micronet.Invalid, Err: fmt.Errorf(format, args...)}).WithFix("%s", fix))
}

func (c *settingsReader) text(key string) string {
	if v := c.values[key].values; len(v) > 0 {
		return v[len(v)-1]
	}
	return ""
}

func (c *settingsReader) oneOf(key string, valid ...string) string {
	v := c.text(key)
	if !slices.Contains(valid, v) {
		c.fail(key, suggest(v, valid), "%q is not one of %s", v, strings.Join(valid, ", "))
	}
	return v
}

func (c *settingsReader) flag(key string) bool {
	b, err := strconv.ParseBool(c.text(key))
	if err != nil {
		c.fail(key, "", "%q is neither true nor false", c.text(key))
	}
	return b
}

func (c *settingsReader) settings() Settings {
	s := Settings{
		Join: c.text("join"), Name: c.text("name"), Cluster: c.text("cluster"), DataDir: c.text("data-dir"),
		ConfigDir: c.text("config-dir"), APISocket: c.text("api-socket"),
		APIWrite: c.oneOf("api-write", "services", "none"), Capture: c.oneOf("capture", "auto", "on", off),
		Domain: c.domain("domain"), AltDomain: c.domain("alt-domain"),
		LogLevel: c.oneOf("log-level", "debug", "info", "warn", "error"), LogFormat: c.oneOf("log-format", "text", "json"),
		Listen: c.mesh(), VIPs: c.vips(), Advertise: c.addresses("advertise", meshPort), Upstreams: c.addresses("upstream", dnsPort),
		AllowFrom: c.prefixes("allow-from"), ProxyPass: c.flag("proxy-pass"), Dev: c.flag("dev"),
	}
	s.APIAddr, s.DNSAddr, s.ProxyAddr = c.local("api-addr", s.AllowFrom), c.local("dns-addr", s.AllowFrom), c.local("proxy-addr", s.AllowFrom)
	if err := micronet.CheckName(s.Cluster); err != nil {
		c.fail("cluster", "", "%s", err)
	}
	if s.Name != "" {
		if err := micronet.CheckLabel(s.Name); err != nil {
			c.fail("name", "", "%s", err)
		}
	}
	s.Services = c.services()
	return s
}

func (c *settingsReader) domain(key string) string {
	d := strings.ToLower(strings.TrimSuffix(c.text(key), "."))
	if d == "" {
		return ""
	}
	for _, label := range strings.Split(d, ".") {
		if err := micronet.CheckLabel(label); err != nil {
			c.fail(key, "", "%q is no domain: %s", d, err)
			return ""
		}
	}
	return d
}

// mesh also takes a bare port, or an address without one.
func (c *settingsReader) mesh() netip.AddrPort {
	v := c.text("listen")
	if port, ok := strings.CutPrefix(v, ":"); ok {
		v = "[::]:" + port
	}
	ap, err := parseAddrPort(v, meshPort)
	if err != nil {
		c.fail("listen", "write it like [::]:8085 or 10.0.0.1:8085", "%q is no address", c.text("listen"))
	}
	return ap
}

// local reads the address of a listener for this host. Off loopback it must be said who may
// use it.
func (c *settingsReader) local(key string, allowed []netip.Prefix) netip.AddrPort {
	v := c.text(key)
	if v == off {
		return netip.AddrPort{}
	}
	v = strings.Replace(v, "localhost:", localAddress+":", 1)
	if strings.HasPrefix(v, ":") {
		v = localAddress + v
	}
	ap, err := netip.ParseAddrPort(v)
	if err != nil {
		c.fail(key, "write it like 127.0.0.1:8500, with port 0 for any free port, or off", "%q is no address:port", v)
		return netip.AddrPort{}
	}
	if !ap.Addr().IsLoopback() && len(allowed) == 0 {
		c.fail(key, "say who may use it with --allow-from CIDR, or use a loopback address", "%s can be reached from other hosts", ap)
	}
	return ap
}

const minVIPBits = 24 // fewer addresses than a /24 has would run out

func (c *settingsReader) vips() netip.Prefix {
	p, err := netip.ParsePrefix(c.text("vip-cidr"))
	if err != nil || !p.Addr().Is4() || !p.Addr().IsLoopback() || p.Bits() > minVIPBits || p.Bits() < 8 {
		c.fail("vip-cidr", "write it like 127.80.0.0/12", "%q is no part of 127.0.0.0/8 with at least 256 addresses", c.text("vip-cidr"))
		return netip.Prefix{}
	}
	return p.Masked()
}

func (c *settingsReader) addresses(key string, port uint16) []netip.AddrPort {
	var out []netip.AddrPort
	for _, v := range c.values[key].values {
		ap, err := parseAddrPort(strings.TrimSpace(v), port)
		if err != nil || ap.Port() == 0 || ap.Addr().IsUnspecified() || ap.Addr().IsMulticast() || ap.Addr().IsLinkLocalUnicast() {
			c.fail(key, fmt.Sprintf("write it like 203.0.113.7 or 203.0.113.7:%d", port), "%q is no address that others could use", v)
			continue
		}
		out = append(out, ap)
	}
	return out
}

func parseAddrPort(s string, port uint16) (netip.AddrPort, error) {
	if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return netip.AddrPortFrom(a, port), nil
	}
	return netip.ParseAddrPort(s)
}

func (c *settingsReader) prefixes(key string) []netip.Prefix {
	var out []netip.Prefix
	for _, v := range c.values[key].values {
		p, err := netip.ParsePrefix(strings.TrimSpace(v))
		if err != nil {
			c.fail(key, "write it like 10.0.0.0/8", "%q is no CIDR", v)
			continue
		}
		out = append(out, p.Masked())
	}
	return out
}

func (c *settingsReader) services() []Service {
	var out []Service
	for _, v := range c.values["service"].values {
		s, err := ParseServiceFlag(strings.TrimSpace(v))
		if err != nil {
			c.fail("service", "write it like web:8080/http", "%s", err)
			continue
		}
		if slices.ContainsFunc(out, func(o Service) bool { return o.ID == s.ID }) {
			c.fail("service", "give each its own name, or use a service file", "the service %q stands twice", s.ID)
			continue
		}
		out = append(out, s)
	}
	return out
}

// ParseServiceFlag reads NAME:PORT[/PROTO].
func ParseServiceFlag(text string) (Service, error) {
	name, rest, ok := strings.Cut(text, ":")
	port, protocol, _ := strings.Cut(rest, "/")
	n, err := strconv.Atoi(port)
	if !ok || err != nil {
		return Service{}, fmt.Errorf("%q is no NAME:PORT[/PROTO]", text)
	}
	return Complete(Service{Name: name, Port: n, Protocol: protocol})
}

// Complete fills the defaults of a service that was not read from a file, and checks it.
func Complete(s Service) (Service, error) {
	if s.Address == "" {
		s.Address = localAddress
	}
	if s.Protocol == "" {
		s.Protocol = string(micronet.TCP)
	}
	if s.Weight == 0 {
		s.Weight = micronet.DefaultWeight
	}
	if s.ID == "" {
		s.ID = s.Name
	}
	p := &serviceParser{}
	p.complete(&s, &value{file: "service " + strconv.Quote(s.Name)}, false)
	return s, errors.Join(p.errs...)
}
