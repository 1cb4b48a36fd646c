package scenario

import "time"

// Link says what one direction of a path does to packets.
type Link struct {
	Latency   time.Duration // one way
	Jitter    time.Duration // up to this much more
	Loss      float64       // share of packets, 0 to 1
	UDPLoss   float64       // share of datagrams that are lost besides, 0 to 1
	Burst     Burst
	Duplicate float64 // share of datagrams that arrive twice, 0 to 1
	Reorder   float64 // share of packets that later ones overtake, 0 to 1
	Corrupt   float64 // share of datagrams that are damaged, 0 to 1
	Bandwidth int64   // bytes per second, 0: no limit
	Queue     int64   // bytes that wait for the bandwidth, 0: the simulator's default
	MTU       int     // largest IP packet in bytes, 0: no limit
	ICMP      bool    // who sends too large a packet is told; true unless the file says false
	Drops     Content // datagrams that are dropped for what is in them

	named linkKeys // what the file says
}

// Content is a kind of datagrams.
type Content string

// The kinds of datagrams that a path may drop while others pass.
const (
	AnyContent  Content = ""        // none is dropped
	QUIC        Content = "quic"    // the datagrams of QUIC; sealed ones pass, probes among them
	CarriedQUIC Content = "carried" // those that go to a relay or come from one
)

// Burst is loss that comes in bursts (Gilbert and Elliott).
type Burst struct {
	Share  float64       // of time that is bad, 0 to 1; 0: no bursts
	Length time.Duration // mean length of a bad time
	Loss   float64       // share of packets lost in it, 0 to 1
}

// LinkRule changes the paths from every node of From to every node of To.
type LinkRule struct {
	Line     int
	From, To Selector
	Both     bool // also the way back
	Link     Link // changes what it names; see Link.Over
}

// linkKeys is a set of keys of a Link.
type linkKeys uint16

const (
	namedLatency linkKeys = 1 << iota
	namedJitter
	namedLoss
	namedUDPLoss
	namedBurst
	namedDuplicate
	namedReorder
	namedCorrupt
	namedBandwidth
	namedQueue
	namedMTU
	namedICMP
	namedDrops
)

// Over returns base with what the file says in l. A Link of which the file says nothing changes
// nothing.
func (l Link) Over(base Link) Link {
	set(l.named&namedLatency, &base.Latency, l.Latency)
	set(l.named&namedJitter, &base.Jitter, l.Jitter)
	set(l.named&namedLoss, &base.Loss, l.Loss)
	set(l.named&namedUDPLoss, &base.UDPLoss, l.UDPLoss)
	set(l.named&namedBurst, &base.Burst, l.Burst)
	set(l.named&namedDuplicate, &base.Duplicate, l.Duplicate)
	set(l.named&namedReorder, &base.Reorder, l.Reorder)
	set(l.named&namedCorrupt, &base.Corrupt, l.Corrupt)
	set(l.named&namedBandwidth, &base.Bandwidth, l.Bandwidth)
	set(l.named&namedQueue, &base.Queue, l.Queue)
	set(l.named&namedMTU, &base.MTU, l.MTU)
	set(l.named&namedICMP, &base.ICMP, l.ICMP)
	set(l.named&namedDrops, &base.Drops, l.Drops)
	base.named |= l.named
	return base
}

func set[T any](named linkKeys, to *T, value T) {
	if named != 0 {
		*to = value
	}
}

// IsZero reports whether the file says nothing of the link.
func (l Link) IsZero() bool { return l.named == 0 }

// NamesMTU reports whether the scenario limits the size of packets anywhere at any time.
func (s *Scenario) NamesMTU() bool {
	some := s.Network.named
	for i := range s.Groups {
		some |= s.Groups[i].Network.named
	}
	for i := range s.Links {
		some |= s.Links[i].Link.named
	}
	for i := range s.Timeline {
		switch a := s.Timeline[i].Action.(type) {
		case SetLink:
			some |= a.Link.named
		case SetNetwork:
			some |= a.Link.named
		}
	}
	return some&namedMTU != 0
}
