package tunnel

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// manyRelays runs a, b and n relays.
func manyRelays(t *testing.T, n int) *relayed {
	t.Helper()
	var addrs []string
	for i := range n {
		addrs = append(addrs, fmt.Sprintf("10.0.1.%d:8085", i+1))
	}
	return newRelayed(t, addrs...)
}

// without drops all that is for some address, or from it.
func (r *relayed) without(gone netip.AddrPort) {
	r.nw.setDrop(func(from, to netip.AddrPort, _ []byte) bool { return from == gone || to == gone })
}

// Nobody asks on over a relay once nobody has anything to send.
func TestDetoursRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelayed(t, addrR)
		r.cut()
		r.greet(t)
		r.talk(t, 3*time.Second)
		time.Sleep(5 * time.Minute)
		before := r.relays[0].Counters()["relayed_packets"]
		time.Sleep(time.Minute)
		if n := r.relays[0].Counters()["relayed_packets"] - before; n != 0 {
			t.Errorf("%d packets were relayed that nobody needed", n)
		}
	})
}

// Gossip does not search for relays: in a split everybody would, for everybody.
func TestGossipSearchesNoRelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelayed(t, addrR)
		r.cut()
		r.greet(t)
		for range 20 {
			_ = r.a.Send(r.b.key.id, ChannelMembership, []byte("x"))
			time.Sleep(100 * time.Millisecond)
		}
		if n := r.relays[0].Counters()["relayed_packets"]; n != 0 {
			t.Errorf("%d packets of gossip were relayed", n)
		}
		r.talk(t, time.Second)
		r.a.say(t, r.b, "over the relay that is in use")
		time.Sleep(100 * time.Millisecond)
		r.b.wantReceived(t, "over the relay that is in use")
	})
}

// Two clouds cannot reach each other, and one node elsewhere reaches both: it is found, however many are nearer.
func TestTheOneRelayIsFound(t *testing.T) {
	for n := 1; n <= 12; n++ {
		synctest.Test(t, func(t *testing.T) {
			r := manyRelays(t, 2*n+1)
			side := func(x netip.AddrPort) int {
				switch i := slices.IndexFunc(r.relays[:2*n], func(y *testNode) bool { return y.conn.addr == x }); {
				case x == r.a.conn.addr || (i >= 0 && i < n):
					return 1
				case x == r.b.conn.addr || i >= n:
					return 2
				}
				return 3
			}
			r.nw.setDrop(func(from, to netip.AddrPort, _ []byte) bool { return side(from)+side(to) == 3 })
			for _, x := range r.relays {
				_ = r.a.Send(x.key.id, ChannelMembership, []byte("hello"))
				_ = r.b.Send(x.key.id, ChannelMembership, []byte("hello"))
			}
			time.Sleep(time.Second)
			r.talk(t, 20*time.Second)
			if p, _ := r.a.Path(r.b.key.id); p.Relay != r.relays[2*n].key.id || !p.Confirmed {
				t.Errorf("%d relays in each cloud: the path is %+v", n, p)
			}
		})
	}
}

// A packet to a node that is gone must not make relays ask each other.
func TestNoSearchOverRelaysForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := manyRelays(t, 20)
		for _, x := range r.relays {
			for _, y := range append([]*testNode{r.a}, r.relays...) {
				if x != y {
					x.say(t, y, "hello")
				}
			}
		}
		time.Sleep(time.Second)
		r.without(r.b.conn.addr)
		begin := time.Now()
		r.a.sendQUIC(t, r.b.key.id.UDPAddr(), "x")
		time.Sleep(time.Minute)
		sent := r.nw.sent(func(d sentDatagram) bool { return d.at.After(begin) })
		if len(sent) > 1000 {
			t.Errorf("one packet to a dead node made %d datagrams", len(sent))
		}
	})
}

// Two that name each other as their relays, and are gone, do not keep anybody busy.
func TestRelaysThatNeedEachOther(t *testing.T) {
	for _, relays := range []int{1, 12} {
		synctest.Test(t, func(t *testing.T) {
			r := manyRelays(t, relays)
			other, err := verifyTest(relaySide(newTestKey(90), true, "10.0.0.77:1").Credential)
			if err != nil {
				t.Fatal(err)
			}
			b, err := verifyTest(relaySide(r.b.key, true, addrB).Credential)
			if err != nil {
				t.Fatal(err)
			}
			other.Relays, b.Relays = []RelayTag{RelayTag(tagOf(b.ID))}, []RelayTag{RelayTag(tagOf(other.ID))}
			r.a.AddPeer(other)
			r.a.AddPeer(b)
			r.without(r.b.conn.addr)
			for _, x := range r.relays {
				r.a.say(t, x, "hello")
			}
			time.Sleep(time.Second)
			begin := time.Now()
			for range 20 {
				r.a.sendQUIC(t, b.ID.UDPAddr(), "x")
				time.Sleep(500 * time.Millisecond)
			}
			if n := len(r.nw.sent(func(d sentDatagram) bool { return d.at.After(begin) })); n > 2000 {
				t.Errorf("%d relays: %d datagrams in ten seconds", relays, n)
			}
		})
	}
}

// A peer that was away is found over another relay than before.
func TestAnotherRelayAfterAnAbsence(t *testing.T) {
	for _, gap := range []time.Duration{50 * time.Millisecond, 700 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			r := newRelayed(t, addrR, addrS)
			r.cut()
			r.greet(t)
			r.talk(t, 3*time.Second)
			first, second := r.relays[0], r.relays[1]
			if p, _ := r.a.Path(r.b.key.id); p.Relay != first.key.id {
				first, second = second, first
			}
			b := r.b.conn.addr
			r.without(b)
			for range 600 {
				r.a.sendQUIC(t, r.b.key.id.UDPAddr(), "x")
				time.Sleep(gap)
			}
			r.nw.setDrop(func(from, to netip.AddrPort, _ []byte) bool {
				return (from == b && to != second.conn.addr) || (to == b && from != second.conn.addr)
			})
			second.say(t, r.b, "are you back")
			for range 40 * 20 {
				r.a.sendQUIC(t, r.b.key.id.UDPAddr(), "x")
				time.Sleep(50 * time.Millisecond)
			}
			if p, _ := r.a.Path(r.b.key.id); p.Relay != second.key.id || !p.Confirmed {
				t.Errorf("packets every %v: the path is %+v", gap, p)
			}
		})
	}
}

// Nobody passes QUIC to us in the name of a node from which nothing sealed has come over him.
func TestH20_QUICInAnothersName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelayed(t, addrR)
		r.greet(t)
		before := len(r.a.quic())
		var b []byte
		relay := r.relays[0]
		relay.mu2(func(c *core) {
			p := c.peers[r.a.key.id]
			p.counter++
			b = appendEnvelope(nil, p.proven, p.session, legFrom, tagOf(r.b.key.id), p.counter, quicPacket("forged"))
		})
		r.nw.inject(relay.conn.addr, r.a.conn.addr, b)
		time.Sleep(time.Second)
		if got := r.a.quic(); len(got) != before {
			t.Errorf("a received %q", got[before:])
		}
		r.a.wantDropped(t, "unknown-peer", 1)
	})
}

// A relay is not reached over itself.
func TestNobodyIsHisOwnRelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelayed(t, addrR)
		r.greet(t)
		relay := r.relays[0]
		var b []byte
		relay.mu2(func(c *core) {
			p, out := c.peers[r.a.key.id], &effects{}
			c.seal(time.Now(), p, p.proven, &candidate{}, &message{kind: messageProbe, nonce: 1}, false, out)
			p.counter++
			b = appendEnvelope(nil, p.proven, p.session, legFrom, c.tag, p.counter, out.datagrams[0].data)
		})
		r.nw.inject(relay.conn.addr, r.a.conn.addr, b)
		time.Sleep(time.Second)
		r.a.mu2(func(c *core) {
			if n := c.peers[relay.key.id].paths.detours(); n != 0 {
				t.Errorf("%d ways to the relay over itself", n)
			}
		})
	})
}

// Who waits for a relay between him and another node for a while uses it within half a second once somebody comes who
// reaches both: he does not wait for what he was told before, nor for a search that has become slow.
func TestRelayThatComesIsUsedAtOnce(t *testing.T) {
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			draw := rand.New(rand.NewPCG(seed, 0))
			m := newGraphMesh(t, 3, graph{}.flip(link(1, 2)), draw)
			m.run(3*time.Second + time.Duration(draw.Int64N(int64(20*time.Second))))
			m.change(link(0, 2))
			found := -time.Second
			for found < 0 && time.Since(m.changed) < 10*time.Second {
				m.run(10 * time.Millisecond)
				if p, _ := m.nodes[0].Path(m.nodes[2].key.id); p.Confirmed {
					found = time.Since(m.changed)
				}
			}
			m.run(10 * time.Second)
			if took, comes := m.outage(0, 1); !comes || took-found > 500*time.Millisecond {
				t.Errorf("seed %d: the relay was reached after %v, the other node over it after %v", seed, found, took)
			}
		})
	}
}

// Where no relay leads to a peer, all are asked again after each pause, and in no pause twice.
func TestRelaysAreAskedAgain(t *testing.T) {
	for _, relays := range []int{1, 3, 5} {
		synctest.Test(t, func(t *testing.T) {
			r := manyRelays(t, relays)
			r.greet(t)
			r.without(r.b.conn.addr)
			begin := time.Now()
			for range 1200 {
				r.a.sendQUIC(t, r.b.key.id.UDPAddr(), "x")
				time.Sleep(50 * time.Millisecond)
			}
			var rounds []time.Duration
			last := time.Time{}
			for _, d := range r.nw.sent(func(d sentDatagram) bool { return d.from == r.a.conn.addr && d.data[0] == firstEnvelope }) {
				if d.at.Sub(last) > 2*time.Second {
					rounds = append(rounds, d.at.Sub(begin).Round(time.Second))
				}
				last = d.at
			}
			for i, least := range []time.Duration{0, detourAgain, 2 * detourAgain, detourMost} {
				before := time.Duration(0)
				if i > 0 && i < len(rounds) {
					before = rounds[i-1]
				}
				if i >= len(rounds) || rounds[i]-before < least || rounds[i]-before > least+3*time.Second {
					t.Errorf("%d relays were asked after %v", relays, rounds)
					break
				}
			}
		})
	}
}

// Two send to each other over another relay each, and one of them loses the other: its sender goes on hearing the other side,
// and finds out all the same.
func TestWayThatFailsWhileTheOtherSideIsHeard(t *testing.T) {
	square := graph{}.flip(link(0, 2)).flip(link(0, 3)).flip(link(1, 2)).flip(link(1, 3))
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			draw := rand.New(rand.NewPCG(seed, 0))
			m := newGraphMesh(t, 4, square, draw)
			for i := range m.delay {
				m.delay[i] = [maxGraph]time.Duration{5e6, 5e6, 5e6, 5e6, 5e6}
			}
			m.run(3*time.Second + time.Duration(draw.Int64N(int64(6*time.Second))))
			there, _ := m.nodes[0].Path(m.nodes[1].key.id)
			back := m.nodes[1].core.peers[m.nodes[0].key.id]
			at := slices.IndexFunc(back.paths.candidates, func(k *candidate) bool { return k.confirmed && k.relay() != there.Relay })
			if at < 0 {
				t.Fatalf("seed %d: there is one relay alone", seed)
			}
			back.paths.best = back.paths.candidates[at]
			m.run(time.Second)
			m.change(link(1, slices.IndexFunc(m.nodes, func(x *meshNode) bool { return x.key.id == there.Relay })))
			m.run(5 * time.Second)
			if took, comes := m.outage(0, 1); !comes || took > 1500*time.Millisecond {
				t.Errorf("seed %d: it took %v (they come: %v)", seed, took, comes)
			}
		})
	}
}

// What one sends to the relay of two is lost, one way, where a round trip takes 80 ms. The other one turns to another relay, and who
// is not heard looks at his way at once, in time for the tunnel between them.
func TestWayIsLookedAtWhenThePeerTurns(t *testing.T) {
	square := graph{}.flip(link(0, 2)).flip(link(0, 3)).flip(link(1, 2)).flip(link(1, 3))
	for seed := range uint64(40) {
		synctest.Test(t, func(t *testing.T) {
			draw := rand.New(rand.NewPCG(seed, 0))
			m := newGraphMesh(t, 4, square, draw)
			for i := range m.delay {
				m.delay[i] = [maxGraph]time.Duration{20e6, 20e6, 20e6, 20e6, 20e6}
			}
			m.run(3*time.Second + time.Duration(draw.Int64N(int64(6*time.Second))))
			p, _ := m.nodes[0].Path(m.nodes[1].key.id)
			m.change([]arc{{0, slices.IndexFunc(m.nodes, func(x *meshNode) bool { return x.key.id == p.Relay })}})
			m.run(5 * time.Second)
			if took, comes := m.outage(0, 1); !comes || took > 1850*time.Millisecond {
				t.Errorf("seed %d: it took %v (they come: %v)", seed, took, comes)
			}
		})
	}
}

// The relay that one of two sends over dies; the other one sends over the same, or over another one. A round trip takes 80 ms, and QUIC
// sends again what was lost after about 0.1, 0.3, 0.8 and 1.7 seconds: packets come both ways before the last of these.
func TestBothLeaveARelayThatDies(t *testing.T) {
	square := graph{}.flip(link(0, 2)).flip(link(0, 3)).flip(link(1, 2)).flip(link(1, 3))
	for seed := range uint64(40) {
		synctest.Test(t, func(t *testing.T) {
			draw := rand.New(rand.NewPCG(seed, 0))
			m := newGraphMesh(t, 4, square, draw)
			for i := range m.delay {
				m.delay[i] = [maxGraph]time.Duration{20e6, 20e6, 20e6, 20e6, 20e6}
			}
			m.run(3*time.Second + time.Duration(draw.Int64N(int64(6*time.Second))))
			p, _ := m.nodes[0].Path(m.nodes[1].key.id)
			back := &m.nodes[1].core.peers[m.nodes[0].key.id].paths
			at := slices.IndexFunc(back.candidates, func(k *candidate) bool { return k.confirmed && (k.relay() != p.Relay) == (seed%2 > 0) })
			if at < 0 {
				t.Fatalf("seed %d: there is no such relay", seed)
			}
			back.best = back.candidates[at]
			m.run(time.Second)
			dies := slices.IndexFunc(m.nodes, func(x *meshNode) bool { return x.key.id == p.Relay })
			m.change(slices.Concat(link(0, dies), link(1, dies)))
			m.run(5 * time.Second)
			for _, pair := range [][2]int{{0, 1}, {1, 0}} {
				took, comes := m.outage(pair[0], pair[1])
				if !comes || took > 900*time.Millisecond {
					t.Errorf("seed %d: from %d to %d it took %v (they come: %v)", seed, pair[0], pair[1], took, comes)
				}
			}
		})
	}
}

// Who hears the other side over the way in use asks no more than every few seconds whether it still leads there.
func TestWayThatIsHeardIsNotProbed(t *testing.T) {
	for _, direct := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			r := newRelayed(t, addrR, addrS)
			if !direct {
				r.cut()
			}
			r.greet(t)
			r.talk(t, 3*time.Second)
			p, _ := r.a.Path(r.b.key.id)
			begin, probes := time.Now(), 0
			r.talk(t, 20*time.Second)
			r.a.mu2(func(c *core) {
				for _, d := range r.nw.sent(func(d sentDatagram) bool { return d.from == r.a.conn.addr && d.to == p.Remote && d.at.After(begin) }) {
					inner := d.data
					if e, err := parseEnvelope(inner); err == nil {
						inner = e.inner
					}
					if f, err := parseFrame(inner); err == nil && f.receiver == tagOf(r.b.key.id) {
						probes++
					}
				}
			})
			if probes < 4 || probes > 16 { // and as many replies
				t.Errorf("directly: %v: %d probes and replies", direct, probes)
			}
		})
	}
}
