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
)

// Event is one step of one packet. Data is valid during the call only.
type Event struct {
	At       time.Duration // since the world began
	Step     Step
	Why      Why // of a drop
	Proto    Proto
	From, To string // hosts; To is "" where nobody has the address
	Src, Dst netip.AddrPort
	Number   uint64 // of the packet on its path, counted from 1
	Size     int    // bytes of payload
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
	Duplicated uint64
	Reordered  uint64
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
	}
}
