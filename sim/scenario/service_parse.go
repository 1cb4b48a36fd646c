package scenario

import (
	"fmt"
	"slices"
	"time"

	micronet "github.com/micro/micro-net"
)

// firstPort is the port of the first service that names none; micro-net's own are below.
const firstPort = 9000

// ports gives one to each service that names none, and refuses those that stand twice.
func (r *reader) ports() {
	taken := map[uint16]string{}
	for i := range r.s.Services {
		s := &r.s.Services[i]
		if other := taken[s.Port]; s.Port != 0 && other != "" {
			r.fail(&Mistake{File: r.s.File, Line: s.Line, What: fmt.Sprintf("%s and %s have the same port %d", other, s.Name, s.Port), Fix: "leave port out"})
		}
		taken[s.Port] = s.Name
	}
	next := uint16(firstPort)
	for i := range r.s.Services {
		for s := &r.s.Services[i]; s.Port == 0; next++ {
			if taken[next] == "" {
				s.Port = next
			}
		}
	}
}

// service reads one service.
func (r *reader) service(v *value) {
	s := Service{Line: v.line, Protocol: micronet.HTTP}
	if !r.object(v, r.serviceFields(&s), "name") {
		return
	}
	switch {
	case r.hasService(s.Name):
		r.fail(v.mistake("give it another name", "the service %s stands here twice", s.Name))
	case v.get("instances") != nil && v.get("on") != nil:
		r.fail(v.mistake("remove one of them", "instances and on cannot both stand here"))
	case s.Check.Kind == CheckHTTP && s.Protocol != micronet.HTTP:
		r.fail(v.mistake("use check: tcp", "a %s service cannot be checked by HTTP", s.Protocol))
	default:
		if v.get("instances") == nil && v.get("on") == nil {
			s.Instances = 1
		}
		r.s.Services = append(r.s.Services, s)
	}
}

func (r *reader) serviceFields(s *Service) fields {
	return fields{
		"name":      into(r, &s.Name, (*value).label),
		"instances": into(r, &s.Instances, within(0, maxNodes)),
		"on":        r.nodes(&s.On),
		"protocol":  into(r, &s.Protocol, oneOf(micronet.HTTP, micronet.TCP)),
		"port": func(v *value) {
			if n, m := within(1, 65535)(v); m == nil {
				s.Port = uint16(n)
			} else {
				r.fail(m)
			}
		},
		"check": func(v *value) { r.check(v, &s.Check) },
	}
}

// check reads "none", or a mapping for more.
func (r *reader) check(v *value, c *Check) {
	kinds := oneOf(CheckNone, CheckTCP, CheckHTTP)
	if v.kind != mapping {
		into(r, &c.Kind, kinds)(v)
		return
	}
	r.object(v, r.checkFields(c))
	if c.Path != "" && c.Kind != CheckHTTP {
		r.fail(v.mistake("add kind: http", "only an HTTP check has a path"))
	}
}

func (r *reader) checkFields(c *Check) fields {
	return fields{
		"kind":                     into(r, &c.Kind, oneOf(CheckNone, CheckTCP, CheckHTTP)),
		"path":                     into(r, &c.Path, (*value).lineText),
		"interval":                 into(r, &c.Interval, (*value).positive),
		"timeout":                  into(r, &c.Timeout, (*value).positive),
		"failures_before_critical": into(r, &c.Failures, within(1, 1000)),
		"successes_before_passing": into(r, &c.Successes, within(1, 1000)),
	}
}

func (r *reader) hasService(name string) bool {
	return slices.ContainsFunc(r.s.Services, func(s Service) bool { return s.Name == name })
}

// known makes a setter of the name of a service that there must be.
func (r *reader) known(to *string) setter {
	return func(v *value) {
		into(r, to, (*value).lineText)(v)
		if *to == "" || r.servicesBroken || r.hasService(*to) {
			return
		}
		var names []string
		for i := range r.s.Services {
			names = append(names, r.s.Services[i].Name)
		}
		r.fail(v.mistake(suggest(*to, names), "there is no service %q", shorten(*to)))
	}
}

// traffic reads one entry of traffic.
func (r *reader) traffic(v *value) {
	t := Traffic{Line: v.line, Kind: Requests, Size: defaultSize, Stop: r.end(), Patience: defaultPatience}
	if !r.object(v, r.trafficFields(&t), "from", "to", "rate") {
		return
	}
	if t.Start >= t.Stop {
		r.fail(v.mistake("", "it would start at %s, and stop at %s", t.Start, t.Stop))
		return
	}
	r.s.Traffic = append(r.s.Traffic, t)
}

const (
	// defaultSize is the bytes of an answer when the file does not say.
	defaultSize = 1000
	// defaultPatience bounds a request, and how long a stream may stand still, when the file does not say.
	defaultPatience = 5 * time.Second
)

func (r *reader) trafficFields(t *Traffic) fields {
	return fields{
		"from":  r.nodes(&t.From),
		"to":    r.known(&t.To),
		"rate":  into(r, &t.Rate, (*value).rate),
		"kind":  into(r, &t.Kind, oneOf(Requests, Streams)),
		"size":  into(r, &t.Size, (*value).size),
		"start": into(r, &t.Start, (*value).duration),
		"stop":  into(r, &t.Stop, r.moment),

		"patience": into(r, &t.Patience, (*value).positive),
	}
}
