package node

import (
	"context"
	"strconv"
	"strings"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/dns"
	"github.com/micro/micro-net/node/api"
)

// absolute completes what people type: "web" and "web.service" lie in our domain.
func (b backend) absolute(name string) string {
	name = strings.TrimSuffix(name, ".")
	for _, d := range b.l.config.Daemon.Domains {
		if name == d || strings.HasSuffix(name, "."+d) {
			return name + "."
		}
	}
	if strings.HasSuffix(name, ".in-addr.arpa") || strings.HasSuffix(name, ".ip6.arpa") {
		return name + "."
	}
	return name + "." + b.l.config.Daemon.Domains[0] + "."
}

func (b backend) resolve(ctx context.Context, name string, t dns.Type) (api.Resolution, error) {
	a, mine := b.l.front.zone.Serve(ctx, dns.Question{Name: name, Type: t})
	if !mine {
		return api.Resolution{}, micronet.E("resolve", micronet.Refused, "%q is no name of the mesh", name).
			WithFix("ask the host's resolver")
	}
	if a.Rcode == dns.NameError {
		return api.Resolution{}, micronet.E("resolve", micronet.NotFound, "%s does not exist (NXDOMAIN)", name).WithFix("see `micro-net services`")
	}
	r := api.Resolution{Name: name, Type: t.String(), Rcode: a.Rcode.String(), Answers: []api.ResolvedRecord{}, AgeMs: b.age(name)}
	if a.Reason != nil {
		r.Reason = a.Reason.Text
	}
	for i := range a.Answers {
		r.Answers = append(r.Answers, api.ResolvedRecord{
			Name: a.Answers[i].Name, Type: a.Answers[i].Type.String(), TTL: int(a.Answers[i].TTL), Data: rdata(&a.Answers[i]),
		})
	}
	return r, nil
}

// age is that of the oldest record behind an answer about a service.
func (b backend) age(name string) int64 {
	d, ok := b.l.meshName(strings.ToLower(strings.TrimSuffix(name, ".")))
	if !ok {
		return 0
	}
	oldest := time.Duration(0)
	for _, p := range b.l.view.Load().of(d) {
		oldest = max(oldest, p.age)
	}
	return oldest.Milliseconds()
}

// rdata is a record's data in presentation form.
func rdata(r *dns.Record) string {
	switch r.Type {
	case dns.TypeA, dns.TypeAAAA:
		return r.Addr.String()
	case dns.TypeSRV:
		return strings.Join([]string{portText(r.Priority), portText(r.Weight), portText(r.Port), r.Target}, " ")
	case dns.TypeTXT, dns.TypeHINFO:
		quoted := make([]string, len(r.Text))
		for i, t := range r.Text {
			quoted[i] = strconv.Quote(t)
		}
		return strings.Join(quoted, " ")
	case dns.TypeSOA:
		s := r.SOA
		return strings.Join([]string{
			s.Server, s.Mailbox, count(s.Serial), count(s.Refresh), count(s.Retry), count(s.Expire), count(s.Minimum),
		}, " ")
	}
	return r.Target
}

func portText(n uint16) string { return strconv.FormatUint(uint64(n), 10) }
func count(n uint32) string    { return strconv.FormatUint(uint64(n), 10) }
