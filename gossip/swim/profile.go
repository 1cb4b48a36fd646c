package swim

import (
	"cmp"
	"time"
)

// Profile is the pace of the protocol. Zero fields get the value of DefaultProfile.
//
// How long a killed node of n stays undetected: about ProbeInterval until somebody probes it,
// ProbeInterval until that probe fails, and then SuspicionMult × max(1, log10 n) ×
// ProbeInterval once SuspicionMult-2 others confirmed, SuspicionMaxMult times that if none did
// (Lifeguard, section IV.B). The mean is 5 s for ten nodes.
type Profile struct {
	ProbeInterval    time.Duration // each node probes one other per interval
	ProbeTimeout     time.Duration // direct answer; must exceed the round trip between any two nodes
	IndirectProbes   int           // others asked to probe when no direct answer came
	SuspicionMult    int           // see above
	SuspicionMaxMult int           // see above
	AwarenessMax     int           // a node that doubts its own health stretches its probes up to this factor
	GossipInterval   time.Duration // time between two gossip rounds
	GossipNodes      int           // members told per round
	RetransmitMult   int           // a message is sent RetransmitMult × ceil(log10(n+1)) times
	SyncInterval     time.Duration // full exchange with one random member; grows with log2(n/32)
	GossipToTheDead  time.Duration // how long a dead member is told things, so that it can object
	StreamTimeout    time.Duration // one exchange over a stream, dialling included
}

// DefaultProfile suits up to a hundred nodes in one or several clouds. Compared with
// memberlist's own: suspicion is shorter (3 instead of 4), because its verdict is a hint that
// fresh packets overrule, and needs one confirmation instead of two, without which one death in
// ten took 40 s at some node; synchronisation is every 15 s instead of 30 s; and a round tells
// six members instead of three, because a credential fills a packet: what has to be said is
// the same, it is said in half the time.
func DefaultProfile() Profile {
	return Profile{
		ProbeInterval:    time.Second,
		ProbeTimeout:     500 * time.Millisecond,
		IndirectProbes:   3,
		SuspicionMult:    3,
		SuspicionMaxMult: 6,
		AwarenessMax:     8,
		GossipInterval:   200 * time.Millisecond,
		GossipNodes:      6,
		RetransmitMult:   4,
		SyncInterval:     15 * time.Second,
		GossipToTheDead:  30 * time.Second,
		StreamTimeout:    10 * time.Second,
	}
}

func (p Profile) ensureDefaults() Profile {
	d := DefaultProfile()
	return Profile{
		ProbeInterval:    cmp.Or(p.ProbeInterval, d.ProbeInterval),
		ProbeTimeout:     cmp.Or(p.ProbeTimeout, d.ProbeTimeout),
		IndirectProbes:   cmp.Or(p.IndirectProbes, d.IndirectProbes),
		SuspicionMult:    cmp.Or(p.SuspicionMult, d.SuspicionMult),
		SuspicionMaxMult: cmp.Or(p.SuspicionMaxMult, d.SuspicionMaxMult),
		AwarenessMax:     cmp.Or(p.AwarenessMax, d.AwarenessMax),
		GossipInterval:   cmp.Or(p.GossipInterval, d.GossipInterval),
		GossipNodes:      cmp.Or(p.GossipNodes, d.GossipNodes),
		RetransmitMult:   cmp.Or(p.RetransmitMult, d.RetransmitMult),
		SyncInterval:     cmp.Or(p.SyncInterval, d.SyncInterval),
		GossipToTheDead:  cmp.Or(p.GossipToTheDead, d.GossipToTheDead),
		StreamTimeout:    cmp.Or(p.StreamTimeout, d.StreamTimeout),
	}
}
