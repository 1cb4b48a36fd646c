package dns

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"

	micronet "github.com/micro/micro-net"
)

// TTL is how long answers, and denials, may be kept: 5 seconds. The data are in local memory, so
// asking again costs nothing, and a change is seen soon.
const TTL = 5

// Config is what a Zone is made of.
type Config struct {
	Domains []string // at least one; the first is the one that reverse names of the Source lie in
	Source  Source
	Rand    *rand.Rand     // orders equals; used by the Zone alone. nil: they stay in order
	Server  netip.Addr     // address of this server, for the NS record's name; may be zero
	Reverse []netip.Prefix // addresses whose reverse names never leave the host, besides loopback
}

// Zone answers for the domains of the mesh and for the reverse names of its addresses.
type Zone struct {
	config  Config   // constant
	domains []domain // constant
	reverse []netip.Prefix

	mu sync.Mutex // guards config.Rand
}

// domain is one domain and the records at its top.
type domain struct {
	labels []string
	name   string // absolute, lower case
	soa    Record
	ns     Record
}

// NewZone checks the domains and builds a Zone.
func NewZone(c Config) (*Zone, error) {
	const op = "dns.zone"
	if len(c.Domains) == 0 {
		return nil, micronet.E(op, micronet.Invalid, "no domain is given")
	}
	z := &Zone{config: c, reverse: append([]netip.Prefix{
		netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"),
	}, c.Reverse...)}
	for _, name := range c.Domains {
		labels, ok := split(name)
		if !ok || len(labels) == 0 {
			return nil, micronet.E(op, micronet.Invalid, "%q is no domain", name).WithFix("use a name like micro.internal")
		}
		for _, l := range labels {
			if err := micronet.CheckLabel(l); err != nil {
				return nil, micronet.E(op, micronet.Invalid, "%q is no domain: %w", name, err)
			}
		}
		z.domains = append(z.domains, newDomain(labels))
	}
	return z, nil
}

func newDomain(labels []string) domain {
	d := domain{labels: labels, name: strings.Join(labels, ".") + "."}
	server := labelServer + "." + wordAddr + "." + d.name
	d.soa = soa(d.name, server)
	d.ns = Record{Name: d.name, Type: TypeNS, TTL: TTL, Target: server}
	return d
}

// soa makes a start of authority. There are no secondaries, so that only Minimum, the time a
// denial may be kept (RFC 2308 section 4), means anything.
func soa(name, server string) Record {
	return Record{Name: name, Type: TypeSOA, TTL: TTL, SOA: &SOA{
		Server: server, Mailbox: "hostmaster." + name, Serial: 1, Refresh: 3600, Retry: 600, Expire: 86400, Minimum: TTL,
	}}
}

// Serve answers a question about the domains or a reverse name of the mesh.
func (z *Zone) Serve(ctx context.Context, q Question) (Answer, bool) {
	labels, ok := split(q.Name)
	if !ok {
		return Answer{Rcode: FormatError}, true
	}
	for i := range z.domains {
		if below, ok := cutSuffix(labels, z.domains[i].labels); ok {
			l := lookup{zone: z, domain: &z.domains[i], q: q}
			return l.answer(ctx, parse(below)), true
		}
	}
	return z.serveReverse(q, labels)
}

// lookup is one question about a domain.
type lookup struct {
	zone   *Zone
	domain *domain
	q      Question
}

func (l *lookup) answer(ctx context.Context, s subject) Answer {
	switch s.kind {
	case kindApex:
		return l.apex()
	case kindEmpty:
		return l.noData(nil)
	case kindServer:
		return l.addresses([]netip.Addr{l.zone.config.Server})
	case kindNone:
		return l.nameError()
	}
	if !l.zone.config.Source.Synced() {
		return notReady()
	}
	switch s.kind {
	case kindService, kindSRV:
		return l.service(ctx, s)
	case kindNode:
		return l.node(s)
	case kindInstance:
		return l.instance(ctx, s.label)
	default:
		return l.cluster(s.cluster)
	}
}

func (l *lookup) apex() Answer {
	switch l.q.Type {
	case TypeSOA:
		return Answer{Answers: []Record{l.own(l.domain.soa)}}
	case TypeNS:
		return Answer{Answers: []Record{l.own(l.domain.ns)}, Additional: l.glue()}
	}
	return l.noData(nil)
}

// glue is the address of the name in the NS record.
func (l *lookup) glue() []Record {
	if !l.zone.config.Server.IsValid() {
		return nil
	}
	return []Record{address(l.domain.ns.Target, l.zone.config.Server)}
}

func (l *lookup) cluster(name string) Answer {
	if l.zone.config.Source.Cluster(name) {
		return l.noData(nil)
	}
	return l.nameError()
}

func (l *lookup) node(s subject) Answer {
	addrs, ok := l.zone.config.Source.Node(s.label, s.cluster)
	if !ok {
		return l.nameError()
	}
	return l.addresses(addrs)
}

// addresses answers A and AAAA with those that fit and can be dialled.
func (l *lookup) addresses(addrs []netip.Addr) Answer {
	var a Answer
	for _, addr := range addrs {
		if r := address(l.q.Name, addr); r.Type == l.q.Type && dialable(addr) {
			a.Answers = append(a.Answers, r)
		}
	}
	if len(a.Answers) == 0 {
		return l.noData(nil)
	}
	return a
}

// dialable leaves out what means another host to each asker, or none.
func dialable(a netip.Addr) bool {
	return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLinkLocalUnicast() && !micronet.IsIdentityAddr(a)
}

func address(name string, a netip.Addr) Record {
	a = a.Unmap()
	r := Record{Name: name, Type: TypeAAAA, TTL: TTL, Addr: a}
	if a.Is4() {
		r.Type = TypeA
	}
	return r
}

// own gives a record the name in the asker's case.
func (l *lookup) own(r Record) Record {
	r.Name = l.q.Name
	return r
}

// noData says that the name exists without such a record. A question for anything gets the
// small answer of RFC 8482 section 4.2 there.
func (l *lookup) noData(why *Reason) Answer {
	return noData(l.q, l.domain.soa, why)
}

func noData(q Question, authority Record, why *Reason) Answer {
	if q.Type == TypeANY {
		return Answer{Answers: []Record{{Name: q.Name, Type: TypeHINFO, TTL: TTL, Text: []string{"RFC8482", ""}}}, Reason: why}
	}
	return Answer{Authority: []Record{authority}, Reason: why}
}

func (l *lookup) nameError() Answer {
	return Answer{Rcode: NameError, Authority: []Record{l.domain.soa}}
}

func notReady() Answer {
	return Answer{Rcode: ServerFailure, Reason: &Reason{ReasonNotReady, "the catalog has not been synchronised yet"}}
}

// failure is the reason of an error of the Source.
func failure(err error) *Reason { return &Reason{ReasonOther, fmt.Sprint(err)} }
