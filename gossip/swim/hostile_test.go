package swim

import (
	"bytes"
	"context"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-msgpack/v2/codec"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/gossip/gossiptest"
)

// What memberlist puts on the wire, for those who forge it.
type (
	aliveMessage struct {
		Incarnation uint32
		Node        string
		Addr        []byte
		Port        uint16
		Meta        []byte
		Vsn         []uint8
	}
	claimMessage struct {
		Incarnation uint32
		Node, From  string
	}
	pingMessage struct {
		SeqNo      uint32
		Node       string
		SourceAddr []byte
		SourcePort uint16
		SourceNode string
	}
	syncHeader struct {
		Nodes, UserStateLen int
		Join                bool
	}
	syncNode struct {
		Name        string
		Addr        []byte
		Port        uint16
		Meta        []byte
		Incarnation uint32
		State       int
		Vsn         []uint8
	}
)

func encode(t testing.TB, kind byte, values ...any) []byte {
	t.Helper()
	b := bytes.NewBuffer([]byte{kind})
	e := codec.NewEncoder(b, &codec.MsgpackHandle{})
	for _, v := range values {
		if err := e.Encode(v); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

var versions = []uint8{1, 5, 2, 0, 0, 0}

func aliveOf(l life) aliveMessage {
	addr := l.id.Addr()
	return aliveMessage{
		Incarnation: 1, Node: l.String(), Addr: addr.Addr().AsSlice(), Port: addr.Port(),
		Meta: []byte("credential"), Vsn: versions,
	}
}

// pair starts two members that know each other; the first one is attacked.
func pair(t *testing.T) (c *cluster, victim *member) {
	c = newCluster(t)
	c.startAll(2)
	c.converged(5 * time.Second)
	time.Sleep(5 * time.Second)
	return c, c.nodes[0]
}

func TestQ13_ForgedMembersAreRefused(t *testing.T) {
	stranger := life{testID(77), 1}
	for name, forge := range map[string]func(a *aliveMessage){
		"another's address": func(a *aliveMessage) { a.Addr = testID(1).Addr().Addr().AsSlice() },
		"a real address":    func(a *aliveMessage) { a.Addr = net.IPv4(192, 0, 2, 1).To4() },
		"another port":      func(a *aliveMessage) { a.Port++ },
		"no epoch":          func(a *aliveMessage) { a.Node = stranger.id.String() },
		"epoch zero":        func(a *aliveMessage) { a.Node = stranger.id.String() + ".0" },
		"a padded epoch":    func(a *aliveMessage) { a.Node = stranger.id.String() + ".01" },
		"a huge epoch":      func(a *aliveMessage) { a.Node = stranger.id.String() + ".9223372036854775807" },
		"upper case":        func(a *aliveMessage) { a.Node = strings.ToUpper(a.Node) },
		"a long credential": func(a *aliveMessage) { a.Meta = make([]byte, maxCredential+1) },
		"odd versions":      func(a *aliveMessage) { a.Vsn = []uint8{5, 5, 5, 0, 0, 0} },
		"no versions":       func(a *aliveMessage) { a.Vsn = nil },
		"our own name":      func(a *aliveMessage) { *a = aliveOf(life{testID(0), 1}); a.Node = testID(0).String() + ".2" },
	} {
		bubble(t, func(t *testing.T) {
			_, victim := pair(t)
			a := aliveOf(stranger)
			forge(&a)
			victim.HandlePacket(testID(1), encode(t, kindAlive, a), time.Now())
			time.Sleep(time.Second)
			if got := victim.Members(); len(got) != 1 || got[0].ID != testID(1) {
				t.Errorf("%s: Members = %v, want the one true member", name, got)
			}
		})
	}
	bubble(t, func(t *testing.T) {
		_, victim := pair(t)
		victim.HandlePacket(testID(1), encode(t, kindAlive, aliveOf(stranger)), time.Now())
		time.Sleep(time.Second)
		if got := len(victim.Members()); got != 2 {
			t.Errorf("the unspoilt message was refused as well: %d members", got)
		}
	})
}

// A certified node may restart, but not flood the others with lives.
func TestQ15_LivesAreLimited(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, victim := pair(t)
		for epoch := uint64(1); epoch <= 2*maxLives; epoch++ {
			victim.HandlePacket(testID(1), encode(t, kindAlive, aliveOf(life{testID(77), epoch})), time.Now())
			synctest.Wait()
		}
		if got := victim.Members()[1].Epoch; got != maxLives {
			t.Errorf("epoch %d was admitted last, want %d", got, maxLives)
		}
		time.Sleep(lifeWindow + time.Second)
		victim.HandlePacket(testID(1), encode(t, kindAlive, aliveOf(life{testID(77), 100})), time.Now())
		time.Sleep(time.Second)
		if got := victim.Members()[1].Epoch; got != 100 {
			t.Errorf("epoch %d, want 100 after the window", got)
		}
	})
}

func TestH10_HostilePacketsAreDropped(t *testing.T) {
	top := claimMessage{1<<32 - 1, life{testID(1), 1}.String(), "x"}
	for name, test := range map[string]struct {
		packet []byte
		why    string
	}{
		"empty":             {nil, "malformed"},
		"unknown":           {[]byte{99}, "unexpected-kind"},
		"compressed":        {[]byte{9, 1, 2, 3}, "unexpected-kind"},
		"encrypted":         {[]byte{10}, "unexpected-kind"},
		"label":             {[]byte{244, 1, 'x'}, "unexpected-kind"},
		"push/pull":         {[]byte{kindPushPull}, "unexpected-kind"},
		"compound":          {[]byte{kindCompound, 1, 0, 9, 1}, "malformed"},
		"nested compound":   {[]byte{kindCompound, 1, 0, 2, kindCompound, 0}, "unexpected-kind"},
		"compressed inside": {[]byte{kindCompound, 1, 0, 1, 9}, "unexpected-kind"},
		"checksum alone":    {[]byte{kindCRC, 0, 0, 0, 0}, "malformed"},
		"claim":             {[]byte{kindDead, 0x81}, "malformed"},
		"top incarnation":   {encode(t, kindDead, top), "incarnation"},
		"top suspicion":     {encode(t, kindSuspect, top), "incarnation"},
		"too large":         {make([]byte, MaxPacket+1), "too-large"},
	} {
		bubble(t, func(t *testing.T) {
			_, victim := pair(t)
			victim.HandlePacket(testID(1), test.packet, time.Now())
			time.Sleep(time.Minute)
			if victim.dropped(test.why) != 1 {
				t.Errorf("%s: not one drop for %q", name, test.why)
			}
			if got := victim.status(testID(1)); got != micronet.Alive {
				t.Errorf("%s: the other member is %s", name, got)
			}
		})
	}
}

func TestPacketQueueIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		drops := 0
		wall := &blocking{release: make(chan struct{})}
		s := New(Config{
			Self: testID(0), Epoch: 1, Delegate: &gossiptest.Delegate{}, Transport: wall,
			Env: micronet.Env{Events: &micronet.Events{PacketDropped: func(micronet.PacketDrop) { drops++ }}},
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		synctest.Wait()
		addr := testID(1).Addr()
		ping := encode(t, kindPing, pingMessage{
			Node: string(s.name), SourceAddr: addr.Addr().AsSlice(), SourcePort: addr.Port(), SourceNode: testID(1).String(),
		})
		s.HandlePacket(testID(1), ping, time.Now())
		synctest.Wait() // memberlist's reader is in Send now
		for i := range packetQueue + 100 {
			s.HandlePacket(testID(1+i), ping, time.Now()) // nobody beyond a budget of its own
		}
		if drops != 100 {
			t.Errorf("%d packets were dropped, want 100", drops)
		}
		close(wall.release)
		cancel()
		<-ended
	})
}

// One member that sends all it can takes neither the place nor the time of others.
func TestQ16_BudgetOfASender(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, victim := pair(t)
		flood := encode(t, kindDead, claimMessage{1, life{testID(77), 1}.String(), life{testID(1), 1}.String()})
		const seconds = 10
		for range seconds * 1000 {
			victim.HandlePacket(testID(66), flood, time.Now())
			time.Sleep(time.Millisecond)
		}
		passed := seconds*1000 - victim.dropped("sender-rate")
		if most := senderBurst + seconds*senderRate + 1; passed > most || passed < most-50 {
			t.Errorf("%d packets passed, want about %d", passed, most)
		}
		if got := victim.dropped("queue-full"); got != 0 {
			t.Errorf("%d packets of others found no room", got)
		}
		if got := victim.status(testID(1)); got != micronet.Alive {
			t.Errorf("the honest member is %s", got)
		}
	})
}

// Budgets are forgotten, and their number is bounded.
func TestQ16_BudgetsAreBounded(t *testing.T) {
	s, now := senders{}, time.Unix(1000, 0)
	for i := range maxSenders {
		if !s.spend(now, testID(i)) {
			t.Fatalf("sender %d is refused", i)
		}
	}
	if s.spend(now, testID(maxSenders)) || !s.spend(now, testID(5)) {
		t.Error("want those refused that are too many, and nobody else")
	}
	s.expire(now.Add(senderFor - 1))
	if len(s) != maxSenders {
		t.Errorf("%d senders are left", len(s))
	}
	if s.expire(now.Add(senderFor)); len(s) != 0 {
		t.Errorf("%d senders are left after all were silent", len(s))
	}
}

// blocking is a Transport that breaks its promise not to block.
type blocking struct {
	release chan struct{}
}

func (b *blocking) Send(micronet.NodeID, []byte) error {
	<-b.release
	return nil
}

func (b *blocking) OpenStream(context.Context, micronet.NodeID) (net.Conn, error) {
	return nil, net.ErrClosed
}

// Pings name who shall be answered. Nobody who is not known gets a packet because of one.
func TestQ20_PingsReachOnlyKnownNodes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, victim := pair(t)
		target := c.fabric.add(Config{Self: testID(77), Epoch: 1, Delegate: &gossiptest.Delegate{}})
		addr := testID(77).Addr()
		ping := pingMessage{
			SeqNo: 1, Node: string(victim.name), SourceAddr: addr.Addr().AsSlice(), SourcePort: addr.Port(),
			SourceNode: target.self.String(),
		}
		for range 10 {
			victim.HandlePacket(testID(1), encode(t, kindPing, ping), time.Now())
		}
		time.Sleep(time.Second)
		if got := c.fabric.sentTo(testID(77)); got != 0 {
			t.Errorf("%d packets were sent to a stranger", got)
		}
		// Who was heard is answered.
		victim.HandlePacket(testID(77), encode(t, kindPing, ping), time.Now())
		time.Sleep(time.Second)
		if got := c.fabric.sentTo(testID(77)); got != 1 {
			t.Errorf("%d answers to a newcomer, want 1", got)
		}
	})
}

// A certified member that asks others to probe makes nobody send to who is no member, however often it asks. A
// member is probed each time, so that what is asked for is understood.
func TestQ20_IndirectProbesReachOnlyMembers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, victim := pair(t)
		c.fabric.add(Config{Self: testID(77), Epoch: 1, Delegate: &gossiptest.Delegate{}})
		const asked = 50
		probes := func(of micronet.NodeID) (sent int) {
			addr, source := of.Addr(), testID(1).Addr()
			ask := indirectPing{
				SeqNo: 1, Target: addr.Addr().AsSlice(), Port: addr.Port(), Node: life{of, 1}.String(), Nack: true,
				SourceAddr: source.Addr().AsSlice(), SourcePort: source.Port(), SourceNode: life{testID(1), 1}.String(),
			}
			before := c.fabric.sentTo(of)
			for range asked {
				victim.HandlePacket(testID(1), encode(t, kindIndirectPing, ask), time.Now())
			}
			time.Sleep(2 * time.Second)
			return c.fabric.sentTo(of) - before
		}
		if got := probes(testID(77)); got != 0 {
			t.Errorf("%d packets were sent to a stranger", got)
		}
		if _, err := c.start(2, 1).Join(t.Context(), victim.self.id); err != nil {
			t.Fatal(err)
		}
		c.converged(5 * time.Second)
		if got := probes(testID(2)); got < asked {
			t.Errorf("%d packets were sent to a member, want at least %d", got, asked)
		}
		if got := victim.status(testID(1)); got != micronet.Alive {
			t.Errorf("the other member is %s", got)
		}
	})
}

type indirectPing struct {
	SeqNo      uint32
	Target     []byte
	Port       uint16
	Node       string
	Nack       bool
	SourceAddr []byte
	SourcePort uint16
	SourceNode string
}

// One member that speaks an odd version keeps nobody from joining the others: it is left out everywhere.
func TestQ13_OddVersionsFailNobodysJoin(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, victim := pair(t)
		odd := aliveOf(life{testID(77), 1})
		odd.Vsn = []uint8{5, 5, 5, 0, 0, 0}
		for _, m := range c.nodes {
			if m.self.id != testID(1) {
				m.HandlePacket(testID(1), encode(t, kindAlive, odd), time.Now())
			}
		}
		time.Sleep(time.Second)
		fresh := c.start(5, 1)
		if n, err := fresh.Join(t.Context(), victim.self.id); err != nil || n != 1 {
			t.Errorf("Join = %d, %v", n, err)
		}
		time.Sleep(5 * time.Second)
		if got := len(fresh.Members()); got != 2 {
			t.Errorf("the newcomer sees %d members, want 2", got)
		}
	})
}

// One member that accuses everybody, as often as it may, is believed by nobody for longer than a refutation takes.
func TestH16_AccusationsOfAllAreRefuted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t)
		c.startAll(6)
		c.converged(5 * time.Second)
		time.Sleep(5 * time.Second)
		liar := c.nodes[0]
		for round := range 200 {
			for _, m := range c.nodes[1:] {
				for _, about := range c.nodes[1:] {
					accuse := claimMessage{uint32(1 + round), string(about.name), string(liar.name)}
					m.HandlePacket(liar.self.id, encode(t, kindSuspect, accuse), time.Now())
				}
			}
			time.Sleep(50 * time.Millisecond)
		}
		c.converged(5 * time.Second)
		for _, m := range c.nodes[1:] {
			if m.poisons.Load() != 0 {
				t.Error("an incarnation was driven to its end")
			}
		}
	})
}

func TestH15_HostileStreamsAreRefused(t *testing.T) {
	for name, first := range map[string][]byte{
		"compressed":   {9, 0x82},
		"user message": {kindUser, 0x81},
		"encrypted":    {10, 0, 0, 0, 1},
		"many nodes":   encode(t, kindPushPull, syncHeader{Nodes: maxSyncNodes + 1}, string(make([]byte, 64))),
		"much state":   encode(t, kindPushPull, syncHeader{UserStateLen: gossip.MaxState + 1}, string(make([]byte, 64))),
		"negative":     encode(t, kindPushPull, syncHeader{Nodes: -1}, string(make([]byte, 64))),
		"no header":    append([]byte{kindPushPull}, make([]byte, 64)...),
	} {
		bubble(t, func(t *testing.T) {
			c, victim := pair(t)
			here, there := newPipe(c.fabric, testID(1), testID(0))
			victim.HandleStream(there, testID(1))
			if _, err := here.Write(first); err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			answer, err := io.ReadAll(here)
			if err != nil || len(answer) > 0 && answer[0] == kindPushPull {
				t.Errorf("%s: answer %q, %v, want none or an error message", name, answer, err)
			}
			if took := time.Since(begin); took > time.Second {
				t.Errorf("%s: refused after %v", name, took)
			}
		})
	}
}

func TestH24_MembershipStreamsAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, victim := pair(t)
		var open []net.Conn
		from := func(peer micronet.NodeID, n int) {
			for range n {
				here, there := newPipe(c.fabric, peer, testID(0))
				victim.HandleStream(there, peer)
				open = append(open, here)
				synctest.Wait()
			}
		}
		from(testID(2), maxStreamsPerPeer+10)
		if got := victim.dropped("streams-full"); got != 10 {
			t.Errorf("%d streams of one peer were refused, want 10", got)
		}
		for i := range maxStreams / maxStreamsPerPeer {
			from(testID(3+i), maxStreamsPerPeer)
		}
		if got := victim.dropped("streams-full"); got != 10+maxStreamsPerPeer {
			t.Errorf("%d streams were refused, want %d", got, 10+maxStreamsPerPeer)
		}
		time.Sleep(time.Minute) // silent ones time out
		victim.carrier.mu.Lock()
		left := len(victim.carrier.open)
		victim.carrier.mu.Unlock()
		if left != 0 {
			t.Errorf("%d of %d silent streams are still open", left, len(open))
		}
	})
}

// A peer that lists us with the highest incarnation makes ours wrap; that is noticed, once.
func TestQ14_PoisonedIncarnationIsReported(t *testing.T) {
	for _, incarnation := range []uint32{1<<32 - 1, 1<<31 + 5} {
		bubble(t, func(t *testing.T) {
			c, victim := pair(t)
			addr := victim.self.id.Addr()
			poison := syncNode{
				Name: string(victim.name), Addr: addr.Addr().AsSlice(), Port: addr.Port(), Meta: victim.credential,
				Incarnation: incarnation, State: 1, Vsn: versions,
			}
			for range 2 {
				here, there := newPipe(c.fabric, testID(1), testID(0))
				victim.HandleStream(there, testID(1))
				if _, err := here.Write(encode(t, kindPushPull, syncHeader{Nodes: 1}, poison)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
			}
			if victim.poisons.Load() != 1 {
				t.Fatalf("Poisoned was called %d times, want once", victim.poisons.Load())
			}
			// The remedy: a new epoch is alive at once.
			c.end(victim)
			again := c.start(0, 2)
			if _, err := again.Join(t.Context(), testID(1)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(3 * time.Second)
			if !slices.ContainsFunc(c.nodes[1].Members(), func(m gossip.Member) bool { return m.Epoch == 2 && m.Status == micronet.Alive }) {
				t.Errorf("the new life is not alive: %v", c.nodes[1].Members())
			}
		})
	}
}

// An honest accusation below the limit is refuted by memberlist and nothing is reported.
func TestQ12_AccusationIsRefuted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, victim := pair(t)
		dead := claimMessage{5, string(victim.name), "somebody"}
		for _, m := range c.nodes {
			m.HandlePacket(testID(1-int(m.self.id[0])), encode(t, kindDead, dead), time.Now())
		}
		c.converged(5 * time.Second)
		time.Sleep(time.Minute)
		c.converged(0)
		if victim.poisons.Load() != 0 {
			t.Error("Poisoned was called for a modest incarnation")
		}
	})
}

// Two processes with one identity are a fault that its owner must hear of.
func TestCloneIsReported(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, victim := pair(t)
		for range 100 {
			victim.HandlePacket(testID(1), encode(t, kindAlive, aliveOf(life{testID(0), 9})), time.Now())
		}
		time.Sleep(time.Second)
		got := victim.told()
		if len(got) != reportBurst || !strings.Contains(got[0], "another process speaks as this node") {
			t.Errorf("reports %q, want %d about the clone", got, reportBurst)
		}
	})
}

// A fault on a member's input, which is caught above, leaves no lock behind: all others would wait for ever.
func TestFaultsLeaveNoLock(t *testing.T) {
	about := life{testID(2), 1}
	for name, do := range map[string]func(*Swim){
		"an alive message": func(s *Swim) { s.believe(claim{kind: kindAlive, node: []byte(about.String())}) },
		"a goodbye":        func(s *Swim) { s.noteGoodbye(time.Now(), claim{kind: kindDead, node: []byte(about.String())}) },
		"figures":          func(s *Swim) { s.changed(true) },
		"anything":         func(s *Swim) { s.locked(func() { panic("a fault") }) },
	} {
		s := New(Config{Self: testID(1), Epoch: 1})
		s.table = nil
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s brings no fault out", name)
				}
			}()
			do(s)
		}()
		if !s.mu.TryLock() {
			t.Errorf("after %s the lock is held", name)
		}
	}
}
