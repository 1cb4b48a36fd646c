package netsim

import (
	"net/netip"
	"time"
)

// Proto is the protocol of a packet.
type Proto uint8

// The protocols of the world.
const (
	UDP  Proto = iota + 1
	TCP        // one Event per segment
	Unix       // stream sockets inside a host
	ICMP       // reports of the network that a datagram was too big
)

// String returns the usual name.
func (p Proto) String() string {
	switch p {
	case UDP:
		return "udp"
	case TCP:
		return "tcp"
	case Unix:
		return "unix"
	case ICMP:
		return "icmp"
	}
	return "unknown"
}

// Step is what happened to a packet.
type Step uint8

// The steps of a packet's way.
const (
	Sent Step = iota + 1
	Delivered
	Dropped
)

// String returns the step's name.
func (s Step) String() string {
	switch s {
	case Sent:
		return "sent"
	case Delivered:
		return "delivered"
	case Dropped:
		return "dropped"
	}
	return "unknown"
}

// Why says which rule dropped a packet.
type Why string

// The reasons of a drop.
const (
	WhyLoss     Why = "loss"
	WhyBlocked  Why = "blocked"  // the link is cut, or a partition lies between
	WhyMTU      Why = "mtu"      // too large for the path
	WhyNoRoute  Why = "no-route" // nobody has that address
	WhyDown     Why = "down"     // the receiving host has crashed
	WhyNoSocket Why = "no-socket"
	WhyOverflow Why = "overflow" // the receiver's inbox or backlog was full
	WhyBurst    Why = "burst"    // lost in a bad spell
	WhyQueue    Why = "queue"    // too many bytes waited for the bandwidth
	WhyNAT      Why = "nat"      // a NAT has no mapping for it, does not let it in, or has no port left
	WhyFirewall Why = "firewall"
	WhyContent  Why = "content" // the path drops what is in it
)

// What was done to a datagram that is delivered all the same.
const (
	WhyCorrupt   Why = "corrupt"   // a bit was flipped
	WhyTruncated Why = "truncated" // the end is missing
)

// Event is one step of one packet. Data is valid during the call only.
type Event struct {
	At       time.Duration // since the world began
	Step     Step
	Why      Why // of a drop, or what was done to a datagram that is delivered
	Proto    Proto
	From, To string         // hosts, or a NAT that has no host for it; To is "" for a packet that got on no path
	Src, Dst netip.AddrPort // as the sender says until it has passed the last NAT, then as the receiver sees them
	Number   uint64         // of the packet on its path, counted from 1; 0 for one that got on no path
	Size     int            // bytes of payload
	Data     []byte
}

// Stats counts what the world did. Packets are datagrams and segments.
type Stats struct {
	Sent       uint64
	SentBytes  uint64 // payload
	Delivered  uint64
	Lost       uint64
	Blocked    uint64
	TooBig     uint64
	NoRoute    uint64
	Down       uint64
	NoSocket   uint64
	Overflow   uint64 // thrown away at full inboxes and backlogs
	Burst      uint64 // lost in bad spells
	Queue      uint64 // thrown away at full queues of bottlenecks
	NAT        uint64 // not let through by NATs
	Firewall   uint64 // thrown away by firewalls
	Content    uint64 // thrown away for what was in them
	Duplicated uint64
	Reordered  uint64
	Corrupted  uint64 // delivered with a bit flipped
	Truncated  uint64 // delivered without their end
}

func (s *Stats) drop(why Why) {
	switch why {
	case WhyLoss:
		s.Lost++
	case WhyBlocked:
		s.Blocked++
	case WhyMTU:
		s.TooBig++
	case WhyNoRoute:
		s.NoRoute++
	case WhyDown:
		s.Down++
	case WhyNoSocket:
		s.NoSocket++
	case WhyOverflow:
		s.Overflow++
	case WhyBurst:
		s.Burst++
	case WhyQueue:
		s.Queue++
	case WhyNAT:
		s.NAT++
	case WhyFirewall:
		s.Firewall++
	case WhyContent:
		s.Content++
	}
}

// deliver counts a packet that arrived, and what was done to it.
func (s *Stats) deliver(harm Why) {
	s.Delivered++
	switch harm {
	case WhyCorrupt:
		s.Corrupted++
	case WhyTruncated:
		s.Truncated++
	}
}
