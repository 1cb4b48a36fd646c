package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	micronet "github.com/micro/micro-net"
)

const (
	maxTags      = 64
	maxMeta      = 64
	maxMetaText  = 512
	maxName      = 255
	maxServices  = 4096
	maxChecks    = 16
	maxWeight    = 65535
	minInterval  = 100 * time.Millisecond
	localAddress = "127.0.0.1"
)

// ParseServices reads a service file: YAML or JSON with a list under `services:`, a list, or one
// service; or Consul's JSON form as it is. Defaults are filled in. An id that is missing is the
// name; when the name stands more than once without ids, it is name-port. Services without a
// mistake are returned also when others have one.
func ParseServices(file string, data []byte) ([]Service, []error) {
	t, err := parseTree(file, data)
	if err != nil {
		return nil, []error{err}
	}
	p := &serviceParser{}
	list := p.list(t.root)
	p.finish(list)
	return p.services, p.errs
}

type serviceParser struct {
	services []Service
	origins  []*value // of services, for errors that show later
	errs     []error
}

func (p *serviceParser) fail(err error) { p.errs = append(p.errs, err) }

// list finds the services in a file, and says of each whether it is in Consul's form.
func (p *serviceParser) list(root *value) []*value {
	switch root.kind {
	case null:
		return nil
	case sequence:
		return root.items
	case mapping:
		if one := root.get("service"); one != nil {
			one.consul = true
			return []*value{one}
		}
		many := root.get("services")
		if many == nil {
			return []*value{root}
		}
		for _, pr := range root.pairs {
			if pr.name != "services" {
				p.fail(&Fault{File: root.file, Line: pr.line, Key: pr.name, What: "unknown key beside services", Fix: "remove it"})
			}
		}
		if many.kind != sequence && many.kind != null {
			p.fail(many.wrong("a list of services"))
		}
		return many.items
	}
	p.fail(root.wrong("services"))
	return nil
}

func (p *serviceParser) finish(list []*value) {
	if len(list) > maxServices {
		p.fail(list[maxServices].fault("spread them over several nodes", "more than %d services", maxServices))
		list = list[:maxServices]
	}
	for _, v := range list {
		before := len(p.errs)
		s := p.service(v)
		if len(p.errs) == before {
			p.services, p.origins = append(p.services, s), append(p.origins, v)
		}
	}
	p.nameIDs()
}

// nameIDs fills missing ids and refuses those that stand twice.
func (p *serviceParser) nameIDs() {
	names := map[string]int{}
	for i := range p.services {
		if p.services[i].ID == "" {
			names[p.services[i].Name]++
		}
	}
	seen := map[string]bool{}
	kept := p.services[:0]
	for i := range p.services {
		s := p.services[i]
		if s.ID == "" {
			s.ID = s.Name
			if names[s.Name] > 1 {
				s.ID = fmt.Sprintf("%s-%d", s.Name, s.Port)
			}
		}
		if seen[s.ID] {
			p.fail(p.origins[i].fault("give each its own id", "the id %q stands twice in this file", s.ID))
			continue
		}
		seen[s.ID] = true
		kept = append(kept, s)
	}
	p.services = kept
}

func (p *serviceParser) service(v *value) Service {
	if v.kind != mapping {
		p.fail(v.wrong("a service"))
		return Service{}
	}
	if v.consul || isConsul(v) {
		return p.consul(v)
	}
	s := Service{Address: localAddress, Protocol: string(micronet.TCP), Weight: micronet.DefaultWeight}
	fields := map[string]func(*value) error{
		"name":           func(v *value) error { return into(&s.Name, v.text) },
		"id":             func(v *value) error { return into(&s.ID, v.text) },
		"port":           func(v *value) error { return into(&s.Port, v.number) },
		"service_port":   func(v *value) error { return into(&s.ServicePort, v.number) },
		"address":        func(v *value) error { return into(&s.Address, v.text) },
		"protocol":       func(v *value) error { return into(&s.Protocol, v.text) },
		"tags":           func(v *value) error { return into(&s.Tags, v.texts) },
		"weight":         func(v *value) error { return into(&s.Weight, v.number) },
		"proxy_protocol": func(v *value) error { return into(&s.ProxyProtocol, v.text) },
		"meta":           func(v *value) error { return into(&s.Meta, v.textMap) },
		"checks":         func(v *value) error { return p.checks(v, &s.Checks) },
	}
	p.fill(v, fields)
	p.complete(&s, v, false)
	return s
}

// into stores what a getter returns, unless it fails.
func into[T any](target *T, get func() (T, error)) error {
	got, err := get()
	if err == nil {
		*target = got
	}
	return err
}

// fill calls the setter of each key. An unknown key is an error with the nearest valid one.
func (p *serviceParser) fill(v *value, fields map[string]func(*value) error) {
	valid := make([]string, 0, len(fields))
	for name := range fields {
		valid = append(valid, name)
	}
	slices.Sort(valid)
	for _, pr := range v.pairs {
		set, ok := fields[pr.name]
		if !ok {
			p.fail(&Fault{File: v.file, Line: pr.line, Key: pr.value.key, What: "unknown key", Fix: suggest(pr.name, valid)})
			continue
		}
		if pr.value.kind == null {
			p.fail(&Fault{File: v.file, Line: pr.line, Key: pr.value.key, What: "has no value", Fix: "give one or remove the key"})
			continue
		}
		if err := set(pr.value); err != nil {
			p.fail(err)
		}
	}
}

// complete fills defaults and checks what is only wrong as a whole. foreign names are kept as
// they are: they come from Consul's form.
func (p *serviceParser) complete(s *Service, v *value, foreign bool) {
	if s.ServicePort == 0 {
		s.ServicePort = s.Port
	}
	at := func(key string) *value {
		if f := v.get(key); f != nil {
			return f
		}
		return v
	}
	problem := func(key, fix, format string, args ...any) { p.fail(at(key).fault(fix, format, args...)) }
	if err := checkServiceName(s.Name, foreign); err != nil {
		problem("name", "", "%s", err)
	}
	if len(s.ID) > maxName || !printable(s.ID) {
		problem("id", "", "an id has 1 to %d printable characters", maxName)
	}
	for key, port := range map[string]int{"port": s.Port, "service_port": s.ServicePort} {
		if port < 1 || port > 65535 {
			problem(key, "", "%d is no port: want 1 to 65535", port)
			break
		}
	}
	if err := CheckAddress(s.Address); err != nil {
		problem("address", "", "%s", err)
	}
	if !micronet.Protocol(s.Protocol).Valid() {
		problem("protocol", suggest(s.Protocol, []string{"tcp", "udp", "http", "http2", "grpc"}), "%q is no protocol", s.Protocol)
	}
	if s.Weight < 1 || s.Weight > maxWeight {
		problem("weight", "", "%d is no weight: want 1 to %d", s.Weight, maxWeight)
	}
	if s.ProxyProtocol != "" {
		problem("proxy_protocol", "remove the key", "this version does not send the PROXY protocol yet")
	}
	p.completeLists(s, problem)
	defaultCheck(s)
}

func (p *serviceParser) completeLists(s *Service, problem func(key, fix, format string, args ...any)) {
	if len(s.Tags) > maxTags {
		problem("tags", "", "%d tags, at most %d are kept", len(s.Tags), maxTags)
	}
	for _, t := range s.Tags {
		if t == "" || len(t) > maxName || !printable(t) {
			problem("tags", "", "%q is no tag: want 1 to %d printable characters", t, maxName)
		}
	}
	if len(s.Meta) > maxMeta {
		problem("meta", "", "%d pairs, at most %d are kept", len(s.Meta), maxMeta)
	}
	for k, m := range s.Meta {
		if k == "" || len(k) > maxMetaText || len(m) > maxMetaText {
			problem("meta", "", "key and value of %.20q have at most %d characters", k, maxMetaText)
		}
	}
}

func checkServiceName(name string, foreign bool) error {
	if !foreign {
		return micronet.CheckName(name)
	}
	if name == "" || len(name) > maxName || !printable(name) {
		return fmt.Errorf("%q is no name: want 1 to %d printable characters", name, maxName)
	}
	return nil
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\uFFFD' })
}

// CheckAddress reports why an instance cannot listen there: link-local addresses (metadata
// services of clouds among them), multicast and unspecified ones are never accepted.
func CheckAddress(s string) error {
	a, err := netip.ParseAddr(s)
	switch {
	case err != nil:
		return fmt.Errorf("%q is no IP address", s)
	case a.Unmap().IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified() || a.Zone() != "":
		return fmt.Errorf("%s cannot be the address of an instance", s)
	case micronet.IsIdentityAddr(a):
		return fmt.Errorf("%s is an address that micro-net uses inside", s)
	}
	return nil
}

// defaultCheck is a TCP connect every five seconds for everything that listens on TCP.
func defaultCheck(s *Service) {
	if s.Checks.None || len(s.Checks.List) > 0 {
		return
	}
	if s.Protocol == string(micronet.UDP) {
		s.Checks.None = true
		return
	}
	target := s.Address
	if strings.Contains(target, ":") {
		target = "[" + target + "]"
	}
	s.Checks.List = []Check{{
		TCP: fmt.Sprintf("%s:%d", target, s.Port), Interval: DefaultInterval, Timeout: DefaultTimeout,
		FailuresBeforeCritical: DefaultFailures, SuccessesBeforePassing: DefaultSuccesses,
	}}
}

// textMap reads a mapping of text to text.
func (v *value) textMap() (map[string]string, error) {
	if v.kind != mapping {
		return nil, v.wrong("a mapping of text to text")
	}
	out := make(map[string]string, len(v.pairs))
	for _, p := range v.pairs {
		s, err := p.value.text()
		if err != nil {
			return nil, err
		}
		out[p.name] = s
	}
	return out, nil
}
