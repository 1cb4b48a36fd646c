package tunnel

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// betweenClouds runs a and b, as many relays beside each of them that do not reach the other side, and some that reach both, which
// come last. grey has those drop what they carry of QUIC.
func betweenClouds(t *testing.T, beside, between int) (r *relayed, grey func(...*testNode)) {
	t.Helper()
	r = manyRelays(t, 2*beside+between)
	side := func(x netip.AddrPort) int {
		i := slices.IndexFunc(r.relays, func(y *testNode) bool { return y.conn.addr == x })
		switch {
		case x == r.a.conn.addr || (i >= 0 && i < beside):
			return 1
		case x == r.b.conn.addr || i < 2*beside:
			return 2
		}
		return 0
	}
	grey = func(bad ...*testNode) {
		r.nw.setDrop(func(from, to netip.AddrPort, data []byte) bool {
			carried := data[0] == firstEnvelope && isQUIC(data[envelopeHeaderLen:])
			of := func(x *testNode) bool { return carried && (x.conn.addr == from || x.conn.addr == to) }
			return side(from)+side(to) == 3 || slices.ContainsFunc(bad, of)
		})
	}
	grey()
	r.greet(t)
	return r, grey
}

// confirmed are the relays over which a peer answers.
func confirmed(x, to *testNode) (n int) {
	for _, w := range x.ways(to.key.id) {
		if w.Confirmed && !w.Relay.IsZero() {
			n++
		}
	}
	return n
}

// Where the relay in use turns grey together with another one, a third carries the packets from the first doubt on, however many
// there are that do not reach the peer.
func TestSparesAreAtHand(t *testing.T) {
	for i := range 4 {
		for j := range i {
			t.Run(fmt.Sprint(j, i), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r, grey := betweenClouds(t, 4, 4)
					r.talk(t, 20*time.Second)
					if m, n := confirmed(r.a, r.b), confirmed(r.b, r.a); m < maxDetours || n < maxDetours {
						t.Errorf("%d and %d ways are at hand", m, n)
					}
					good := r.relays[8:]
					grey(good[i], good[j])
					if gap := r.talk(t, 5*time.Second); gap > 700*time.Millisecond {
						t.Errorf("traffic stood still for %v", gap)
					}
				})
			})
		}
	}
}

// A spare costs a probe every fifteen seconds each way, and where there is none, relays are tried once a minute.
func TestSparesCostLittle(t *testing.T) {
	const minutes, inUse = 3, 2 * int(time.Minute/refreshEvery) // probes of both
	for between, more := range map[int]int{1: 4 * detourTries, maxDetours: 2 * (maxDetours - 1) * int(time.Minute/spareEvery)} {
		synctest.Test(t, func(t *testing.T) {
			r, _ := betweenClouds(t, 4, between)
			r.talk(t, 20*time.Second)
			begin := time.Now()
			r.talk(t, minutes*time.Minute)
			sealed := r.nw.sent(func(d sentDatagram) bool {
				return d.from == r.a.conn.addr && d.at.After(begin) && d.data[0] == firstEnvelope && !isQUIC(d.data[envelopeHeaderLen:])
			})
			if n, most := len(sealed), minutes*(inUse+more); n > most {
				t.Errorf("%d between the clouds: %d probes and replies, want %d at most", between, n, most)
			}
		})
	}
}

// Who has no way comes first: spares are looked for at a pace of their own, however many peers there are.
func TestSparesHaveTheirOwnPace(t *testing.T) {
	c, p := lonePeer(t)
	now := c.start
	relay := func(n byte) *peer {
		key := newTestKey(n)
		if err := c.addPeer(now, Peer{ID: key.id, BoxKey: p.BoxKey, Relay: true}, new(effects)); err != nil {
			t.Fatal(err)
		}
		r := c.peers[key.id]
		r.known, r.paths.best = true, &candidate{confirmed: true}
		return r
	}
	inUse, _ := newDetour(p, relay(10)), relay(11)
	inUse.confirmed = true
	tried := 0
	for range 10 * spareBurst {
		p.detours = detours{}
		p.paths.best, p.paths.candidates, p.paths.used = inUse, []*candidate{inUse}, now
		tried += len(c.detour(now, p))
	}
	if left := c.searches.level(now); tried != spareBurst || left != detourBurst {
		t.Errorf("%d were tried at once, and %v searches are left", tried, left)
	}
}

// What was tried in vain as a spare is tried again at once when there is need, and after that there is a pause.
func TestSparesTriedInVain(t *testing.T) {
	now := time.Unix(1000, 0)
	d := detours{tried: []tag{1}, calm: true}
	d.exhausted(now, false)
	if len(d.tried) != 0 || d.rest.Sub(now) != approachWait {
		t.Errorf("at first %v count as tried, for %v", d.tried, d.rest.Sub(now))
	}
	if d.exhausted(now, false); d.rest.Sub(now) != detourAgain {
		t.Errorf("then there is a pause of %v", d.rest.Sub(now))
	}
}
