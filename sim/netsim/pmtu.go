package netsim

import (
	"net/netip"
	"time"
)

const (
	// pmtuAge is how long a host believes a report that packets are too big, Linux's
	// net.ipv4.route.mtu_expires.
	pmtuAge = 10 * time.Minute

	// pmtuMax is how many such reports a host remembers. More replace the oldest.
	pmtuMax = 1024
)

// pmtu is the largest IP packet that, by report, reaches a destination.
type pmtu struct {
	size  int
	until time.Duration
}

// tooBigLocked sends the report that a datagram was too big for the path back to its sender
// (RFC 1191, RFC 8201), with the size that fits. It comes from the network, on the path of the
// datagram's receiver, and may be lost as any packet.
func (w *World) tooBigLocked(p *packet, size int) {
	sender, dst, x := p.from, p.dst.Addr(), p.head
	w.launchLocked(&packet{
		proto: ICMP, from: p.to.stack, src: x.dst, dst: x.src,
		head:   header{src: x.dst, dst: x.src, at: x.at, to: x.at.owners[x.src.Addr()]},
		arrive: func(q *packet) Why { return q.to.stack.learnMTULocked(sender, dst, size) },
	})
}

// learnMTULocked takes a report in; only the host's life that sent the datagram believes it.
func (s *stack) learnMTULocked(sender *stack, dst netip.Addr, size int) Why {
	if s.down {
		return WhyDown
	}
	if s != sender {
		return WhyNoSocket
	}
	if s.pmtu == nil {
		s.pmtu = map[netip.Addr]pmtu{}
	}
	if _, known := s.pmtu[dst]; !known && len(s.pmtu) >= pmtuMax {
		s.forgetMTULocked()
	}
	s.pmtu[dst] = pmtu{size, s.w.Now() + pmtuAge}
	return ""
}

// forgetMTULocked forgets the oldest report.
func (s *stack) forgetMTULocked() {
	var oldest netip.Addr
	for a, m := range s.pmtu {
		if o := s.pmtu[oldest]; !oldest.IsValid() || m.until < o.until || m.until == o.until && a.Less(oldest) {
			oldest = a
		}
	}
	delete(s.pmtu, oldest)
}

// fitsLocked reports whether, by all reports, an IP packet of that size reaches dst.
func (s *stack) fitsLocked(dst netip.Addr, size int) bool {
	m, known := s.pmtu[dst]
	return !known || size <= m.size || m.until <= s.w.Now()
}
