package tunnel

import (
	"errors"
	"net/netip"
	"sync"
	"time"
)

// A guest hello says, in clear, that QUIC from this address is about joining:
//
//	0   0x81
//	1   version, 1
//	2   cluster id of 16 bytes
//	18  zeros up to guestHelloLen; longer ones belong to newer versions
const (
	guestVersion  = 1
	guestHelloLen = 64
)

const (
	guestRate     = 64               // new guests a second
	guestBurst    = 128              // new guests at once: a whole rack joins
	guestFor      = 30 * time.Second // since its last hello
	maxGuests     = 2048             // addresses; more are refused. Above guestRate × guestFor: the rate is the limit
	guestRenew    = 10 * time.Second // between hellos once something came back
	maxHosts      = 64               // members that this node asks to join; the one unused longest gives way
	hostFor       = 2 * time.Minute  // since the last packet to it
	guestHelloGap = helloEvery       // between hellos before something came back
)

var errGuestHello = errors.New("guest hello: malformed")

// guestHello is the cluster a guest wants to join.
type guestHello struct{ cluster [16]byte }

func parseGuestHello(b []byte) (guestHello, error) {
	if len(b) < guestHelloLen || b[0] != firstGuest || b[1] != guestVersion {
		return guestHello{}, errGuestHello
	}
	return guestHello{cluster: [16]byte(b[2:18])}, nil
}

func appendGuestHello(b []byte, h guestHello) []byte {
	start := len(b)
	b = append(b, make([]byte, guestHelloLen)...)
	b[start], b[start+1] = firstGuest, guestVersion
	copy(b[start+2:], h.cluster[:])
	return b
}

// guests knows the real addresses that QUIC may talk with: those who ask to join us, and those
// whom we ask. Its lock is a leaf.
type guests struct {
	cluster [16]byte

	mu    sync.Mutex
	asked map[netip.AddrPort]guest
	pace  bucket
	hosts map[netip.AddrPort]*host
}

// guest is an address that asks to join.
type guest struct {
	hello  time.Time // the last one
	source []byte    // control message that names our address it came to
}

// host is a member that this node asks to let it join.
type host struct {
	cluster  [16]byte
	hello    time.Time
	used     time.Time
	answered bool
}

func newGuests(cluster [16]byte) *guests {
	return &guests{
		cluster: cluster,
		asked:   map[netip.AddrPort]guest{},
		pace:    bucket{rate: guestRate, burst: guestBurst},
		hosts:   map[netip.AddrPort]*host{},
	}
}

// hello takes a guest's hello; false means that it is refused.
func (g *guests) hello(now time.Time, from netip.AddrPort, source []byte, h guestHello) bool {
	if h.cluster != g.cluster || h.cluster == [16]byte{} {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, known := g.asked[from]; !known {
		g.expire(now)
		if len(g.asked) >= maxGuests || !g.pace.take(now, 1) {
			return false
		}
	}
	g.asked[from] = guest{hello: now, source: source}
	return true
}

func (g *guests) expire(now time.Time) {
	for a, asked := range g.asked {
		if now.Sub(asked.hello) > guestFor {
			delete(g.asked, a)
		}
	}
}

// allow lets QUIC talk with the member at addr.
func (g *guests) allow(now time.Time, addr netip.AddrPort, cluster [16]byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if h := g.hosts[addr]; h != nil && h.cluster == cluster {
		h.used = now
		return
	}
	if len(g.hosts) >= maxHosts {
		g.evictHost()
	}
	g.hosts[addr] = &host{cluster: cluster, used: now}
}

func (g *guests) evictHost() {
	var victim netip.AddrPort
	for a, h := range g.hosts {
		v := g.hosts[victim]
		if v == nil || h.used.Before(v.used) || (h.used.Equal(v.used) && a.Compare(victim) < 0) {
			victim = a
		}
	}
	delete(g.hosts, victim)
}

// arrives reports whether a QUIC packet from addr may pass.
func (g *guests) arrives(now time.Time, addr netip.AddrPort) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if h := g.hosts[addr]; h != nil && now.Sub(h.used) <= hostFor {
		h.answered = true
		return true
	}
	asked, ok := g.asked[addr]
	return ok && now.Sub(asked.hello) <= guestFor
}

// leaves reports whether a QUIC packet to addr may pass, the hello to send before it, and the
// control message that names our address.
func (g *guests) leaves(now time.Time, addr netip.AddrPort) (hello, source []byte, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	h := g.hosts[addr]
	if h == nil {
		asked, ok := g.asked[addr]
		return nil, asked.source, ok && now.Sub(asked.hello) <= guestFor
	}
	h.used = now
	gap := guestHelloGap
	if h.answered {
		gap = guestRenew
	}
	if !h.hello.IsZero() && now.Sub(h.hello) < gap {
		return nil, nil, true
	}
	h.hello = now
	return appendGuestHello(nil, guestHello{h.cluster}), nil, true
}
