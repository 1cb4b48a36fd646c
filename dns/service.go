package dns

import (
	"context"
	"maps"
	"math"
	"net/netip"
	"slices"

	micronet "github.com/micro/micro-net"
)

const (
	// maxEndpoints and maxText keep an answer within the 64 KiB of a message over TCP. Beyond
	// them the farthest are left out.
	maxEndpoints = 256
	maxText      = 16 << 10

	maxString = 255 // bytes of one string in a TXT record (RFC 1035 section 3.3)
)

func (l *lookup) service(ctx context.Context, s subject) Answer {
	src := l.zone.config.Source
	if !src.Known(s.dest) {
		if s.bare {
			return l.cluster(s.dest.Service)
		}
		return l.nameError()
	}
	switch {
	case l.q.Type == TypeSRV:
		return l.srv(ctx, s.dest, l.target(s), func() []Endpoint { return l.pick(s.dest, s.transport) })
	case s.kind == kindSRV:
		return l.noData(nil)
	case l.q.Type == TypeA:
		return l.vip(ctx, s.dest)
	case l.q.Type == TypeTXT:
		return l.text(l.pick(s.dest, ""))
	}
	return l.noData(nil)
}

// vip answers with the address behind which the proxy listens, also when no instance is healthy:
// the proxy refuses faster than a client forgets an answer.
func (l *lookup) vip(ctx context.Context, d micronet.Destination) Answer {
	addr, err := l.zone.config.Source.VIP(ctx, d)
	if err != nil {
		return l.noData(failure(err))
	}
	return l.addresses([]netip.Addr{addr})
}

// pick returns the endpoints in the order of the answer: by tier, equals shuffled. transport ""
// takes all.
func (l *lookup) pick(d micronet.Destination, transport string) []Endpoint {
	es := slices.Clone(l.zone.config.Source.Endpoints(d))
	es = slices.DeleteFunc(es, func(e Endpoint) bool {
		udp := e.Instance.Protocol == micronet.UDP
		return !e.Instance.Health.Serving() || (transport != "" && udp != (transport == labelUDP))
	})
	l.zone.shuffle(es)
	slices.SortStableFunc(es, func(a, b Endpoint) int { return a.Tier - b.Tier })
	return es[:min(len(es), maxEndpoints)]
}

func (z *Zone) shuffle(es []Endpoint) {
	if z.config.Rand == nil {
		return
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	z.config.Rand.Shuffle(len(es), func(i, j int) { es[i], es[j] = es[j], es[i] })
}

// srv has one record per endpoint. All lead to the VIP of what was asked for, so that a tag or
// cluster in the question still counts when the connection is made; equal records may be merged
// by whoever passes them on (RFC 2181 section 5) without changing where anything goes.
//
// The endpoints are picked again after VIP: only then the Source knows on which ports the VIP can
// answer, and a record with another port would lead to a stranger.
func (l *lookup) srv(ctx context.Context, d micronet.Destination, target string, pick func() []Endpoint) Answer {
	if len(pick()) == 0 {
		return l.noData(nil)
	}
	addr, err := l.zone.config.Source.VIP(ctx, d)
	if err != nil {
		return l.noData(failure(err))
	}
	es := pick()
	if len(es) == 0 {
		return l.noData(nil)
	}
	a := Answer{Answers: make([]Record, 0, len(es))}
	if dialable(addr) {
		a.Additional = []Record{address(target, addr)}
	}
	for _, e := range es {
		a.Answers = append(a.Answers, Record{
			Name: l.q.Name, Type: TypeSRV, TTL: TTL, Target: target,
			Priority: clamp(e.Tier), Weight: clamp(weightOf(e.Instance)), Port: e.Instance.ServicePort,
		})
	}
	return a
}

// target is the name whose address is the VIP: the one asked for, unless that is an SRV name.
func (l *lookup) target(s subject) string {
	if s.kind == kindService {
		return l.q.Name
	}
	return s.dest.String() + "." + l.domain.name
}

func clamp(n int) uint16 { return uint16(min(max(n, 0), math.MaxUint16)) }

func weightOf(i *micronet.Instance) int {
	if i.Weight == 0 {
		return micronet.DefaultWeight
	}
	return i.Weight
}

// text has one record per endpoint with metadata, equal ones once.
func (l *lookup) text(es []Endpoint) Answer {
	var a Answer
	size := 0
	for _, e := range es {
		r, n := l.meta(e.Instance)
		same := func(o Record) bool { return slices.Equal(o.Text, r.Text) }
		if n == 0 || slices.ContainsFunc(a.Answers, same) {
			continue
		}
		if size += n; size > maxText {
			break
		}
		a.Answers = append(a.Answers, r)
	}
	if len(a.Answers) == 0 {
		return l.noData(nil)
	}
	return a
}

// meta is the metadata as "key=value" strings, and how many bytes they are. What is longer than
// a string of a record can be is left out.
func (l *lookup) meta(i *micronet.Instance) (Record, int) {
	r := Record{Name: l.q.Name, Type: TypeTXT, TTL: TTL}
	size := 0
	for _, k := range slices.Sorted(maps.Keys(i.Meta)) {
		if s := k + "=" + i.Meta[k]; len(s) <= maxString && size+len(s) < maxText {
			r.Text = append(r.Text, s)
			size += len(s) + 1
		}
	}
	return r, size
}

// instance answers for one instance. Its address is the VIP of its service: the mesh has no way
// to a single instance that a program could dial, and its own address would leave the mesh.
func (l *lookup) instance(ctx context.Context, id string) Answer {
	i, ok := l.zone.config.Source.Instance(id)
	if !ok {
		return l.nameError()
	}
	d := micronet.Destination{Service: i.Service}
	switch l.q.Type {
	case TypeTXT:
		return l.text([]Endpoint{{Instance: &i}})
	case TypeA, TypeSRV:
		if err := micronet.CheckName(i.Service); err != nil {
			return l.noData(failure(err))
		}
	}
	switch {
	case l.q.Type == TypeA:
		return l.vip(ctx, d)
	case l.q.Type == TypeSRV && i.Health.Serving():
		return l.srv(ctx, d, d.String()+"."+l.domain.name, func() []Endpoint { return l.only(d, &i) })
	}
	return l.noData(nil)
}

// only is one instance as an endpoint, if it may get traffic.
func (l *lookup) only(d micronet.Destination, i *micronet.Instance) []Endpoint {
	for _, e := range l.zone.config.Source.Endpoints(d) {
		if e.Instance.ID == i.ID && e.Instance.ServicePort == i.ServicePort {
			return []Endpoint{{Instance: i}}
		}
	}
	return nil
}
