package dns

import (
	"context"
	"net/netip"
)

// Special answers for names that mean this host or nobody, and that no resolver elsewhere may be
// asked for: localhost and invalid (RFC 6761), local (RFC 6762), onion (RFC 7686).
type Special struct{}

// Serve answers for the special names and those below them.
func (Special) Serve(_ context.Context, q Question) (Answer, bool) {
	labels, ok := split(q.Name)
	if !ok || len(labels) == 0 {
		return Answer{}, false
	}
	top := labels[len(labels)-1]
	switch top {
	case "localhost":
		return home(q), true
	case "invalid", "local", "onion":
		return Answer{Rcode: NameError, Authority: []Record{soa(top+".", localhost)}}, true
	}
	return Answer{}, false
}

func home(q Question) Answer {
	for _, a := range []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()} {
		if r := address(q.Name, a); r.Type == q.Type {
			return Answer{Answers: []Record{r}}
		}
	}
	return noData(q, soa(localhost, localhost), nil)
}
