package netsim

import "time"

const (
	// noiseMax bounds what is added to every latency, so that packets sent at one instant do
	// not arrive at one instant.
	noiseMax = time.Microsecond

	// reorderMin is the least time that a reordered packet is held back.
	reorderMin = time.Millisecond

	headersIPv4 = 20
	headersIPv6 = 40
	headerUDP   = 8
)

// Link says what one direction of a path does to packets. The zero Link is a perfect wire.
type Link struct {
	Latency   time.Duration // one way, of every packet
	Jitter    time.Duration // up to this much more, uniform; packets queue up and stay in order
	Loss      float64       // share of packets lost, 0 to 1
	UDPLoss   float64       // share of datagrams lost besides, as where a device makes room for TCP
	Duplicate float64       // share of datagrams that arrive twice, 0 to 1
	Reorder   float64       // share of packets held back by 1 ms plus up to the latency: later ones overtake
	MTU       int           // largest IP packet in bytes; larger datagrams vanish; 0: no limit. Streams fit themselves
	Blocked   bool          // nothing passes

	Burst     Burst   // loss in bad spells, besides Loss
	Corrupt   float64 // share of datagrams in which one bit is flipped, 0 to 1; never in streams, which have checksums
	Truncate  float64 // share of datagrams of which the end is cut off, 0 to 1
	Bandwidth int     // bytes per second that pass, headers included, datagrams and streams together; 0: no limit
	Queue     int     // bytes that wait for the bandwidth, more is dropped; 0: what passes in 100 ms, 34 KiB at least
	ICMP      bool    // senders of datagrams larger than the MTU are told, unless that is lost on the way back
	Drops     Content // datagrams of this kind vanish; nil: none does
}

// The stream of decisions about one packet.
const (
	drawLoss = iota + 1
	drawNoise
	drawJitter
	drawReorder
	drawHold
	drawDuplicate
	drawSecond
	drawBurst
	drawCorrupt
	drawTruncate
	drawSpot
)

// fate is what becomes of one packet.
type fate struct {
	why       Why           // why it is lost; "" when it arrives
	drain     time.Duration // until the queue is empty that was full
	delay     time.Duration // until it arrives
	late      bool          // it may be overtaken
	duplicate bool          // it arrives once more
	second    time.Duration // until it arrives once more
	harm      Why           // how it is spoiled on the way; "" when it is not. The second one never is
	spot      uint64        // where, modulo what there is
}

// fate decides about the packet that h stands for; size is that of the whole IP packet. Its
// decisions are independent: changing the loss rate does not change the delays.
func (l Link) fate(h uint64, size int) fate {
	switch {
	case l.Blocked:
		return fate{why: WhyBlocked}
	case l.MTU > 0 && size > l.MTU:
		return fate{why: WhyMTU}
	case share(h, drawLoss) < l.Loss:
		return fate{why: WhyLoss}
	}
	f := fate{delay: l.Latency + spread(h, drawNoise, noiseMax) + spread(h, drawJitter, l.Jitter)}
	if share(h, drawReorder) < l.Reorder {
		f.late = true
		f.delay += reorderMin + spread(h, drawHold, l.Latency)
	}
	if share(h, drawDuplicate) < l.Duplicate {
		f.duplicate = true
		f.second = f.delay + spread(h, drawSecond, l.Latency+reorderMin)
	}
	switch {
	case share(h, drawCorrupt) < l.Corrupt:
		f.harm, f.spot = WhyCorrupt, nth(h, drawSpot)
	case share(h, drawTruncate) < l.Truncate:
		f.harm, f.spot = WhyTruncated, nth(h, drawSpot)
	}
	return f
}
