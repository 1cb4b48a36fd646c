package tunnel

import (
	"net"
	"net/netip"
	"time"

	micronet "github.com/micro/micro-net"
)

const (
	// outstandingProbes is how many unanswered probes of a candidate are remembered: at 500 ms
	// apart, replies up to two seconds late still count.
	outstandingProbes = 4

	// amplification is how many bytes may go to an unproven address per byte from it (RFC 9000
	// section 8 uses the same factor).
	amplification = 3
	// Declared addresses are spoken to first, so they have an allowance of their own: enough
	// for a handshake's first flights, too little to hurt whoever really lives there.
	declaredBurst = 16 << 10 // bytes
	declaredRate  = 2 << 10  // bytes a second
	maxAllowance  = 64 << 10 // bytes

	// provenFor is how long an address counts as proven after its last reply.
	provenFor = 5 * time.Minute
)

// candidate is one address that may reach a peer. Its states:
//
//	           probe                reply
//	unknown ─────────▶ probing ─────────────▶ confirmed
//	   ▲                                          │
//	   └── lost: three unanswered probes ─────────┤
//	   └── idle: not used for 30 s ───────────────┘
type candidate struct {
	addr      netip.AddrPort // unmapped, without zone; the identity address of via
	via       *peer          // the relay, nil: directly
	real      netip.AddrPort // of a trunk: its other end
	dialled   bool           // the trunk, by us
	confirmed bool
	declared  bool // the peer's credential names it
	hurried   bool // probe soon
	open      bool // a probe went out and no reply came yet
	spoken    bool // a probe went out, ever
	calling   bool // its first frame came before we had spoken to it
	unasked   bool // so it was, and a reply has proved the address
	clean     bool // the last probe was sent while none was unanswered
	lapsed    bool // given up since the last reply
	contested bool // something has shown that packets do not arrive, and no answer has come since
	rtt       roundTrip
	udp       *net.UDPAddr   // of addr
	local     netip.Addr     // our own address that its packets arrive at, zero: not known
	source    []byte         // control message that names local
	binding   *binding       // set once an authenticated frame came from it; with via its own, of no address
	replied   time.Time      // last reply over it
	heard     time.Time      // last authenticated frame from it
	came      time.Time      // last one that was no reply
	seen      netip.AddrPort // our own address, as the peer sees it there
	carried   time.Time      // last QUIC packet from it; of those that come directly, as far as the core was told
	probed    time.Time      // last probe, sent or suppressed
	since     time.Time      // first probe that was not answered
	missed    int            // unanswered probes in a row while confirmed
	attempts  int            // probes in a row while not confirmed
	sent      [outstandingProbes]sentProbe
	allowance int64 // bytes that may still be sent while unproven
	refilled  time.Time
	ledger
}

// sentProbe is a probe whose reply may still come.
type sentProbe struct {
	nonce      uint64 // 0: none
	at         time.Time
	generation uint64 // of our credential that the peer must have to answer it
	clean      bool   // it was sent while none was unanswered: its reply is a sample
	small      uint64 // QUIC packets that had left by then, see tally
	large      uint64
}

func newCandidate(addr netip.AddrPort) *candidate {
	return &candidate{addr: addr, udp: net.UDPAddrFromAddrPort(addr), ledger: ledger{left: new(tally)}}
}

// note records that a probe was due now, whether it could be sent or not.
func (c *candidate) note(now time.Time) {
	c.clean = !c.open && (c.confirmed || !c.lapsed)
	c.probed, c.hurried, c.open, c.spoken = now, false, true, true
	if c.since.IsZero() {
		c.since = now
	}
	if !c.confirmed {
		c.attempts++
	}
}

// knock takes note of a frame that is no reply. Who was asked in vain until then is there now: the search, which has become
// slow, is quick once more.
func (c *candidate) knock(now time.Time) {
	if !c.confirmed && c.came.Before(c.since) {
		c.attempts = min(c.attempts, stuckAfter)
	}
	c.came = now
}

// sign is when anything came over the candidate last.
func (c *candidate) sign() time.Time { return later(c.heard, c.carried) }

// remember keeps a probe until its reply; the oldest one gives way.
func (c *candidate) remember(p sentProbe) {
	p.clean = c.clean
	p.small, p.large = c.left.small.Load(), c.left.large.Load()
	c.asked = p.small + p.large
	copy(c.sent[1:], c.sent[:])
	c.sent[0] = p
}

// take finds and forgets the probe with this nonce.
func (c *candidate) take(nonce uint64) (sentProbe, bool) {
	for i := range c.sent {
		if p := c.sent[i]; p.nonce == nonce && nonce != 0 {
			c.sent[i] = sentProbe{}
			return p, true
		}
	}
	return sentProbe{}, false
}

// confirm takes a reply with its round trip, which is a sample when the probe was clean. Where the
// round trip is in doubt, the next probe follows soon.
func (c *candidate) confirm(now time.Time, rtt time.Duration, clean bool) {
	switch {
	case clean:
		c.hurried = c.rtt.take(rtt) || c.hurried
	case !c.confirmed:
		c.rtt.guess(rtt)
		c.hurried = true
	}
	c.confirmed, c.open, c.lapsed, c.contested = true, false, false, false
	c.replied, c.heard, c.since = now, now, time.Time{}
	c.missed, c.attempts = 0, 0
}

// forget makes the candidate unknown again.
func (c *candidate) forget() {
	c.rtt.stale = true
	c.confirmed, c.open, c.hurried = false, false, false
	c.missed, c.attempts, c.since = 0, 0, time.Time{}
	c.reset()
}

// lost reports whether the unanswered probes are enough to give the path up, in number and in time.
func (c *candidate) lost(now time.Time) bool {
	enough := func(probes int) bool {
		return c.missed >= probes && now.Sub(c.since) >= time.Duration(probes)*probeTimeout
	}
	return enough(oneWayAfter) || (enough(lostAfter) && c.heard.Before(c.since))
}

// patience is how long a reply is waited for on a path that worked, half as long over a relay if there is another sign that
// it does not any more.
func (c *candidate) patience() time.Duration {
	if c.rtt.value == 0 {
		return probeTimeout
	}
	wait := min(probeTimeout, max(probeLeast, 4*c.rtt.value))
	if c.contested && c.via != nil {
		wait /= 2
	}
	return wait
}

// credit adds what n bytes from the address allow. Nobody saves up for more than a few flights.
func (c *candidate) credit(n int64) {
	c.allowance = max(c.allowance, min(c.allowance+amplification*n, maxAllowance))
}

// allow takes n bytes off the allowance of an unproven address, or refuses. Proven addresses
// have no limit, nor have relays, which are proven and limit us, nor trunks.
func (c *candidate) allow(now time.Time, n int) bool {
	if !c.straight() || c.confirmed || (!c.replied.IsZero() && now.Sub(c.replied) < provenFor) {
		return true
	}
	c.refill(now)
	if c.allowance < int64(n) {
		return false
	}
	c.allowance -= int64(n)
	return true
}

func (c *candidate) refill(now time.Time) {
	if !c.declared {
		return
	}
	if c.refilled.IsZero() {
		c.allowance, c.refilled = c.allowance+declaredBurst, now
		return
	}
	grown := int64(now.Sub(c.refilled).Seconds() * declaredRate)
	if grown <= 0 {
		return
	}
	c.refilled = now
	if c.allowance < declaredBurst {
		c.allowance = min(declaredBurst, c.allowance+grown)
	}
}

// vantage is what decides, on our side, which addresses can be tried.
type vantage struct {
	v4, v6   bool // families that the socket carries
	loopback bool // the socket is bound to a loopback address
	machine  string
}

// vantageOf reads the socket's own address: [::] carries both families.
func vantageOf(local netip.AddrPort) vantage {
	a := local.Addr().Unmap()
	return vantage{
		v4:       a.Is4() || a == netip.IPv6Unspecified(),
		v6:       a.Is6(),
		loopback: a.IsLoopback(),
	}
}

// usable reports whether packets for a peer on the given machine may be sent to a.
func (v *vantage) usable(a netip.AddrPort, machine string) bool {
	ip := a.Addr()
	switch {
	case !a.IsValid() || a.Port() == 0 || (ip.Is4() && !v.v4) || (ip.Is6() && !v.v6):
		return false
	case ip.IsUnspecified() || ip.IsMulticast() || ip.IsLinkLocalUnicast() || micronet.IsMetadataAddr(ip):
		return false
	case ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}) || micronet.IsIdentityAddr(ip) || isTrunkAddr(ip):
		return false
	case ip.IsLoopback():
		return v.loopback || (machine != "" && machine == v.machine)
	}
	return true
}

// clean unmaps an address and takes its zone off.
func clean(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}
