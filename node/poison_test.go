package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/gossip/swim"
	"github.com/micro/micro-net/tunnel"
)

// faults is what a node told of faults.
type faults struct {
	mu    sync.Mutex
	drops map[micronet.PacketDrop]int
	errs  []string
}

func (f *faults) events() *micronet.Events {
	f.drops = map[micronet.PacketDrop]int{}
	return &micronet.Events{
		PacketDropped: func(d micronet.PacketDrop) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.drops[d]++
		},
		BackgroundError: func(op string, err error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			if op == "node.panic" {
				f.errs = append(f.errs, err.Error())
			}
		},
	}
}

func (f *faults) of(peer micronet.NodeID, why string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.drops[micronet.PacketDrop{Where: "node", Why: why, Peer: peer}]
}

// A fault costs the input that brings it out, and the part that had it does not listen to who sent that for a while.
func TestQ19_FaultsAreCaught(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f faults
		p := newPoison(micronet.Env{Events: f.events()}.EnsureDefaults())
		peer, other := micronet.NodeID{1}, micronet.NodeID{2}
		if p.shuns(peer, "catalog") {
			t.Error("somebody is shunned from the start")
		}
		if _, some := p.warning(micronet.NodeID.Short); some {
			t.Error("a warning from the start")
		}
		fails := func() error { return []error{nil}[len(f.errs)+1] }
		err := p.guard(peer, "catalog", fails)
		if micronet.KindOf(err) != micronet.Internal || !strings.Contains(err.Error(), "index out of range") {
			t.Errorf("the fault became %v", err)
		}
		if !p.shuns(peer, "catalog") || p.shuns(peer, "ledger") || p.shuns(other, "catalog") {
			t.Error("want one part to shun one peer")
		}
		if len(f.errs) != 1 || !strings.Contains(f.errs[0], "poison_test.go") || len(f.errs[0]) > maxStack+200 {
			t.Errorf("what was told does not say where it was: %q", f.errs)
		}
		if f.of(peer, "panic") != 1 || f.of(peer, "shunned") != 1 {
			t.Errorf("counted: %v", f.drops)
		}
		if w, some := p.warning(func(micronet.NodeID) string { return "web-1" }); !some || w.Code != "fault" || !strings.Contains(w.Text, `"catalog" on what web-1 sent`) {
			t.Errorf("the warning is %+v, %v", w, some)
		}
		time.Sleep(shunFor)
		if p.shuns(peer, "catalog") {
			t.Error("shunned for ever")
		}
		if err := p.guard(micronet.NodeID{}, "join", fails); err == nil || p.shuns(micronet.NodeID{}, "join") {
			t.Error("want who is not known to be caught, and nobody shunned")
		}
		for i := range maxShunned + 10 {
			_ = p.guard(micronet.NodeID{3, byte(i), byte(i >> 8)}, "catalog", fails)
		}
		if n := len(p.until); n != maxShunned {
			t.Errorf("%d are remembered", n)
		}
		want := errors.New("its own")
		if err := p.guard(other, "catalog", func() error { return want }); err != want {
			t.Errorf("an error became %v", err)
		}
	})
}

// failing is a membership that cannot bear the packets or the streams of a peer.
type failing struct {
	*swim.Swim
	packets, streams *atomic.Pointer[micronet.NodeID]
}

func (f failing) HandlePacket(from micronet.NodeID, payload []byte, at time.Time) {
	if id := f.packets.Load(); id != nil && *id == from {
		panic("a packet that nobody expected")
	}
	f.Swim.HandlePacket(from, payload, at)
}

func (f failing) HandleStream(conn net.Conn, from micronet.NodeID) {
	if id := f.streams.Load(); id != nil && *id == from {
		panic("a stream that nobody expected")
	}
	f.Swim.HandleStream(conn, from)
}

// What one peer sends brings out a fault in packets, in streams that it opens and in streams to it: the daemon goes on,
// all are alive to all, and when it is over the peer is listened to again.
func TestQ19_FaultsEndNoDaemon(t *testing.T) {
	inBubble(t, 190, func(t *testing.T, b *bubble) {
		var f faults
		var packets, streams atomic.Pointer[micronet.NodeID]
		a := b.start("a", "")
		victim := b.start("b", b.invite(a), func(c *Config) {
			c.Env.Events = f.events()
			c.newMembership = func(sc swim.Config) gossip.Membership { return failing{swim.New(sc), &packets, &streams} }
		})
		c := b.start("c", b.invite(a))
		all, peer := []*simNode{a, victim, c}, c.life().self
		b.await(15*time.Second, "all see all", b.alive(3, all...))
		b.serve(victim, "echo", "b")
		b.await(5*time.Second, "c calls echo", b.answers(c, "echo", "b"))
		life := victim.life()

		streams.Store(&peer)
		b.await(2*time.Minute, "a stream of c fails", faultsOf(&f, peer, 1))
		streams.Store(nil)
		time.Sleep(shunFor)
		packets.Store(&peer)
		b.await(time.Minute, "a packet of c fails", faultsOf(&f, peer, 2))
		b.stays(20*time.Second, "all see all", b.alive(3, all...))
		b.await(5*time.Second, "c calls echo still", b.answers(c, "echo", "b"))
		if n := f.of(peer, "panic"); n != 2 || f.of(peer, "shunned") == 0 {
			t.Errorf("%d faults; want two, and that the rest is not listened to", n)
		}
		packets.Store(nil)

		broken := func(tunnel.Stream) error { panic("an answer that nobody expected") }
		ask := func() error {
			return life.withStream(context.Background(), peer, tunnel.PurposeCatalog, syncTime, broken)
		}
		wantError(t, "the first", ask(), micronet.Internal, "an answer that nobody expected")
		wantError(t, "the second", ask(), micronet.Refused, "asks again in a while")
		_ = life.poison.guard(peer, "test", func() error {
			return life.records.do(func(*gossip.Catalog, time.Time) (gossip.Outcome, error) { panic("a record that nobody expected") })
		})
		life.records.isSynced() // whoever fails gives back what it has locked
		warned := false
		for _, w := range victim.backend().Status().Warnings {
			warned = warned || w.Code == "fault"
		}
		if !warned || victim.life() != life {
			t.Errorf("status warns: %v; the same life: %v", warned, victim.life() == life)
		}
		time.Sleep(shunFor)
		before := f.of(peer, "shunned")
		time.Sleep(shunFor)
		if n := f.of(peer, "shunned"); n != before || b.alive(3, all...)() != nil {
			t.Errorf("c is shunned for ever: %d, then %d; %v", before, n, b.alive(3, all...)())
		}
	})
}

func faultsOf(f *faults, peer micronet.NodeID, want int) func() error {
	return func() error {
		if n := f.of(peer, "panic"); n < want {
			return fmt.Errorf("%d faults", n)
		}
		return nil
	}
}

// TestFaultsLeaveNoLockHeld: what runs where faults are caught gives its lock back when it fails.
func TestFaultsLeaveNoLockHeld(t *testing.T) {
	p := newPoison(micronet.Env{}.EnsureDefaults())
	var c contacts // without a book
	var g guard    // without counts
	for name, do := range map[string]func(){
		"contacts": func() { _ = c.check(micronet.NodeID{1}, nil) },
		"guard":    func() { g.note(micronet.Judgement{Rule: "r"}) },
	} {
		if p.guard(micronet.NodeID{}, "ledger", func() error { do(); return nil }) == nil {
			t.Errorf("%s: there was no fault", name)
		}
	}
	if !c.mu.TryLock() || !g.mu.TryLock() {
		t.Error("a lock is held")
	}
}
