package config

import (
	"fmt"
	"slices"

	micronet "github.com/micro/micro-net"
)

// servicesKey is the key of the list of services in a file.
const servicesKey = "services"

// MaxServices bounds the services of one file: a node may have as many.
const MaxServices = 256

// ParseServices reads a service file: YAML or JSON with a list under `services:`, a list, or one
// service; or Consul's JSON form as it is. Defaults are filled in. An id that is missing is the
// name; when several services of the file have that name and no id, it is name-port. Services
// without a mistake are returned also when others have one. Each error is a *Fault.
func ParseServices(file string, data []byte) ([]Service, []error) {
	root, err := parseTree(file, data)
	if err != nil {
		return nil, []error{err}
	}
	p := newServiceParser(root)
	p.parse(p.list(root))
	return p.services, p.all()
}

type serviceParser struct {
	faults
	consulFile bool                // the file is in Consul's form
	apart      map[string][]*value // checks that stand beside the services, by service id
	services   []Service
	origins    []*value       // of services, for errors that show later
	unnamed    map[string]int // how often a name stands without an id, in services with mistakes too
}

func newServiceParser(root *value) *serviceParser {
	return &serviceParser{consulFile: isConsul(root), unnamed: map[string]int{}}
}

// list finds the services in a file.
func (p *serviceParser) list(root *value) []*value {
	switch {
	case root.kind == null:
		return nil
	case root.kind == sequence:
		return root.items
	case root.kind != mapping:
		p.fail(root.wrong("services: a list under the key services"))
		return nil
	case p.consulFile:
		return p.consulList(root)
	}
	many := root.get(servicesKey)
	if many == nil && isService(root) {
		return []*value{root}
	}
	for _, pr := range root.pairs {
		switch {
		case many == nil:
			p.fail(pr.fault(suggest(pr.name, append(serviceKeys(), servicesKey)), "unknown key"))
		case pr.name != servicesKey:
			p.fail(pr.fault("remove it, or put it into a service", "unknown key beside services"))
		}
	}
	if many == nil {
		return nil
	}
	return p.items(many)
}

// isService reports whether a mapping has any key of a service.
func isService(v *value) bool {
	return slices.ContainsFunc(serviceKeys(), func(key string) bool { return v.get(key) != nil })
}

func serviceKeys() []string { return keys((&entry{}).serviceFields(&Service{})) }

// items takes the list under `services:`.
func (p *serviceParser) items(many *value) []*value {
	if many.kind != sequence && many.kind != null {
		p.fail(many.wrong("a list of services"))
	}
	return many.items
}

func (p *serviceParser) parse(list []*value) {
	if len(list) > MaxServices {
		p.fail(list[MaxServices].fault("spread them over several nodes", "more than %d services, which is all that a node may offer", MaxServices))
		list = list[:MaxServices]
	}
	for _, v := range list {
		if s, ok := p.service(v); ok {
			p.services, p.origins = append(p.services, s), append(p.origins, v)
		}
	}
	p.nameIDs()
}

// nameIDs fills missing ids and refuses those that stand twice.
func (p *serviceParser) nameIDs() {
	lines := map[string]int{}
	kept := p.services[:0]
	for i := range p.services {
		s := p.services[i]
		if s.ID == "" {
			s.ID = s.Name
			if p.unnamed[s.Name] > 1 {
				s.ID = fmt.Sprintf("%s-%d", s.Name, s.Port)
			}
		}
		if line, twice := lines[s.ID]; twice {
			p.fail(p.origins[i].fault("give each its own id", "the id %q is taken by the service of line %d", shorten(s.ID), line))
			continue
		}
		lines[s.ID] = p.origins[i].line
		kept = append(kept, s)
	}
	p.services = kept
}

// service reads one entry. ok is false when it has a mistake.
func (p *serviceParser) service(v *value) (s Service, ok bool) {
	if v.kind != mapping {
		p.fail(v.wrong("a service"))
		return Service{}, false
	}
	s = Service{Weight: micronet.DefaultWeight}
	e := &entry{p: p, v: v}
	if p.consulFile {
		e.fillConsul(&s)
	} else {
		e.fill(e.serviceFields(&s))
	}
	if s.ID == "" && s.Name != "" {
		p.unnamed[s.Name]++
	}
	s.setDefaults()
	for _, m := range s.mistakes(p.consulFile) {
		e.mistake(m)
	}
	return s, !e.failed
}

// setter stores one value of a file.
type setter func(*value) error

// into makes a setter of what a getter of value returns.
func into[T any](target *T, get func(*value) (T, error)) setter {
	return func(v *value) error {
		got, err := get(v)
		if err == nil {
			*target = got
		}
		return err
	}
}

func within(low, high int) func(*value) (int, error) {
	return func(v *value) (int, error) { return v.between(low, high) }
}

func (e *entry) serviceFields(s *Service) map[string]setter {
	port, weight := within(1, maxPort), within(1, maxWeight)
	return map[string]setter{
		"name":           into(&s.Name, (*value).text),
		"id":             into(&s.ID, (*value).text),
		"port":           into(&s.Port, port),
		"service_port":   into(&s.ServicePort, port),
		"address":        into(&s.Address, (*value).text),
		"protocol":       into(&s.Protocol, (*value).text),
		"tags":           into(&s.Tags, (*value).texts),
		"weight":         into(&s.Weight, weight),
		"proxy_protocol": into(&s.ProxyProtocol, (*value).text),
		"meta":           into(&s.Meta, (*value).textMap),
		"pid":            into(&s.PID, within(1, maxPID)),
		"cgroup":         into(&s.Cgroup, (*value).text),
		"checks":         func(v *value) error { return e.checks(v, &s.Checks) },
	}
}
