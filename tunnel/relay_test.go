package tunnel

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	micronet "github.com/micro/micro-net"
)

const (
	addrR = "10.0.0.8:8085"
	addrS = "10.0.0.9:8085"
)

func relaySide(k testKey, relays bool, addr string) Local {
	l := Local{ID: k.id, BoxPrivate: k.private, Credential: k.credential(1, "", addr), Relay: relays}
	if relays {
		l.Credential = k.credential(1, relayMachine, addr)
	}
	return l
}

// relayed are two nodes that know each other and relays, and whom nobody's packets reach but the relays'.
type relayed struct {
	nw     *testNet
	a, b   *testNode
	relays []*testNode
}

func (r *relayed) all() []*testNode { return append([]*testNode{r.a, r.b}, r.relays...) }

// newRelayed runs a, b and relays, which all know each other.
func newRelayed(t *testing.T, addrs ...string) *relayed {
	t.Helper()
	r := &relayed{nw: newTestNet()}
	start := func(n byte, addr string, relays bool) *testNode {
		x := startNode(t, r.nw, newTestKey(n), uint64(n), addr, false)
		x.SetLocal(relaySide(x.key, relays, addr))
		return x
	}
	r.a, r.b = start(1, addrA, false), start(2, addrB, false)
	for i, addr := range addrs {
		r.relays = append(r.relays, start(byte(10+i), addr, true))
	}
	for _, x := range r.all() {
		for _, y := range r.all() {
			if x != y {
				p, err := verifyTest(relaySide(y.key, slices.Contains(r.relays, y), y.conn.addr.String()).Credential)
				if err != nil {
					t.Fatal(err)
				}
				x.AddPeer(p)
			}
		}
	}
	return r
}

// cut drops what a and b send each other directly.
func (r *relayed) cut() {
	a, b := r.a.conn.addr, r.b.conn.addr
	r.nw.setDrop(func(from, to netip.AddrPort, _ []byte) bool {
		return (from == a && to == b) || (from == b && to == a)
	})
}

// greet has a and b exchange packets with the relays, as gossip does.
func (r *relayed) greet(t *testing.T) {
	t.Helper()
	for _, x := range r.relays {
		r.a.say(t, x, "hello")
		r.b.say(t, x, "hello")
	}
	time.Sleep(time.Second)
}

// talk sends QUIC both ways for a while, and returns how long a waited for b's packets at most.
func (r *relayed) talk(t *testing.T, d time.Duration) (longest time.Duration) {
	t.Helper()
	const every = 20 * time.Millisecond
	last, heard := time.Now(), len(r.a.quic())
	for range int(d / every) {
		r.a.sendQUIC(t, r.b.key.id.UDPAddr(), "data")
		r.b.sendQUIC(t, r.a.key.id.UDPAddr(), "ack")
		time.Sleep(every)
		if n := len(r.a.quic()); n > heard {
			last, heard = time.Now(), n
		}
		longest = max(longest, time.Since(last))
	}
	return longest
}

func TestRelayCarriesBothWays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelayed(t, addrR)
		r.cut()
		r.greet(t)
		begin := time.Now()
		r.a.sendQUIC(t, r.b.key.id.UDPAddr(), "lost")
		for !slices.Contains(r.b.received(), "over") {
			if time.Since(begin) > 1500*time.Millisecond {
				p, _ := r.a.Path(r.b.key.id)
				t.Fatalf("nothing came over the relay: %+v, relay %v", p, nonZero(r.relays[0].Counters()))
			}
			time.Sleep(50 * time.Millisecond)
			_ = r.a.Send(r.b.key.id, ChannelMembership, []byte("over"))
		}
		r.talk(t, time.Second)
		for _, x := range []*testNode{r.a, r.b} {
			got := x.quic()
			if want := map[bool]string{true: "2 ack", false: "1 data"}[x == r.a]; !slices.Contains(got, want) {
				t.Errorf("no %q over the relay: %q", want, got)
			}
		}
		if p, _ := r.a.Path(r.b.key.id); p.Relay != r.relays[0].key.id || p.Remote != r.relays[0].conn.addr || !p.Confirmed || p.RTT != 4*wireDelay {
			t.Errorf("the path of a is %+v", p)
		}
		if got := r.relays[0].Counters(); got["relayed_packets"] == 0 || got["relayed_bytes"] == 0 {
			t.Errorf("the relay counted %v", nonZero(got))
		}
	})
}

// Nothing of the kind is done where the direct way works.
func TestNoRelayWithoutNeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelayed(t, addrR)
		r.greet(t)
		r.talk(t, 3*time.Second)
		if n := r.relays[0].Counters()["relayed_packets"]; n != 0 {
			t.Errorf("%d packets were relayed", n)
		}
	})
}

func TestDirectPathEndsAndComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelayed(t, addrR)
		r.greet(t)
		r.talk(t, 3*time.Second)
		r.cut()
		if gap := r.talk(t, 5*time.Second); gap > 2*time.Second {
			t.Errorf("traffic stood still for %v", gap)
		}
		if p, _ := r.a.Path(r.b.key.id); p.Relay != r.relays[0].key.id {
			t.Fatalf("the path of a is %+v", p)
		}
		r.nw.setDrop(nil)
		if gap := r.talk(t, 10*time.Second); gap > 100*time.Millisecond {
			t.Errorf("traffic stood still for %v on the way back", gap)
		}
		if p, _ := r.a.Path(r.b.key.id); !p.Relay.IsZero() {
			t.Errorf("a still uses the relay: %+v", p)
		}
	})
}

func TestAnotherRelayTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelayed(t, addrR, addrS)
		r.cut()
		r.greet(t)
		r.talk(t, 3*time.Second)
		p, _ := r.a.Path(r.b.key.id)
		for _, x := range r.relays {
			if x.key.id == p.Relay {
				x.stop()
			}
		}
		if gap := r.talk(t, 5*time.Second); gap > 2*time.Second {
			t.Errorf("traffic stood still for %v", gap)
		}
		q, _ := r.a.Path(r.b.key.id)
		if q.Relay.IsZero() || q.Relay == p.Relay {
			t.Errorf("a went from %+v to %+v", p, q)
		}
	})
}

func TestRemovedRelayIsNotUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelayed(t, addrR, addrS)
		r.cut()
		r.greet(t)
		r.talk(t, 2*time.Second)
		p, _ := r.a.Path(r.b.key.id)
		r.a.RemovePeer(p.Relay)
		r.b.RemovePeer(p.Relay)
		if q, _ := r.a.Path(r.b.key.id); q.Relay == p.Relay {
			t.Error("the removed relay is in use")
		}
		if gap := r.talk(t, 4*time.Second); gap > 2*time.Second {
			t.Errorf("traffic stood still for %v", gap)
		}
	})
}

func TestH20_EnvelopesWithWrongWays(t *testing.T) {
	inner := append([]byte{0xC0}, "data"...)
	tests := []struct {
		name, drop string
		make       func(r *relayed, c *core) []byte
	}{
		{"an unknown destination", "relay-unknown", func(r *relayed, c *core) []byte {
			return r.envelope(c, legTo, 77, inner)
		}},
		{"its sender", "relay-unknown", func(r *relayed, c *core) []byte {
			return r.envelope(c, legTo, tagOf(r.a.key.id), inner)
		}},
		{"itself", "relay-unknown", func(r *relayed, c *core) []byte {
			return r.envelope(c, legTo, tagOf(r.relays[0].key.id), inner)
		}},
		{"an envelope in an envelope", "envelope", func(r *relayed, c *core) []byte {
			return r.envelope(c, legTo, tagOf(r.b.key.id), r.envelope(c, legTo, tagOf(r.b.key.id), inner))
		}},
		{"a guest's hello", "envelope", func(r *relayed, c *core) []byte {
			return r.envelope(c, legTo, tagOf(r.b.key.id), []byte{firstGuest, 1})
		}},
		{"a forged proof", "envelope", func(r *relayed, c *core) []byte {
			b := r.envelope(c, legTo, tagOf(r.b.key.id), inner)
			b[envelopeProof] ^= 1
			return b
		}},
		{"another destination than was proved", "envelope", func(r *relayed, c *core) []byte {
			b := r.envelope(c, legTo, tagOf(r.b.key.id), inner)
			b[5] ^= 1
			return b
		}},
		{"a longer datagram than was proved", "envelope", func(r *relayed, c *core) []byte {
			return append(r.envelope(c, legTo, tagOf(r.b.key.id), inner), 0)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRelayed(t, addrR)
				r.cut()
				r.greet(t)
				var b []byte
				r.a.mu2(func(c *core) { b = tt.make(r, c) })
				before := r.relays[0].Counters()["dropped_"+tt.drop]
				r.nw.inject(r.a.conn.addr, r.relays[0].conn.addr, b)
				time.Sleep(time.Second)
				r.relays[0].wantDropped(t, tt.drop, before+1)
				if got := r.b.quic(); len(got) > 0 {
					t.Errorf("b received %q", got)
				}
			})
		})
	}
}

// envelope makes one of a's for the relay.
func (r *relayed) envelope(c *core, l leg, far tag, inner []byte) []byte {
	p := c.peers[r.relays[0].key.id]
	p.counter++
	return appendEnvelope(nil, p.proven, p.session, l, far, p.counter, inner)
}

func TestQ27_ReplayedEnvelopeIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelayed(t, addrR)
		r.cut()
		r.greet(t)
		r.talk(t, 2*time.Second)
		relay := r.relays[0]
		seen := r.nw.sent(func(d sentDatagram) bool { return d.data[0] == firstEnvelope && d.to == relay.conn.addr })
		if len(seen) == 0 {
			t.Fatal("no envelope was sent")
		}
		time.Sleep(time.Second)
		before, got := relay.Counters()["dropped_replay"], len(r.b.quic())
		for _, d := range seen {
			r.nw.inject(d.from, d.to, d.data)
		}
		time.Sleep(100 * time.Millisecond)
		if n := relay.Counters()["dropped_replay"] - before; n != uint64(len(seen)) {
			t.Errorf("%d of %d replayed envelopes were refused", n, len(seen))
		}
		if n := len(r.b.quic()); n != got {
			t.Errorf("b received %d replayed packets", n-got)
		}
	})
}

func TestQ27_RelayThatIsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelayed(t, addrR)
		l := relaySide(r.relays[0].key, true, addrR)
		l.Relay = false // it says so, and does not
		r.relays[0].SetLocal(l)
		r.cut()
		r.greet(t)
		r.talk(t, 3*time.Second)
		if len(r.b.quic()) > 0 || r.relays[0].Counters()["dropped_relay-off"] == 0 {
			t.Errorf("b received %d packets, relay %v", len(r.b.quic()), nonZero(r.relays[0].Counters()))
		}
	})
}

// A path has one relay: who reaches a node over a relay alone does not relay to it.
func TestQ27_OneRelayOnAPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelayed(t, addrR, addrS)
		a, b, first, second := r.a.conn.addr, r.b.conn.addr, r.relays[0].conn.addr, r.relays[1].conn.addr
		allowed := [][2]netip.AddrPort{{a, first}, {first, second}, {second, b}}
		r.nw.setDrop(func(from, to netip.AddrPort, _ []byte) bool {
			return !slices.Contains(allowed, [2]netip.AddrPort{from, to}) && !slices.Contains(allowed, [2]netip.AddrPort{to, from})
		})
		r.greet(t)
		r.relays[0].say(t, r.relays[1], "hello")
		r.relays[0].sendQUIC(t, r.b.key.id.UDPAddr(), "x")
		time.Sleep(2 * time.Second)
		_ = r.relays[0].Send(r.b.key.id, ChannelMembership, []byte("over the second"))
		r.talk(t, 5*time.Second)
		if !slices.Contains(r.b.received(), "over the second") {
			t.Error("b was not reached over one relay")
		}
		if slices.ContainsFunc(r.b.quic(), func(q string) bool { return strings.HasPrefix(q, "1 ") }) {
			t.Error("b was reached over two relays")
		}
	})
}

func TestHomesAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelayed(t, addrR, addrS)
		r.greet(t)
		tags := r.b.KeepHomes(true)
		if len(tags) != maxHomes {
			t.Fatalf("%d homes", len(tags))
		}
		time.Sleep(2 * time.Minute)
		quiet := time.Now().Add(-20 * time.Second)
		for _, x := range r.relays {
			if n := len(r.nw.sent(func(d sentDatagram) bool { return d.from == r.b.conn.addr && d.to == x.conn.addr && d.at.After(quiet) })); n == 0 {
				t.Error("a home was not kept")
			}
		}
		if again := r.b.KeepHomes(true); !slices.Equal(again, tags) {
			t.Errorf("homes changed from %v to %v", tags, again)
		}
		if none := r.b.KeepHomes(false); len(none) > 0 {
			t.Errorf("homes %v", none)
		}
		time.Sleep(time.Minute)
		last := time.Now()
		time.Sleep(time.Minute)
		if n := len(r.nw.sent(func(d sentDatagram) bool { return d.from == r.b.conn.addr && d.at.After(last) })); n != 0 {
			t.Errorf("%d packets although no home is kept", n)
		}
	})
}

// Two behind devices that let in only what was asked for meet over a relay, and then directly.
func TestMeetingOverARelayOpensTheWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelayed(t, addrR)
		a, b := r.a.conn.addr, r.b.conn.addr
		opened := map[[2]netip.AddrPort]bool{}
		r.nw.setDrop(func(from, to netip.AddrPort, _ []byte) bool {
			opened[[2]netip.AddrPort{from, to}] = true
			private := to == a || to == b
			return private && !opened[[2]netip.AddrPort{to, from}]
		})
		r.greet(t)
		for range 10 {
			r.a.sendQUIC(t, r.b.key.id.UDPAddr(), "x")
			time.Sleep(200 * time.Millisecond)
		}
		if p, _ := r.a.Path(r.b.key.id); !p.Relay.IsZero() || !p.Confirmed {
			t.Errorf("a uses %+v", p)
		}
	})
}

func TestStanding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, b := pairUp(t)
		a.say(t, b, "x")
		time.Sleep(time.Second)
		if a.Standing().Called || !b.Standing().Called {
			t.Errorf("a: %+v, b: %+v", a.Standing(), b.Standing())
		}
		if got := a.Standing().Seen; !slices.Equal(got, []netip.AddrPort{a.conn.addr}) {
			t.Errorf("a was seen at %v", got)
		}
		b.ForgetStanding()
		if got := b.Standing(); got.Called || len(got.Seen) != 0 {
			t.Errorf("b has not forgotten %+v", got)
		}
	})
}

func TestQ27_QuotaIsShared(t *testing.T) {
	q, now := newQuota(), time.Unix(0, 0)
	greedy, modest := &peer{}, &peer{}
	var got [2]int
	for ms := range 10_000 {
		at := now.Add(time.Duration(ms) * time.Millisecond)
		for range 200 { // 240 MB/s
			if q.take(at, greedy, 1200) {
				got[0] += 1200
			}
		}
		for range 20 { // 24 MB/s
			if q.take(at, modest, 1200) {
				got[1] += 1200
			}
		}
	}
	if want := 10_000 * 20 * 1200; got[1] < want*99/100 {
		t.Errorf("the modest one got %d of %d bytes", got[1], want)
	}
	if most := 10*relayRate/2 + relayBurst; got[0] > most {
		t.Errorf("the greedy one got %d bytes, more than %d", got[0], most)
	}
}

func FuzzEnvelope(f *testing.F) {
	k := newTestKey(1)
	pair, err := newPairing(k.private, k.id, newTestKey(2).id, newTestKey(2).public)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(appendEnvelope(nil, pair, session{1}, legTo, 7, 1, append([]byte{0xC0}, "data"...)))
	f.Add([]byte{firstEnvelope, 1})
	f.Add([]byte(strings.Repeat("\x82", 60)))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := parseEnvelope(b)
		if err != nil {
			return
		}
		if len(e.header)+len(e.inner) != len(b) || (!isQUIC(e.inner) && e.inner[0] != firstSealed) {
			t.Fatalf("parsed %d and %d bytes of %d", len(e.header), len(e.inner), len(b))
		}
		if e.proves(pair, session{1}) {
			t.Fatal("a proof was guessed")
		}
	})
}

// Packets of all sizes that a direct path carries come over a relay as well, but for single large ones: with those QUIC asks
// whether it may send such.
func TestRelayCarriesLargePackets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelayed(t, addrR)
		r.cut()
		r.greet(t)
		r.talk(t, 2*time.Second)
		for _, n := range []int{safeSize, safeSize + 1, maxCarried, maxCarried + 1, 1452} {
			text := strings.Repeat("x", n-1)
			count := func() (got int) {
				for _, q := range r.b.quic() {
					if q == "1 "+text {
						got++
					}
				}
				return got
			}
			for range 3 {
				r.a.sendQUIC(t, r.b.key.id.UDPAddr(), text)
				time.Sleep(100 * time.Millisecond)
			}
			want := 3
			if n > maxCarried {
				want = 2
			}
			if got := count(); got != want {
				t.Errorf("%d packets of %d bytes came, want %d: a %v", got, n, want, nonZero(r.a.Counters()))
			}
		}
	})
}

// Where packets get through one way alone, the side that is not heard must find out although it hears.
func TestRelayWhereOneWayIsCut(t *testing.T) {
	for offset := range 20 {
		synctest.Test(t, func(t *testing.T) {
			r := newRelayed(t, addrR, addrS)
			r.greet(t)
			r.talk(t, 3*time.Second+time.Duration(offset)*237*time.Millisecond)
			a, b := r.a.conn.addr, r.b.conn.addr
			r.nw.setDrop(func(from, to netip.AddrPort, _ []byte) bool { return from == b && to == a })
			if gap := r.talk(t, 8*time.Second); gap > 2*time.Second {
				t.Errorf("%d: traffic stood still for %v", offset, gap)
			}
			if p, _ := r.b.Path(r.a.key.id); p.Relay.IsZero() {
				t.Errorf("b still sends directly: %+v", p)
			}
		})
	}
}

// Two that were each other's relay and have lost both direct ways show no address, and do not ask each other for ever.
func TestRelaysOfEachOther(t *testing.T) {
	a, b := &peer{flow: newFlow(newTestKey(1).id)}, &peer{flow: newFlow(newTestKey(2).id)}
	a.paths.best, b.paths.best = newDetour(a, b), newDetour(b, a)
	for _, p := range []*peer{a, b} {
		if i := p.info(time.Time{}, time.Time{}); i.Remote.IsValid() || i.Relay.IsZero() {
			t.Errorf("%+v", i)
		}
	}
}

func TestTraceShowsAllWays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelayed(t, addrR)
		r.cut()
		r.greet(t)
		r.talk(t, 2*time.Second)
		ways, err := r.a.Trace(t.Context(), r.b.key.id)
		if err != nil || len(ways) != 2 {
			t.Fatalf("%+v, %v", ways, err)
		}
		if w := ways[0]; !w.InUse || !w.Confirmed || w.Relay != r.relays[0].key.id || w.Remote != r.relays[0].conn.addr || w.RTT != 4*wireDelay {
			t.Errorf("in use: %+v", w)
		}
		if w := ways[1]; w.InUse || w.Confirmed || !w.Relay.IsZero() || w.Remote != r.b.conn.addr || w.Missed == 0 {
			t.Errorf("the direct way: %+v", w)
		}
		if _, err := r.a.Trace(t.Context(), newTestKey(99).id); micronet.KindOf(err) != micronet.NotFound {
			t.Errorf("a stranger: %v", err)
		}
	})
}
