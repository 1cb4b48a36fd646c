package tunnel

import (
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	micronet "github.com/micro/micro-net"
)

// inUse is the relay over which a sends to b, and the other one.
func (r *relayed) inUse(t *testing.T) (used, spare *testNode) {
	t.Helper()
	p, _ := r.a.Path(r.b.key.id)
	for i, x := range r.relays {
		if x.key.id == p.Relay {
			return x, r.relays[1-i]
		}
	}
	t.Fatalf("a uses no relay: %+v", p)
	return nil, nil
}

// parted tells a and b that a relay has said goodbye, or is back.
func (r *relayed) parted(relay *testNode, gone bool) {
	r.a.SetParted(relay.key.id, gone)
	r.b.SetParted(relay.key.id, gone)
}

// whyMoved lists the reasons of the changes of the path to a peer, after the first ones.
func (n *testNode) whyMoved(to micronet.NodeID, from int) (out []string) {
	for _, m := range n.changes()[from:] {
		if m.Peer == to {
			out = append(out, m.Reason)
		}
	}
	return out
}

// A relay that says goodbye is left while it still forwards: nobody waits until silence tells.
func TestRelayThatStopsIsLeftBeforeItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelayed(t, addrR, addrS)
		r.cut()
		r.greet(t)
		r.talk(t, 3140*time.Millisecond)
		used, spare := r.inUse(t)
		before := len(r.a.changes())
		r.parted(used, true)
		time.Sleep(50 * time.Millisecond) // nobody says anything meanwhile
		used.stop()
		if gap := r.talk(t, 3*time.Second); gap > 100*time.Millisecond {
			t.Errorf("traffic stood still for %v", gap)
		}
		if p, _ := r.a.Path(r.b.key.id); p.Relay != spare.key.id || !p.Confirmed {
			t.Errorf("the path of a is %+v", p)
		}
		if got := r.a.whyMoved(r.b.key.id, before); !slices.Equal(got, []string{pathStopped}) {
			t.Errorf("the path has changed because of %q", got)
		}
	})
}

// The other side may learn of it later: what it sends over the relay meanwhile still counts.
func TestRelayThatStopsIsLeftByOneSideFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelayed(t, addrR, addrS)
		r.cut()
		r.greet(t)
		r.talk(t, 3*time.Second)
		used, _ := r.inUse(t)
		r.a.SetParted(used.key.id, true)
		if gap := r.talk(t, 3*time.Second); gap > 100*time.Millisecond {
			t.Errorf("traffic stood still for %v", gap)
		}
		if p, _ := r.a.Path(r.b.key.id); p.Relay == used.key.id {
			t.Errorf("the path of a is %+v", p)
		}
	})
}

// Where no other relay is, the one that stops is used as long as it forwards; and nobody begins to use it.
func TestRelayThatStopsIsTheLastOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelayed(t, addrR)
		r.cut()
		r.greet(t)
		r.talk(t, 3*time.Second)
		r.parted(r.relays[0], true)
		if gap := r.talk(t, 5*time.Second); gap > 100*time.Millisecond {
			t.Errorf("traffic stood still for %v", gap)
		}
		r.nw.setDrop(nil)
		r.talk(t, 10*time.Second)
		if p, _ := r.a.Path(r.b.key.id); !p.Relay.IsZero() {
			t.Fatalf("the direct way is not taken: %+v", p)
		}
		time.Sleep(time.Minute)
		r.cut()
		before := r.relays[0].Counters()["relayed_packets"]
		r.talk(t, 10*time.Second)
		if n := r.relays[0].Counters()["relayed_packets"] - before; n != 0 {
			t.Errorf("%d packets were given to a relay that has said goodbye", n)
		}
	})
}

// Who stops is asked no more, also where the other node keeps in touch with it, and at once when it is back.
func TestRelayThatStoppedIsNotAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelayed(t, addrR)
		r.cut()
		r.greet(t)
		home := RelayTag(tagOf(r.relays[0].key.id))
		for x, y := range map[*testNode]*testNode{r.a: r.b, r.b: r.a} {
			p, _ := x.Peer(y.key.id)
			p.Relays = []RelayTag{home}
			x.AddPeer(p)
		}
		r.parted(r.relays[0], true)
		r.talk(t, 10*time.Second)
		if n := r.relays[0].Counters()["relayed_packets"]; n != 0 {
			t.Errorf("%d packets were given to it", n)
		}
		r.parted(r.relays[0], false)
		r.talk(t, 500*time.Millisecond)
		if p, _ := r.a.Path(r.b.key.id); p.Relay != r.relays[0].key.id {
			t.Errorf("the path of a is %+v once it is back", p)
		}
	})
}

// A relay that was not needed before is looked for while the one in use still forwards.
func TestRelayThatStopsHasAnotherOneLookedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelayed(t, addrR, addrS)
		a, b, late := r.a.conn.addr, r.b.conn.addr, r.relays[1].conn.addr
		r.nw.setDrop(func(from, to netip.AddrPort, _ []byte) bool {
			return (from == a && to == b) || (from == b && to == a) || from == late || to == late
		})
		r.greet(t)
		r.talk(t, time.Minute)
		r.cut()
		for _, x := range []*testNode{r.a, r.b} {
			for range 3 {
				_ = x.Send(r.relays[1].key.id, ChannelMembership, []byte("hello"))
				time.Sleep(20 * time.Millisecond)
			}
		}
		r.talk(t, time.Second)
		used, _ := r.inUse(t)
		r.parted(used, true)
		gap := r.talk(t, 200*time.Millisecond)
		used.stop()
		if gap = max(gap, r.talk(t, 3*time.Second)); gap > 100*time.Millisecond {
			t.Errorf("traffic stood still for %v", gap)
		}
	})
}

// A way over a relay that stops is the last one that is taken, however fast it was.
func TestPartingIsTheLastChoice(t *testing.T) {
	gone := &candidate{via: &peer{parted: time.Unix(1, 0)}, confirmed: true, rtt: roundTrip{value: time.Millisecond}}
	far := &candidate{confirmed: true, rtt: roundTrip{value: time.Second}}
	s := paths{candidates: []*candidate{gone, far}}
	for _, current := range []*candidate{nil, far} {
		if got, _ := s.pick(current); got != far {
			t.Errorf("from %p the one that stops is taken", current)
		}
	}
	s.candidates = []*candidate{gone}
	if got, _ := s.pick(nil); got != gone {
		t.Error("the only one is not taken")
	}
}

// A relay that is back is one like all others.
func TestRelayThatStoppedComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelayed(t, addrR, addrS)
		r.cut()
		r.greet(t)
		r.talk(t, 3*time.Second)
		used, spare := r.inUse(t)
		r.parted(used, true)
		r.talk(t, 2*time.Second)
		r.parted(used, false)
		for _, w := range r.a.ways(r.b.key.id) {
			if w.Relay == used.key.id && w.Confirmed {
				t.Errorf("it is believed to lead there before it was asked: %+v", w)
			}
		}
		if gap := r.talk(t, 2*time.Second); gap > 100*time.Millisecond {
			t.Errorf("traffic stood still for %v when it came back", gap)
		}
		r.parted(spare, true)
		if gap := r.talk(t, 2*time.Second); gap > 100*time.Millisecond {
			t.Errorf("traffic stood still for %v", gap)
		}
		if p, _ := r.a.Path(r.b.key.id); p.Relay != used.key.id {
			t.Errorf("the path of a is %+v", p)
		}
	})
}

// A node keeps in touch with no relay that has said goodbye.
func TestHomeThatStopsIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelayed(t, addrR, addrS)
		r.greet(t)
		if got := r.a.KeepHomes(true); len(got) != 2 {
			t.Fatalf("homes %v", got)
		}
		r.a.SetParted(r.relays[0].key.id, true)
		if got := r.a.KeepHomes(true); len(got) != 1 || got[0] != RelayTag(tagOf(r.relays[1].key.id)) {
			t.Errorf("homes %v", got)
		}
		r.a.SetParted(r.relays[0].key.id, false)
		if got := r.a.KeepHomes(true); len(got) != 2 {
			t.Errorf("homes %v once it is back", got)
		}
	})
}

// Relaying tells whether packets of others are forwarded.
func TestRelaying(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelayed(t, addrR)
		r.cut()
		r.greet(t)
		if r.relays[0].Relaying(time.Second) {
			t.Error("nothing was forwarded yet")
		}
		r.talk(t, 3*time.Second)
		if !r.relays[0].Relaying(100 * time.Millisecond) {
			t.Error("packets are forwarded")
		}
		time.Sleep(200 * time.Millisecond)
		if r.relays[0].Relaying(100 * time.Millisecond) {
			t.Error("nothing is forwarded any more")
		}
	})
}
