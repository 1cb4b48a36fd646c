package server

import (
	"net"
	"net/netip"
	"slices"

	wire "github.com/miekg/dns"
)

// disown takes out of a foreign answer what would lead to addresses of ours.
func (s *Server) disown(e *exchange) {
	before := len(e.reply.Answer) + len(e.reply.Extra)
	e.reply.Answer = slices.DeleteFunc(e.reply.Answer, s.leadsToOwn)
	e.reply.Extra = slices.DeleteFunc(e.reply.Extra, s.leadsToOwn)
	if len(e.reply.Answer)+len(e.reply.Extra) < before {
		s.drop("rebinding")
	}
}

// leadsToOwn reports whether a record has an address of ours, also as a hint (RFC 9460 section 7.3).
func (s *Server) leadsToOwn(r wire.RR) bool {
	switch r := r.(type) {
	case *wire.A:
		return s.isOwn(r.A)
	case *wire.AAAA:
		return s.isOwn(r.AAAA)
	case *wire.HTTPS:
		return s.hintsAtOwn(r.Value)
	case *wire.SVCB:
		return s.hintsAtOwn(r.Value)
	}
	return false
}

func (s *Server) hintsAtOwn(values []wire.SVCBKeyValue) bool {
	return slices.ContainsFunc(values, func(v wire.SVCBKeyValue) bool {
		switch v := v.(type) {
		case *wire.SVCBIPv4Hint:
			return slices.ContainsFunc(v.Hint, s.isOwn)
		case *wire.SVCBIPv6Hint:
			return slices.ContainsFunc(v.Hint, s.isOwn)
		}
		return false
	})
}

func (s *Server) isOwn(ip net.IP) bool {
	a, ok := netip.AddrFromSlice(ip)
	return ok && slices.ContainsFunc(s.config.Own, func(p netip.Prefix) bool { return p.Contains(a.Unmap()) })
}
