package tunnel

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// fade drops QUIC's packets between a and b, in one direction or in both, and lets sealed ones pass.
func (r *relayed) fade(both bool) {
	a, b := r.a.conn.addr, r.b.conn.addr
	r.nw.setDrop(func(from, to netip.AddrPort, data []byte) bool {
		return isQUIC(data) && ((from == a && to == b) || (both && from == b && to == a))
	})
}

func (r *relayed) wantWay(t *testing.T, x, to *testNode, relay *testNode) {
	t.Helper()
	p, _ := x.Path(to.key.id)
	if direct := p.Relay.IsZero(); direct != (relay == nil) || (!direct && p.Relay != relay.key.id) {
		t.Errorf("the path of %s to %s is %+v", x.key.id.Short(), to.key.id.Short(), p)
	}
}

func (r *relayed) wantNothingGrey(t *testing.T) {
	t.Helper()
	for _, x := range r.all() {
		if n := x.Counters()["ways_grey"]; n != 0 || slices.Contains(x.reasons(), pathGrey) {
			t.Errorf("%s took %d ways for grey: %v", x.key.id.Short(), n, x.reasons())
		}
	}
}

func TestGreyPathIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelayed(t, addrR)
		r.greet(t)
		r.talk(t, 3*time.Second)
		r.fade(true)
		if gap := r.talk(t, 5*time.Second); gap > 1500*time.Millisecond {
			t.Errorf("traffic stood still for %v", gap)
		}
		r.wantWay(t, r.a, r.b, r.relays[0])
		r.wantWay(t, r.b, r.a, r.relays[0])
		if !slices.Contains(r.a.reasons(), pathGrey) {
			t.Errorf("path changes: %v", r.a.reasons())
		}
		if gap := r.talk(t, 40*time.Second); gap > 100*time.Millisecond {
			t.Errorf("traffic stood still for %v while the path was tried", gap)
		}
		r.wantWay(t, r.a, r.b, r.relays[0])
		r.nw.setDrop(nil) // it rests until a second after that
		if gap := r.talk(t, 5*time.Second); gap > 100*time.Millisecond {
			t.Errorf("traffic stood still for %v on the way back", gap)
		}
		r.wantWay(t, r.a, r.b, nil)
	})
}

// What one side sends is lost, and what it receives tells nothing of that.
func TestGreyPathInOneDirection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelayed(t, addrR)
		r.greet(t)
		r.talk(t, 3*time.Second)
		r.fade(false)
		before := len(r.b.quic())
		r.talk(t, 1500*time.Millisecond)
		if len(r.b.quic()) == before {
			t.Error("nothing of what a sends arrives")
		}
		r.talk(t, 5*time.Second)
		r.wantWay(t, r.a, r.b, r.relays[0])
		r.wantWay(t, r.b, r.a, nil)
	})
}

// Who only answers learns from the way that questions come now that its answers do not arrive.
func TestGreyPathOfAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelayed(t, addrR)
		r.greet(t)
		exchange := func(d time.Duration) (longest time.Duration) {
			last, asked, answered := time.Now(), len(r.b.quic()), len(r.a.quic())
			for range int(d / (20 * time.Millisecond)) {
				r.a.sendQUIC(t, r.b.key.id.UDPAddr(), "question")
				if n := len(r.b.quic()); n > asked {
					asked = n
					r.b.sendQUIC(t, r.a.key.id.UDPAddr(), "answer")
				}
				time.Sleep(20 * time.Millisecond)
				if n := len(r.a.quic()); n > answered {
					last, answered = time.Now(), n
				}
				longest = max(longest, time.Since(last))
			}
			return longest
		}
		exchange(3 * time.Second)
		r.fade(true)
		if gap := exchange(5 * time.Second); gap > time.Second {
			t.Errorf("no answer for %v", gap)
		}
	})
}

// A relay that forwards probes and drops QUIC's packets is left for another one.
func TestGreyRelayIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelayed(t, addrR, addrS)
		a, b := r.a.conn.addr, r.b.conn.addr
		bad := r.relays[0]
		r.nw.setDrop(func(from, to netip.AddrPort, data []byte) bool {
			carried := data[0] == firstEnvelope && isQUIC(data[envelopeHeaderLen:])
			return (from == a && to == b) || (from == b && to == a) || (from == bad.conn.addr && carried)
		})
		r.greet(t)
		r.talk(t, 5*time.Second)
		if gap := r.talk(t, 10*time.Second); gap > 100*time.Millisecond {
			t.Errorf("traffic stood still for %v", gap)
		}
		r.wantWay(t, r.a, r.b, r.relays[1])
		r.wantWay(t, r.b, r.a, r.relays[1])
	})
}

// The way that takes the place of a dead one may be grey itself: packets go over others as well until it has shown that it is not.
func TestGreyRelayInAHurry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelayed(t, addrR, addrS)
		a, b := r.a.conn.addr, r.b.conn.addr
		r.greet(t)
		r.talk(t, 3*time.Second)
		for _, bad := range r.relays { // whichever is taken first
			r.nw.setDrop(func(from, to netip.AddrPort, data []byte) bool {
				carried := data[0] == firstEnvelope && isQUIC(data[envelopeHeaderLen:])
				return (from == a && to == b) || (from == b && to == a) || (from == bad.conn.addr && carried)
			})
			if gap := r.talk(t, 5*time.Second); gap > 800*time.Millisecond {
				t.Errorf("traffic stood still for %v", gap)
			}
			r.nw.setDrop(nil)
			r.talk(t, 20*time.Second)
			r.wantWay(t, r.a, r.b, nil)
		}
	})
}

// A device in front of a drops QUIC to everybody: the relays too are reached over each other, and forward all the same what goes to
// them directly.
func TestRelaysBehindGreyPaths(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelayed(t, addrR, addrS)
		r.greet(t)
		talk := func(d time.Duration) (longest time.Duration) {
			last, heard := time.Now(), len(r.b.quic())
			for range int(d / (20 * time.Millisecond)) {
				for _, x := range append([]*testNode{r.b}, r.relays...) {
					r.a.sendQUIC(t, x.key.id.UDPAddr(), "data")
					x.sendQUIC(t, r.a.key.id.UDPAddr(), "ack")
				}
				time.Sleep(20 * time.Millisecond)
				if n := len(r.b.quic()); n > heard {
					last, heard = time.Now(), n
				}
				longest = max(longest, time.Since(last))
			}
			return longest
		}
		talk(3 * time.Second)
		a := r.a.conn.addr
		r.nw.setDrop(func(from, to netip.AddrPort, data []byte) bool { return isQUIC(data) && (from == a || to == a) })
		talk(3 * time.Second)
		if gap := talk(20 * time.Second); gap > 100*time.Millisecond {
			t.Errorf("traffic stood still for %v", gap)
		}
		for _, x := range append([]*testNode{r.b}, r.relays...) {
			if p, _ := r.a.Path(x.key.id); p.Relay.IsZero() {
				t.Errorf("the path to %s is %+v", x.key.id.Short(), p)
			}
		}
	})
}

// As many relays are asked as it takes to find one that carries data.
func TestOneRelayThatIsNotGrey(t *testing.T) {
	for good := range 2 * maxDetours {
		synctest.Test(t, func(t *testing.T) {
			var addrs []string
			for i := range 2 * maxDetours {
				addrs = append(addrs, fmt.Sprintf("10.0.1.%d:8085", i+1))
			}
			r := newRelayed(t, addrs...)
			a, b := r.a.conn.addr, r.b.conn.addr
			r.greet(t)
			r.talk(t, 3*time.Second)
			r.nw.setDrop(func(from, to netip.AddrPort, data []byte) bool {
				carried := data[0] == firstEnvelope && isQUIC(data[envelopeHeaderLen:]) && from != a && from != b
				return (from == a && to == b) || (from == b && to == a) || (carried && from != r.relays[good].conn.addr)
			})
			r.talk(t, 10*time.Second)
			r.wantWay(t, r.a, r.b, r.relays[good])
			r.wantWay(t, r.b, r.a, r.relays[good])
		})
	}
}

// Relays that did not lead to the peer are asked again, also while another one answers and carries nothing.
func TestGreyRelayIsNoReasonToRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelayed(t, addrR, addrS)
		a, b := r.a.conn.addr, r.b.conn.addr
		bad, far := r.relays[0].conn.addr, r.relays[1].conn.addr
		r.greet(t)
		cut := func(away bool) {
			r.nw.setDrop(func(from, to netip.AddrPort, data []byte) bool {
				carried := data[0] == firstEnvelope && isQUIC(data[envelopeHeaderLen:])
				return (from == a && to == b) || (from == b && to == a) || (from == bad && carried) ||
					(away && ((from == far && to == b) || (from == b && to == far)))
			})
		}
		cut(true)
		r.talk(t, 30*time.Second)
		r.wantWay(t, r.a, r.b, r.relays[0])
		cut(false)
		r.talk(t, detourMost+5*time.Second)
		r.wantWay(t, r.a, r.b, r.relays[1])
	})
}

// Where no relay is, a grey path is left for TCP; but nobody is called because two packets got lost.
func TestGreyPathIsLeftForTCP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, nw, a, b := trunkedPair(t)
		a.talk(t, b, time.Second)
		cut := between(a, b)
		nw.setDrop(func(from, to netip.AddrPort, data []byte) bool { return isQUIC(data) && cut(from, to, data) })
		a.talk(t, b, time.Second)
		if n := w.calls(addrB); n > 0 {
			t.Errorf("%d calls on a suspicion", n)
		}
		a.talk(t, b, 2*time.Second)
		a.wantPath(t, b, true)
		nw.setDrop(nil)
		a.talk(t, b, greyRest+2*time.Second)
		a.wantPath(t, b, false)
	})
}

// Without another way the grey one is kept, and goes on when it carries again.
func TestGreyPathIsBetterThanNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelayed(t)
		r.a.say(t, r.b, "hello")
		time.Sleep(time.Second)
		r.talk(t, 3*time.Second)
		r.fade(true)
		r.talk(t, 30*time.Second)
		if r.a.Counters()["ways_grey"] == 0 {
			t.Error("the path is not grey")
		}
		if p, _ := r.a.Path(r.b.key.id); !p.Confirmed || slices.Contains(r.a.reasons(), PathLost) {
			t.Errorf("the path is %+v after %v", p, r.a.reasons())
		}
		r.nw.setDrop(nil)
		r.talk(t, time.Second)
		if gap := r.talk(t, 5*time.Second); gap > 100*time.Millisecond {
			t.Errorf("traffic stood still for %v", gap)
		}
		r.a.mu2(func(c *core) {
			if best := c.peers[r.b.key.id].paths.best; !best.carries() {
				t.Error("it carries again, and nobody says so")
			}
		})
	})
}

// When the way that took the place of a grey one ends, the grey one is taken again.
func TestGreyPathIsARefuge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelayed(t, addrR)
		r.greet(t)
		r.talk(t, 3*time.Second)
		r.fade(true)
		r.talk(t, 5*time.Second)
		r.wantWay(t, r.a, r.b, r.relays[0])
		r.relays[0].stop()
		r.nw.setDrop(nil)
		if gap := r.talk(t, 2*time.Second); gap > 800*time.Millisecond {
			t.Errorf("traffic stood still for %v", gap)
		}
		r.wantWay(t, r.a, r.b, nil)
	})
}

// Large packets alone leave: they count once it is known that their size passes.
func TestGreyPathOfLargePackets(t *testing.T) {
	for _, after := range []time.Duration{3000, 3250, 3500, 3750} { // tests of the size are a second apart
		synctest.Test(t, func(t *testing.T) {
			r := newRelayed(t, addrR)
			r.greet(t)
			large := quicPacket(string(bytes.Repeat([]byte{7}, 1400)))
			upload := func(d time.Duration) {
				for range int(d / (20 * time.Millisecond)) {
					_, _ = r.a.QUIC().WriteTo(large, r.b.key.id.UDPAddr())
					time.Sleep(20 * time.Millisecond)
				}
			}
			upload(after * time.Millisecond)
			r.fade(true)
			before := len(r.b.quic())
			if upload(900 * time.Millisecond); len(r.b.quic()) == before {
				t.Error("nothing arrives any more")
			}
			upload(2 * time.Second)
			r.wantWay(t, r.a, r.b, r.relays[0])
		})
	}
}

// A path that has become narrow is not grey: what is large is cut in two.
func TestNarrowPathIsNotGrey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelayed(t, addrR)
		r.greet(t)
		r.nw.setDrop(func(_, _ netip.AddrPort, data []byte) bool { return len(data) > 1252 })
		large := quicPacket(string(bytes.Repeat([]byte{7}, 1400)))
		for range 500 {
			_, _ = r.a.QUIC().WriteTo(large, r.b.key.id.UDPAddr())
			r.b.sendQUIC(t, r.a.key.id.UDPAddr(), "ack")
			time.Sleep(20 * time.Millisecond)
		}
		r.wantNothingGrey(t)
		r.wantWay(t, r.a, r.b, nil)
	})
}

// None of this is a grey path.
func TestWhatIsNotGrey(t *testing.T) {
	every := func(d, gap time.Duration, f func()) {
		for range int(d / gap) {
			f()
			time.Sleep(gap)
		}
	}
	for name, play := range map[string]func(t *testing.T, r *relayed){
		"nobody answers, as after a polite end": func(t *testing.T, r *relayed) {
			every(20*time.Second, 50*time.Millisecond, func() { r.a.sendQUIC(t, r.b.key.id.UDPAddr(), "data") })
		},
		"a receiver that acknowledges": func(t *testing.T, r *relayed) {
			every(20*time.Second, 10*time.Millisecond, func() { r.b.sendQUIC(t, r.a.key.id.UDPAddr(), "data") })
			every(20*time.Second, 10*time.Millisecond, func() { r.a.sendQUIC(t, r.b.key.id.UDPAddr(), "ack") })
		},
		"signs of life of an idle connection": func(t *testing.T, r *relayed) {
			every(60*time.Second, time.Second, func() { r.a.sendQUIC(t, r.b.key.id.UDPAddr(), "ping") })
		},
		"the last packet of a transfer is lost": func(t *testing.T, r *relayed) {
			r.talk(t, 2*time.Second)
			r.fade(true)
			r.a.sendQUIC(t, r.b.key.id.UDPAddr(), "ack")
			time.Sleep(60 * time.Second)
		},
		"every third packet is lost": func(t *testing.T, r *relayed) {
			dice := rand.New(rand.NewPCG(1, 2))
			r.nw.setDrop(func(_, _ netip.AddrPort, _ []byte) bool { return dice.Float64() < 0.3 })
			r.talk(t, 2*time.Minute)
		},
		"nothing passes for a while": func(t *testing.T, r *relayed) {
			r.cut()
			r.talk(t, 3*time.Second)
			r.nw.setDrop(nil)
			r.talk(t, 20*time.Second)
		},
		"the other process stands still": func(t *testing.T, r *relayed) {
			for _, d := range []time.Duration{300 * time.Millisecond, time.Second, 5 * time.Second} {
				r.b.conn.stall(d)
				r.talk(t, d+5*time.Second)
			}
		},
		"our own process stands still": func(t *testing.T, r *relayed) {
			for _, d := range []time.Duration{300 * time.Millisecond, time.Second, 5 * time.Second} {
				r.a.conn.stall(d)
				r.talk(t, d+5*time.Second)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRelayed(t, addrR)
				r.greet(t)
				r.talk(t, time.Second)
				play(t, r)
				r.wantNothingGrey(t)
			})
		})
	}
}

// The other process has started anew and counts from the beginning.
func TestRestartIsNotGrey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelayed(t, addrR)
		r.greet(t)
		for range 3 {
			r.talk(t, 200*time.Millisecond)
			r.b.stop()
			r.b = startNode(t, r.nw, r.b.key, uint64(time.Now().UnixNano()), addrB, false)
			r.b.SetLocal(relaySide(r.b.key, false, addrB))
			p, err := verifyTest(relaySide(r.a.key, false, addrA).Credential)
			if err != nil {
				t.Fatal(err)
			}
			r.b.AddPeer(p)
			r.talk(t, 2*time.Second)
		}
		r.wantNothingGrey(t)
	})
}

// A connection that is idle sends a packet a second, and whoever answers never hears of the answer: that costs a probe and no more.
func TestIdleConnectionCostsLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelayed(t, addrR)
		r.greet(t)
		r.talk(t, 3*time.Second)
		var sealed atomic.Int64
		r.nw.setDrop(func(_, _ netip.AddrPort, data []byte) bool {
			if !isQUIC(data) {
				sealed.Add(1)
			}
			return false
		})
		for range 60 {
			r.a.sendQUIC(t, r.b.key.id.UDPAddr(), "ping")
			time.Sleep(20 * time.Millisecond)
			r.b.sendQUIC(t, r.a.key.id.UDPAddr(), "ack")
			time.Sleep(980 * time.Millisecond)
		}
		if n := sealed.Load(); n > 60*3 {
			t.Errorf("%d probes and replies in a minute", n)
		}
	})
}

// The last packet of a conversation is none that got lost.
func TestLastPacketIsNotAskedAbout(t *testing.T) {
	_, p := lonePeer(t)
	s, now := &p.paths, time.Unix(2000, 0)
	s.best.confirm(now, time.Millisecond, true)
	s.met, s.unmet = now, now.Add(time.Millisecond)
	for n, want := range map[int]bool{1: false, suspectAfter: true} {
		s.best.asked = s.best.left.total()
		s.best.left.add(n, 100, 0)
		if got := s.curious(now.Add(quietAfter)); got != want {
			t.Errorf("%d packets: asked is %v", n, got)
		}
	}
}

// What QUIC brought allows an answer once, however often it is looked at.
func TestQUICIsCreditedOnce(t *testing.T) {
	c, p := lonePeer(t)
	k := p.paths.best
	k.binding = &binding{flow: p.flow}
	k.binding.received.Add(100)
	for range 3 {
		c.creditQUIC(k)
	}
	if k.binding.received.Add(10); k.allowance != 100*amplification {
		t.Errorf("100 bytes allow %d", k.allowance)
	}
	if c.creditQUIC(k); k.allowance != 110*amplification {
		t.Errorf("110 bytes allow %d", k.allowance)
	}
}

// What tests have told of a way says nothing of the next one.
func TestAnotherWay(t *testing.T) {
	_, p := lonePeer(t)
	for reason, untried := range map[string]bool{PathLost: true, pathSilent: true, pathGrey: true, pathStopped: true, pathFaster: false, pathConfirmed: false} {
		now := time.Unix(2000, 0)
		p.flow.wide.Store(1400)
		p.sizing.passed, p.sizing.passedAt, p.sizing.sent = 1400, now, now
		p.paths.best.reset()
		p.changeWay(reason)
		if p.flow.wide.Load() != 0 || p.sizing.passed != 0 || !p.sizing.passedAt.IsZero() || !p.sizing.sent.IsZero() {
			t.Errorf("%s: %+v", reason, p.sizing)
		}
		if p.paths.best.untried != untried {
			t.Errorf("%s: untried is %v", reason, !untried)
		}
	}
}

// batchSocket has a batch cut into packets of 500 bytes.
type batchSocket struct{ plainSocket }

func (batchSocket) segment([]byte) int { return 500 }

func TestBatchesAreCounted(t *testing.T) {
	u, f, left := &Underlay{socket: batchSocket{}}, &flow{}, new(tally)
	u.tell(left, f, make([]byte, 1400), nil)
	u.tell(left, f, make([]byte, 400), nil)
	if n := left.small.Load(); n != 4 {
		t.Errorf("%d packets, want 4", n)
	}
}

// A peer whose replies do not say what it received is never taken for grey.
func TestOlderPeerIsNotGrey(t *testing.T) {
	c, p := lonePeer(t)
	p.paths.best.left.add(100, 100, 0)
	for i := range 10 {
		now := time.Unix(2000+int64(i), 0)
		c.weigh(now, p, p.paths.best, sentProbe{at: now, small: uint64(100 * i)}, &message{kind: messageReply})
	}
	if !p.paths.best.carries() || c.greys != 0 {
		t.Error("it is not said what it received, and yet the way is grey")
	}
}

// lonePeer is a core with one peer, without a network.
func lonePeer(t *testing.T) (*core, *peer) {
	t.Helper()
	now := time.Unix(1000, 0)
	c, err := newCore(now, vantage{v4: true}, rand.NewChaCha8([32]byte{1}), verifyTest, newDirectory())
	if err != nil {
		t.Fatal(err)
	}
	out := new(effects)
	me, other := newTestKey(1), newTestKey(2)
	c.setLocal(now, Local{ID: me.id, BoxPrivate: me.private, Credential: me.credential(1, "", addrA)}, out)
	in, err := verifyTest(other.credential(1, "", addrB))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.addPeer(now, in, out); err != nil {
		t.Fatal(err)
	}
	return c, c.peers[other.id]
}
