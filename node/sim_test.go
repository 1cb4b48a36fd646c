package node

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/gossip/swim"
	"github.com/micro/micro-net/internal/config"
	"github.com/micro/micro-net/node/api"
	"github.com/micro/micro-net/sim/netsim"
)

func TestThreeNodesInVirtualTime(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c")
		b.serve(all[1], "echo", "b")
		b.await(5*time.Second, "c calls echo", b.answers(all[2], "echo", "b"))
	})
}

func TestDeathAndReturn(t *testing.T) {
	inBubble(t, 2, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c")
		b.serve(all[1], "echo", "b")
		b.await(5*time.Second, "echo is known at c", b.answers(all[2], "echo", "b"))

		b.crash(all[1])
		b.await(12*time.Second, "b is dead everywhere", b.seen("b", micronet.Dead, "a", "c"))
		if s, err := all[2].backend().Services("echo"); err == nil {
			t.Errorf("the instance of a dead node is still there: %+v", s)
		}
		all[1].host.Restart()
		b.start("b", "")
		b.await(10*time.Second, "b is back", b.seen("b", micronet.Alive, "a", "c"))
	})
}

func TestPoliteStopIsLeftAtOnce(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c")
		begin := time.Now()
		b.halt(all[1])
		if took := time.Since(begin); took > time.Second {
			t.Errorf("an idle node took %v to stop, want at most 1 s", took)
		}
		b.await(time.Second, "b has left", b.seen("b", micronet.Left, "a", "c"))
		b.start("b", "")
		b.await(10*time.Second, "b is back without a token", b.seen("b", micronet.Alive, "a", "c"))
	})
}

// A node that stops gives connections time to end, but not for ever.
func TestStopWithOpenConnections(t *testing.T) {
	inBubble(t, 4, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b")
		ln := b.listen(all[0].host, "127.0.0.1:0")
		b.accept(ln, func(c net.Conn) { _, _ = c.Read(make([]byte, 1)) }) // says nothing
		b.register(all[0], "quiet", ln)
		b.await(5*time.Second, "quiet is known at b", func() error {
			_, err := b.lookup(context.Background(), all[1], "quiet")
			return err
		})
		var ends time.Duration
		c, err := all[1].node.Dial(context.Background(), "quiet")
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			_, _ = c.Read(make([]byte, 1))
			ends = time.Since(begin)
		})
		b.halt(all[1])
		if took := time.Since(begin); took < drainFor || took > drainFor+time.Second {
			t.Errorf("the node took %v to stop, want %v and at most 1 s more", took, drainFor)
		}
		wg.Wait()
		if ends < drainFor {
			t.Errorf("the connection was cut after %v, want %v", ends, drainFor)
		}
	})
}

func TestManyJoinAtOnce(t *testing.T) {
	inBubble(t, 5, func(t *testing.T, b *bubble) {
		const joiners = 9
		all := []*simNode{b.start("n0", "")}
		token := b.inviteWith(all[0], api.InviteRequest{Uses: joiners})
		for i := range joiners {
			all = append(all, b.launch(fmt.Sprintf("n%d", i+1), token))
		}
		for _, n := range all {
			if err := n.node.Ready(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		b.await(15*time.Second, "all see all", b.alive(joiners+1, all...))
		for i, n := range all {
			b.serve(n, fmt.Sprintf("s%d", i), n.host.Name())
		}
		b.await(5*time.Second, "all know all services", func() error {
			for _, n := range all {
				if got := n.backend().Status().Services; got != len(all) {
					return fmt.Errorf("%s knows %d services", n.host.Name(), got)
				}
			}
			return nil
		})
	})
}

// Two more of a cluster see the newcomer although the one it joined through dies right after.
func TestJoinOutlivesTheIntroducer(t *testing.T) {
	inBubble(t, 6, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c")
		d := b.start("d", b.invite(all[0]))
		b.crash(all[0])
		b.await(15*time.Second, "b, c and d see each other", b.alive(3, all[1], all[2], d))
		b.await(15*time.Second, "a is dead", b.seen("a", micronet.Dead, "b", "c", "d"))
	})
}

// One packet in five is lost: what broadcasts did not bring, the comparison of catalogs does.
func TestCatalogOverLossyLinks(t *testing.T) {
	inBubble(t, 7, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c", "d")
		b.world.SetDefaultLink(netsim.Link{Latency: 10 * time.Millisecond, Jitter: 5 * time.Millisecond, Loss: 0.2})
		for i := range 10 {
			for _, n := range all {
				s := complete(t, config.Service{Name: fmt.Sprintf("%s-%d", n.host.Name(), i), Port: 9000, Checks: config.Checks{None: true}})
				if _, err := n.backend().Register(0, []config.Service{s}); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(300 * time.Millisecond)
		}
		b.await(time.Minute, "all know all services", func() error {
			for _, n := range all {
				if got := n.backend().Status().Services; got != 40 {
					return fmt.Errorf("%s knows %d services", n.host.Name(), got)
				}
			}
			return nil
		})
	})
}

// No broadcast arrives at all: the comparison of catalogs alone brings the record.
func TestAntiEntropyAlone(t *testing.T) {
	inBubble(t, 8, func(t *testing.T, b *bubble) {
		b.start("a", "", mute)
		b.start("b", b.invite(b.nodes["a"]), mute)
		all := []*simNode{b.nodes["a"], b.nodes["b"]}
		b.await(10*time.Second, "both see both", b.alive(2, all...))
		lost := complete(t, config.Service{Name: "lost", Port: 9000, Checks: config.Checks{None: true}})
		if _, err := all[0].backend().Register(0, []config.Service{lost}); err != nil {
			t.Fatal(err)
		}
		b.await(2*syncEvery, "b knows the service", func() error {
			_, err := all[1].backend().Services("lost")
			return err
		})
	})
}

// mute makes a node whose broadcasts and synchronisations of membership say nothing of the catalog.
func mute(c *Config) {
	c.newMembership = func(sc swim.Config) gossip.Membership {
		sc.Delegate = deaf{sc.Delegate}
		return silentSwim{swim.New(sc)}
	}
}

type silentSwim struct{ *swim.Swim }

func (silentSwim) Broadcast(string, []byte) {}

type deaf struct{ gossip.Delegate }

func (deaf) State() []byte { return nil }
func (deaf) Merge([]byte)  {}

func TestPartitionHeals(t *testing.T) {
	inBubble(t, 9, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c", "d")
		b.serve(all[0], "one", "a")
		b.serve(all[2], "two", "c")
		for _, n := range all {
			b.await(5*time.Second, "one is called", b.answers(n, "one", "a"))
			b.await(5*time.Second, "two is called", b.answers(n, "two", "c"))
		}
		b.world.Partition([]*netsim.Host{all[0].host, all[1].host}, []*netsim.Host{all[2].host, all[3].host})
		b.await(15*time.Second, "each side sees two", b.alive(2, all...))
		time.Sleep(time.Minute)
		if got, err := b.call(all[1], "two", "x"); err == nil {
			t.Errorf("across the partition: %q", got)
		}
		if err := b.answers(all[1], "one", "a")(); err != nil {
			t.Errorf("within a side: %v", err)
		}
		b.world.Heal()
		healed := time.Now()
		b.await(15*time.Second, "all see all", b.alive(4, all...))
		for _, n := range all {
			left := time.Until(healed.Add(15 * time.Second))
			b.await(left, "one is called again", b.answers(n, "one", "a"))
			b.await(left, "two is called again", b.answers(n, "two", "c"))
		}
	})
}

// The founder, through which all joined, stays away: the others find each other by what they
// remember.
func TestRestartWithoutTheSeed(t *testing.T) {
	inBubble(t, 10, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c")
		time.Sleep(2 * saveEvery)
		for _, n := range all {
			b.crash(n)
		}
		for _, n := range all[1:] {
			n.host.Restart()
			b.launch(n.host.Name(), "")
		}
		for _, n := range all[1:] {
			if err := n.node.Ready(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		b.await(15*time.Second, "b and c see each other", b.alive(2, all[1], all[2]))
		b.await(15*time.Second, "a is dead", b.seen("a", micronet.Dead, "b", "c"))
	})
}

// All were stopped politely, one after the other, and come back.
func TestRestartAfterAllLeft(t *testing.T) {
	inBubble(t, 11, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c")
		for _, n := range all {
			b.halt(n)
		}
		for _, n := range all {
			b.launch(n.host.Name(), "")
		}
		for _, n := range all {
			if err := n.node.Ready(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		b.await(20*time.Second, "all see all", b.alive(3, all...))
	})
}

func TestLeaveGivesBackNameAndIdentity(t *testing.T) {
	inBubble(t, 12, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c")
		before := all[1].node.ID()
		if f, err := all[1].backend().Leave(context.Background(), api.LeaveRequest{}); err != nil || f.Warning != "" {
			t.Fatalf("leave: %+v, %v", f, err)
		}
		// Peers have been told when Leave returns.
		b.await(500*time.Millisecond, "b has left", b.seen("b", micronet.Left, "a", "c"))
		if err := b.ended(all[1], 2*time.Second); err != nil {
			t.Errorf("Run = %v after leave", err)
		}
		files, err := all[1].host.FS().ReadDir(testDir)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			switch f.Name() {
			case fileLock, fileVIPs, fileServices:
			default:
				t.Errorf("%s is still there", f.Name())
			}
		}
		// The name is free: another host takes it, and says that it wants no other.
		d := b.start("d", b.invite(all[0]), func(c *Config) { c.Name = "b" })
		if d.node.ID() == before {
			t.Error("the newcomer has the identity of the one that left")
		}
		// The one that left is a stranger now, and gets the next free name.
		again := b.start("b", b.invite(all[0]))
		if got := again.backend().Status().Node.Name; got != "b-2" || again.node.ID() == before {
			t.Errorf("after leaving and joining again: name %q, id as before: %v", got, again.node.ID() == before)
		}
	})
}

func TestOnlyAuthorityMayNotLeaveOthers(t *testing.T) {
	inBubble(t, 13, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b")
		_, err := all[0].backend().Leave(context.Background(), api.LeaveRequest{})
		wantError(t, "leave", err, micronet.Refused, "only authority", "join 1 other node any more")
		_, err = all[1].backend().Invite(api.InviteRequest{})
		wantError(t, "invite at b", err, micronet.Refused, "no authority", "run it on a")
	})
}

func TestJoinMovesALonelyDaemon(t *testing.T) {
	inBubble(t, 14, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b")
		lonely := b.start("c", "", func(c *Config) { c.Cluster = "other" })
		b.serve(lonely, "echo", "c")
		if err := lonely.backend().Join(context.Background(), b.invite(all[0])); err != nil {
			t.Fatal(err)
		}
		b.await(20*time.Second, "its service has come along", b.answers(all[1], "echo", "c"))
		if s := lonely.backend().Status(); s.Node.Cluster != "sim" || s.Node.Name != "c" {
			t.Errorf("it is %+v", s.Node)
		}
		wantError(t, "join again", lonely.backend().Join(context.Background(), b.invite(all[0])), micronet.Refused, "a member of \"sim\" already")
		_, err := lonely.backend().Invite(api.InviteRequest{})
		wantError(t, "invite as no authority", err, micronet.Refused, "run it on a")
		stranger := b.start("d", "", func(c *Config) { c.Cluster = "fourth" })
		wantError(t, "move with others", all[1].backend().Join(context.Background(), b.invite(stranger)), micronet.Refused, "has other nodes (2)", "leave")

		b.halt(lonely)
		b.start("c", "")
		b.await(20*time.Second, "it is there after a restart", b.answers(all[1], "echo", "c"))
	})
}

// The token of a daemon's command line is for the cluster before: it is in nobody's way after a move.
func TestJoinMovesADaemonThatJoinedOnce(t *testing.T) {
	inBubble(t, 18, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b")
		b.crash(all[0])
		all[1].life().contacts.forget(all[0].node.ID()) // a month has passed
		c := b.start("c", "", func(c *Config) { c.Cluster = "other" })
		if err := all[1].backend().Join(context.Background(), b.invite(c)); err != nil {
			t.Fatal(err)
		}
		b.await(20*time.Second, "it is with c", func() error {
			if all[1].life() == nil {
				return fmt.Errorf("between two lives: %v", all[1].err)
			}
			return b.alive(2, c, all[1])()
		})
	})
}

// An instance ends under traffic: callers go to the other one, and nothing arrives twice.
func TestInstanceKilledUnderTraffic(t *testing.T) {
	inBubble(t, 15, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c")
		count := newCounter()
		first := b.countedService(all[0], "web", "a", count)
		b.countedService(all[1], "web", "b", count)
		b.await(5*time.Second, "both are known at c", func() error {
			s, err := all[2].backend().Services("web")
			if err == nil && (len(s[0].Instances) != 2 || s[0].Instances[0].Health != micronet.Passing || s[0].Instances[1].Health != micronet.Passing) {
				err = fmt.Errorf("%+v", s[0].Instances)
			}
			return err
		})
		sent := 0
		for ; sent < 400; sent++ {
			if sent == 100 {
				if err := first.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := b.call(all[2], "web", fmt.Sprint(sent)); err != nil {
				t.Errorf("call %d failed: %v", sent, err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		if n, twice := count.result(); n != sent || len(twice) > 0 {
			t.Errorf("%d of %d calls arrived; more than once: %v", n, sent, twice)
		}
	})
}

// A host dies under traffic: calls fail in the first two seconds at most, and nothing arrives twice.
func TestHostKilledUnderTraffic(t *testing.T) {
	inBubble(t, 16, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c")
		count := newCounter()
		b.countedService(all[0], "web", "a", count)
		b.countedService(all[1], "web", "b", count)
		b.await(5*time.Second, "both are called from c", func() error {
			for i := range 20 {
				if _, err := b.call(all[2], "web", fmt.Sprintf("warm-%d", i)); err != nil {
					return err
				}
			}
			return nil
		})
		var killed time.Time
		var failed atomic.Int32
		var wg sync.WaitGroup
		for i := range 300 {
			if i == 50 {
				killed = time.Now()
				b.crash(all[1])
			}
			wg.Go(func() {
				_, err := b.call(all[2], "web", fmt.Sprint(i))
				if err != nil {
					failed.Add(1)
				}
				if began := time.Duration(i-50) * 20 * time.Millisecond; err != nil && began > 2*time.Second {
					t.Errorf("a call failed that began %v after the crash: %v", began, err)
				}
			})
			time.Sleep(20 * time.Millisecond)
		}
		wg.Wait()
		t.Logf("%d calls failed after the crash at %v", failed.Load(), killed.Format(time.TimeOnly))
		if _, twice := count.result(); len(twice) > 0 {
			t.Errorf("more than once: %v", twice)
		}
	})
}

// counter counts what arrives at backends.
type counter struct {
	mu   sync.Mutex
	seen map[string]int
}

func newCounter() *counter { return &counter{seen: map[string]int{}} }

func (c *counter) add(word string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen[word]++
}

// result returns how many different words arrived, and which of them more than once.
func (c *counter) result() (n int, twice []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for word, times := range c.seen {
		if times > 1 {
			twice = append(twice, word)
		}
	}
	return len(c.seen), twice
}

// countedService is serve, with what arrives counted.
func (b *bubble) countedService(n *simNode, service, says string, count *counter) net.Listener {
	ln := b.listen(n.host, "127.0.0.1:0")
	b.accept(ln, func(c net.Conn) {
		all := make([]byte, 64)
		k, err := c.Read(all)
		if err != nil || k == 0 {
			return // a check, or a caller that went away
		}
		count.add(string(all[:k]))
		_, _ = fmt.Fprintf(c, "%s:%s", says, all[:k])
	})
	b.register(n, service, ln)
	return ln
}

// Others know a later start of a node than its disk does: it starts again above that.
func TestFolderFromABackup(t *testing.T) {
	inBubble(t, 17, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c")
		old, err := all[1].host.FS().ReadFile(testDir + "/" + fileEpoch)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			b.halt(all[1])
			b.start("b", "")
			b.await(10*time.Second, "b is back", b.seen("b", micronet.Alive, "a", "c"))
		}
		known := all[1].life().epoch
		b.halt(all[1])
		if err := micronet.WriteFile(all[1].host.FS(), testDir+"/"+fileEpoch, old, secretPerm); err != nil {
			t.Fatal(err)
		}
		b.start("b", "")
		b.await(30*time.Second, "b is back", b.seen("b", micronet.Alive, "a", "c"))
		b.serve(all[1], "echo", "b")
		b.await(20*time.Second, "its record counts", b.answers(all[2], "echo", "b"))
		if got := all[1].life().records.epoch(); got <= known {
			t.Errorf("b is in epoch %d, others knew %d before", got, known)
		}
		if w := warned(all[1], keyTwice); w != nil {
			t.Errorf("its own past is taken for a twin: %s", w.Text)
		}
	})
}

// A node that starts says of nobody that it is dead before it could have heard it.
func TestRememberedPeersAreSuspectFirst(t *testing.T) {
	inBubble(t, 18, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c")
		b.halt(all[1])
		b.crash(all[2])
		time.Sleep(time.Minute)
		b.start("b", "")
		begin := time.Now()
		status := func(of *simNode) micronet.NodeStatus {
			s, _ := all[1].node.Snapshot()
			for _, n := range s.Nodes {
				if n.Name == of.host.Name() {
					return n.Status
				}
			}
			return ""
		}
		b.stays(9*time.Second, "nobody is dead", func() error {
			if sa, sc := status(all[0]), status(all[2]); sa == micronet.Dead || sc != micronet.Suspect {
				return fmt.Errorf("after %v a is %s, c is %s", time.Since(begin), sa, sc)
			}
			return nil
		})
		b.await(3*time.Second, "c is dead", b.seen("c", micronet.Dead, "b"))
		if s := status(all[0]); s != micronet.Alive {
			t.Errorf("a is %s", s)
		}
	})
}

// Nobody is lost: the loop that looks for lost peers sleeps.
func TestRedialSleeps(t *testing.T) {
	now := time.Unix(1000, 0)
	for _, c := range []struct {
		at   time.Time
		want time.Duration
	}{
		{time.Time{}, 5 * time.Second},
		{now, time.Millisecond},
		{now.Add(-time.Hour), time.Millisecond},
		{now.Add(2 * time.Second), 2 * time.Second},
		{now.Add(time.Hour), 5 * time.Second},
	} {
		if got := untilRedial(now, c.at); got != c.want {
			t.Errorf("untilRedial(%v) = %v, want %v", c.at, got, c.want)
		}
	}
}
