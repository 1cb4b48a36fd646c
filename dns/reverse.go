package dns

import (
	"net/netip"
	"strconv"
	"strings"
)

var (
	arpa4 = []string{"in-addr", "arpa"}
	arpa6 = []string{"ip6", "arpa"}
)

const localhost = "localhost."

// serveReverse answers for the addresses of the mesh and of loopback, and owns the names between
// them and their prefix.
func (z *Zone) serveReverse(q Question, labels []string) (Answer, bool) {
	p, ok := parseReverse(labels)
	if !ok {
		return Answer{}, false
	}
	whole := p.Bits() == p.Addr().BitLen()
	if name, ok := z.reverseName(p.Addr()); ok && whole {
		return pointer(q, name), true
	}
	own, ok := z.owner(p)
	switch {
	case !ok:
		return Answer{}, false
	case !whole:
		return noData(q, own, nil), true
	case !z.config.Source.Synced():
		return notReady(), true
	}
	return Answer{Rcode: NameError, Authority: []Record{own}}, true
}

func (z *Zone) reverseName(a netip.Addr) (string, bool) {
	if name, ok := z.config.Source.Reverse(a); ok {
		return strings.TrimSuffix(name, ".") + ".", true
	}
	if a == netip.AddrFrom4([4]byte{127, 0, 0, 1}) || a == netip.IPv6Loopback() {
		return localhost, true
	}
	return "", false
}

func pointer(q Question, name string) Answer {
	if q.Type != TypePTR {
		return noData(q, soa(lower(q.Name), localhost), nil)
	}
	return Answer{Answers: []Record{{Name: q.Name, Type: TypePTR, TTL: TTL, Target: name}}}
}

// owner returns the authority over p when one of the zone's own prefixes holds it.
func (z *Zone) owner(p netip.Prefix) (Record, bool) {
	for _, own := range z.reverse {
		if own.Bits() <= p.Bits() && own.Contains(p.Addr()) {
			return soa(arpaName(own, p.Addr()), z.domains[0].ns.Target), true
		}
	}
	return Record{}, false
}

// parseReverse reads a name below in-addr.arpa or ip6.arpa (RFC 1035 section 3.5, RFC 3596
// section 2.5) as the prefix it stands for. The tops themselves stand for nothing of ours.
func parseReverse(labels []string) (netip.Prefix, bool) {
	if rest, ok := cutSuffix(labels, arpa4); ok && len(rest) > 0 && len(rest) <= 4 {
		var a [4]byte
		for i := range rest {
			l := rest[len(rest)-1-i]
			n, err := strconv.ParseUint(l, 10, 8)
			if err != nil || strconv.FormatUint(n, 10) != l {
				return netip.Prefix{}, false
			}
			a[i] = byte(n)
		}
		return netip.PrefixFrom(netip.AddrFrom4(a), 8*len(rest)), true
	}
	if rest, ok := cutSuffix(labels, arpa6); ok && len(rest) > 0 && len(rest) <= 32 {
		var a [16]byte
		for i := range rest {
			l := rest[len(rest)-1-i]
			n, err := strconv.ParseUint(l, 16, 4)
			if err != nil || len(l) != 1 {
				return netip.Prefix{}, false
			}
			a[i/2] |= byte(n) << (4 - 4*(i%2))
		}
		return netip.PrefixFrom(netip.AddrFrom16(a), 4*len(rest)), true
	}
	return netip.Prefix{}, false
}

// arpaName is the reverse name of the part of prefix that addr lies in and that a name can
// express: whole bytes for IPv4, half bytes for IPv6.
func arpaName(prefix netip.Prefix, addr netip.Addr) string {
	var b strings.Builder
	if addr.Is4() {
		a := addr.As4()
		for i := (prefix.Bits() + 7) / 8; i > 0; i-- {
			b.WriteString(strconv.Itoa(int(a[i-1])) + ".")
		}
		return b.String() + "in-addr.arpa."
	}
	a := addr.As16()
	for i := (prefix.Bits() + 3) / 4; i > 0; i-- {
		nibble := a[(i-1)/2] >> (4 - 4*((i-1)%2)) & 15
		b.WriteString(strconv.FormatUint(uint64(nibble), 16) + ".")
	}
	return b.String() + "ip6.arpa."
}
