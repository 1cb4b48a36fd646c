package sim

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/micro/micro-net/sim/netsim"
)

const (
	legAt      = 1 // of an envelope: on which side of the relay it is
	legForward = 2 // from it

	// carriedLate is how late a relay that delays is, and smallCarried the most bytes that one which sieves lets pass.
	carriedLate  = time.Second
	smallCarried = 400
	// maxKinds and maxOfKind bound what one that repeats keeps.
	maxKinds  = 256
	maxOfKind = 16
)

// misdeed is what a relay makes of an envelope that it forwards. All but the datagram in it is the daemon's own work, as what
// others look at before they look inside must be right: what is in it may be another one of the same size.
type misdeed func(c *carrier, to netip.AddrPort, envelope []byte) []netsim.Outgoing

// carrier is the hand of a relay that does harm. What its daemon sends for itself leaves as it is.
type carrier struct {
	rng  *rand.Rand
	do   misdeed
	kept map[kind][][]byte
	done int // how many it had in its hand
}

// kind is what can take each other's place: what goes to one node, from one, in one size.
type kind struct {
	to   netip.AddrPort
	far  string
	size int
}

func newCarrier(i *insider) *carrier {
	return &carrier{rng: rand.New(rand.NewPCG(i.rng.Uint64(), 0xca221e)), do: i.craft.carry, kept: map[kind][][]byte{}}
}

// Take implements netsim.Hand.
func (c *carrier) Take(to netip.AddrPort, b []byte) []netsim.Outgoing {
	if len(b) <= carriedAt || b[0] != firstCarried || b[legAt] != legForward {
		return asItIs(b)
	}
	c.done++
	return c.do(c, to, b)
}

func asItIs(b []byte) []netsim.Outgoing { return []netsim.Outgoing{{Data: b}} }

func dropping(*carrier, netip.AddrPort, []byte) []netsim.Outgoing { return nil }

func thinning(c *carrier, _ netip.AddrPort, b []byte) []netsim.Outgoing {
	if c.rng.IntN(2) == 0 {
		return nil
	}
	return asItIs(b)
}

func sieving(_ *carrier, _ netip.AddrPort, b []byte) []netsim.Outgoing {
	if len(b) > carriedAt+smallCarried {
		return nil
	}
	return asItIs(b)
}

func delaying(_ *carrier, _ netip.AddrPort, b []byte) []netsim.Outgoing {
	return []netsim.Outgoing{{Data: b, After: carriedLate}}
}

// altering turns a bit in every second datagram, and never in the first byte: by that the receiver tells QUIC from what is
// sealed, and would refuse the rest unread.
func altering(c *carrier, _ netip.AddrPort, b []byte) []netsim.Outgoing {
	if len(b) == carriedAt+1 || c.rng.IntN(2) == 0 {
		return asItIs(b)
	}
	out := bytes.Clone(b)
	inner := out[carriedAt+1:]
	inner[c.rng.IntN(len(inner))] ^= 1 << c.rng.IntN(8)
	return asItIs(out)
}

// repeating puts an older datagram into every fourth envelope.
func repeating(c *carrier, to netip.AddrPort, b []byte) []netsim.Outgoing {
	k := kind{to, string(b[legAt+1 : legAt+9]), len(b)}
	old := c.kept[k]
	if len(old) < maxOfKind && (old != nil || len(c.kept) < maxKinds) {
		c.kept[k] = append(old, bytes.Clone(b[carriedAt:]))
	}
	if len(old) == 0 || c.rng.IntN(4) > 0 {
		return asItIs(b)
	}
	return asItIs(append(bytes.Clone(b[:carriedAt]), old[c.rng.IntN(len(old))]...))
}
