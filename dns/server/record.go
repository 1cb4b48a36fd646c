package server

import (
	wire "github.com/miekg/dns"

	"github.com/micro/micro-net/dns"
)

// records turns the records of an answer into those of the wire library.
func records(rs []dns.Record) []wire.RR {
	if len(rs) == 0 {
		return nil
	}
	out := make([]wire.RR, 0, len(rs))
	for i := range rs {
		out = append(out, record(&rs[i]))
	}
	return out
}

func record(r *dns.Record) wire.RR {
	h := wire.RR_Header{Name: r.Name, Rrtype: uint16(r.Type), Class: wire.ClassINET, Ttl: r.TTL}
	switch r.Type {
	case dns.TypeA:
		return &wire.A{Hdr: h, A: r.Addr.AsSlice()}
	case dns.TypeAAAA:
		return &wire.AAAA{Hdr: h, AAAA: r.Addr.AsSlice()}
	case dns.TypeSRV:
		return &wire.SRV{Hdr: h, Priority: r.Priority, Weight: r.Weight, Port: r.Port, Target: r.Target}
	case dns.TypeTXT:
		return &wire.TXT{Hdr: h, Txt: escaped(r.Text)}
	case dns.TypeHINFO:
		t := escaped(r.Text)
		return &wire.HINFO{Hdr: h, Cpu: t[0], Os: t[1]}
	case dns.TypePTR:
		return &wire.PTR{Hdr: h, Ptr: r.Target}
	case dns.TypeNS:
		return &wire.NS{Hdr: h, Ns: r.Target}
	case dns.TypeSOA:
		return soa(h, r.SOA)
	default:
		panic("dns/server: no wire form for records of type " + r.Type.String())
	}
}

func soa(h wire.RR_Header, s *dns.SOA) wire.RR {
	return &wire.SOA{
		Hdr: h, Ns: s.Server, Mbox: s.Mailbox, Serial: s.Serial,
		Refresh: s.Refresh, Retry: s.Retry, Expire: s.Expire, Minttl: s.Minimum,
	}
}

// escaped writes strings as the wire library expects them: a backslash starts an escape there.
func escaped(texts []string) []string {
	out := make([]string, len(texts))
	for i, s := range texts {
		b := make([]byte, 0, len(s))
		for j := range len(s) {
			if s[j] == '\\' {
				b = append(b, '\\')
			}
			b = append(b, s[j])
		}
		out[i] = string(b)
	}
	return out
}
