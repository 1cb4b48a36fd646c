package node

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/config"
	"github.com/micro/micro-net/internal/policy"
	"github.com/micro/micro-net/node/api"
	"github.com/micro/micro-net/sim/netsim"
)

// onlyShop refuses calls of pay from whoever is not shop.
var onlyShop = policy.Rule{Name: "only-shop", From: policy.Callers{Service: "!shop"}, To: policy.Targets{Service: "pay"}, Action: policy.Deny}

// becomes makes the programs of a host run as a process.
func becomes(h *netsim.Host, pid int, p netsim.Program) {
	h.SetProgram(pid, p)
	h.SetCredentials(micronet.Credentials{PID: pid, UID: p.UID})
}

// TestQ25_AttestedByProcess: the service that a caller is taken for is what its own node found out by the
// process behind the connection, through VIP, proxy and API alike. What the program says does not count.
func TestQ25_AttestedByProcess(t *testing.T) {
	inBubble(t, 81, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b")
		b.serve(all[1], "pay", "b")
		b.await(5*time.Second, "pay answers", b.answers(all[0], "pay", "b"))
		host := all[0].host
		host.SetProgram(50, netsim.Program{Parent: 1, Start: 500, UID: 7})
		shop := withoutChecks("shop", 9000)
		shop[0].PID, shop[0].PIDStart = 50, 500
		if _, err := all[0].backend().Register(7, shop); err != nil {
			t.Fatal(err)
		}
		for _, n := range all {
			n.life().enforce(t.Context(), policy.Compile([]policy.Rule{onlyShop}))
		}
		socket := all[0].life().config.Daemon.Socket
		for _, c := range []struct {
			who  string
			p    netsim.Program
			want bool
		}{
			{"a child of shop", netsim.Program{Parent: 50, Start: 501, UID: 7}, true},
			{"another program", netsim.Program{Parent: 1, Start: 502, UID: 7}, false},
			{"a child of shop that runs for another user", netsim.Program{Parent: 50, Start: 503, UID: 0}, false},
		} {
			becomes(host, int(c.p.Start), c.p)
			if err := b.answers(all[0], "pay", "b")(); (err == nil) != c.want {
				t.Errorf("%s through the VIP: %v", c.who, err)
			}
			status, says := b.throughProxy(all[0], "http://pay/")
			if (status == http.StatusForbidden) == c.want {
				t.Errorf("%s through the proxy: %d, %s", c.who, status, says)
			}
			conn, err := api.NewClient(host.Env().Net, "unix://"+socket).Dial(t.Context(), "pay")
			if (err == nil) != c.want {
				t.Errorf("%s through the API: %v", c.who, err)
			}
			if err == nil {
				conn.Close()
				continue
			}
			contains(t, "the API's error", err.Error(), `refused by the policy "only-shop" at b`)
		}
		host.SetProgram(50, netsim.Program{Parent: 1, Start: 900, UID: 7})
		becomes(host, 950, netsim.Program{Parent: 50, Start: 950, UID: 7})
		if b.answers(all[0], "pay", "b")() == nil {
			t.Error("a process that has got the number of shop later is taken for shop")
		}
		becomes(host, 1, netsim.Program{})
	})
}

// TestQ25_AttestedThroughAForward: whoever connects to a port that a program forwards calls as that program, which
// is the one that the daemon sees, and as no other. So a forward gives its service to all who reach its port, and
// nobody's service gets through a forward of another.
func TestQ25_AttestedThroughAForward(t *testing.T) {
	inBubble(t, 86, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b")
		ln := b.listen(all[1].host, "127.0.0.1:0")
		b.accept(ln, func(c net.Conn) { _, _ = io.Copy(c, c) })
		b.register(all[1], "pay", ln)
		b.await(5*time.Second, "pay is known", func() error { _, err := b.lookup(t.Context(), all[0], "pay"); return err })
		host, shop := all[0].host, withoutChecks("shop", 9000)
		host.SetProgram(50, netsim.Program{Parent: 1, Start: 500})
		shop[0].PID, shop[0].PIDStart = 50, 500
		if _, err := all[0].backend().Register(0, shop); err != nil {
			t.Fatal(err)
		}
		for _, n := range all {
			n.life().enforce(t.Context(), policy.Compile([]policy.Rule{onlyShop}))
		}
		daemon := api.NewClient(host.Env().Net, "unix://"+all[0].life().config.Daemon.Socket)
		shops, stranger := netsim.Program{Parent: 50, Start: 501}, netsim.Program{Parent: 1, Start: 502}
		for _, c := range []struct {
			who           string
			user, forward netsim.Program
			want          bool
		}{
			{"a stranger through shop's forward", stranger, shops, true},
			{"shop through a stranger's forward", shops, stranger, false},
		} {
			port := b.listen(host, "127.0.0.1:0")
			becomes(host, int(c.user.Start), c.user)
			user, err := host.Env().Net.Dial(t.Context(), netip.Addr{}, micronet.AddrPortOf(port.Addr()))
			if err != nil {
				t.Fatal(err)
			}
			becomes(host, int(c.forward.Start), c.forward)
			here, err := port.Accept()
			if err != nil {
				t.Fatal(err)
			}
			up, err := daemon.Dial(t.Context(), "pay")
			if (err == nil) != c.want {
				t.Errorf("%s: %v", c.who, err)
			}
			if err != nil {
				contains(t, "the error", err.Error(), `refused by the policy "only-shop" at b`)
				continue
			}
			pass := func(to, from net.Conn) {
				_, _ = io.Copy(to, from)
				_, _ = to.Close(), from.Close()
			}
			b.wg.Go(func() { pass(up, here) })
			b.wg.Go(func() { pass(here, up) })
			say(t, user)
			// A rule against shop finds the connection, whose service is known at the called node.
			all[1].life().enforce(t.Context(), policy.Compile([]policy.Rule{{Name: "no-shop", From: policy.Callers{Service: "shop"}, Action: policy.Deny}}))
			if err := user.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := user.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s goes on although shop is refused", c.who)
			}
			all[1].life().enforce(t.Context(), policy.Compile([]policy.Rule{onlyShop}))
			_ = user.Close()
		}
		becomes(host, 1, netsim.Program{})
	})
}

// TestQ23_TighteningKnowsWhoCalled: a connection from before any policy asked for services is judged by
// the service that made it all the same, at the caller's own node.
func TestQ23_TighteningKnowsWhoCalled(t *testing.T) {
	inBubble(t, 82, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b")
		ln := b.listen(all[1].host, "127.0.0.1:0")
		b.accept(ln, func(c net.Conn) { _, _ = io.Copy(c, c) })
		b.register(all[1], "pay", ln)
		var vip netip.Addr
		b.await(5*time.Second, "pay is known", func() (err error) { vip, err = b.lookup(t.Context(), all[0], "pay"); return err })
		host, cart := all[0].host, withoutChecks("cart", 9000)
		cart[0].PID, cart[0].PIDStart = 60, 600
		if _, err := all[0].backend().Register(0, cart); err != nil {
			t.Fatal(err)
		}
		live := map[int]net.Conn{}
		for _, pid := range []int{60, 61} {
			becomes(host, pid, netsim.Program{Parent: 1, Start: uint64(10 * pid)})
			c, err := host.Env().Net.Dial(t.Context(), netip.Addr{}, netip.AddrPortFrom(vip, 7000))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			say(t, c)
			live[pid] = c
		}
		becomes(host, 1, netsim.Program{})
		noCart := policy.Compile([]policy.Rule{{Name: "no-cart", From: policy.Callers{Service: "cart"}, Action: policy.Deny}})
		all[1].life().enforce(t.Context(), noCart)
		say(t, live[60]) // b was never told who it is
		all[0].life().enforce(t.Context(), noCart)
		if _, err := live[60].Read(make([]byte, 1)); err == nil || err == io.EOF {
			t.Errorf("cart read %v, want a reset", err)
		}
		say(t, live[61])
	})
}

// TestSpeakers: who speaks for a service, and for whose processes.
func TestSpeakers(t *testing.T) {
	r := newRegistry(func() {})
	add := func(owner int, name string, change func(*config.Service)) {
		s := withoutChecks(name, 80)
		s[0].ID = name + "-" + string(rune('a'+len(r.all())))
		change(&s[0])
		if _, err := r.add(source{kind: "api"}, owner, s); err != nil {
			t.Fatal(err)
		}
	}
	pid := func(n int) func(*config.Service) {
		return func(s *config.Service) { s.PID, s.PIDStart, s.PIDBoot = n, uint64(n), "this" }
	}
	add(0, "web", pid(1))
	add(1000, "web", pid(2)) // root has it
	add(1000, "shop", pid(3))
	add(500, "jobs", func(s *config.Service) { s.Cgroup = "/jobs" }) // the daemon's user
	add(api.AnyOwner, "tcp", pid(4))
	add(0, "plain", func(*config.Service) {})
	want := map[string]micronet.Processes{
		"web":  {Root: micronet.ProcessID{PID: 1, Start: 1, Boot: "this"}, UID: micronet.AnyUser},
		"shop": {Root: micronet.ProcessID{PID: 3, Start: 3, Boot: "this"}, UID: 1000},
		"jobs": {Cgroup: "/jobs", UID: micronet.AnyUser},
	}
	got := r.speakers(500)
	if len(got) != len(want) || got[0].service != "jobs" || got[1].service != "web" || got[2].service != "shop" {
		t.Errorf("got %+v", got)
	}
	for _, s := range got {
		if want[s.service] != s.of {
			t.Errorf("%s: %+v, want %+v", s.service, s.of, want[s.service])
		}
	}
}

// TestGroupsOfOthersTakeNothing: whoever registers a control group that programs of others are in takes from none of them
// the service that they are of.
func TestGroupsOfOthersTakeNothing(t *testing.T) {
	host := netsim.New(1, netsim.Options{}).Host("h")
	host.SetProgram(50, netsim.Program{Parent: 1, Start: 500, UID: 7, Cgroup: "/web/x"})
	finder := host.Env().Net.(micronet.ProcessFinder)
	r := newRegistry(func() {})
	for _, g := range []struct {
		owner       int
		name, group string
	}{{8, "aaa", "/web/x"}, {7, "abc", "/web"}, {0, "pay", "/web"}} {
		s := withoutChecks(g.name, 80)
		s[0].ID, s[0].Cgroup = g.name, g.group
		if _, err := r.add(source{kind: "api"}, g.owner, s); err != nil {
			t.Fatal(err)
		}
	}
	speakers := r.speakers(0)
	if i := finder.SetOf(50, sets(speakers)); i < 0 || speakers[i].service != "pay" {
		t.Errorf("it is of %d of %+v, want pay", i, speakers)
	}
}

// A process that was registered speaks for its service after a restart of the daemon too.
func TestProcessesSurviveARestart(t *testing.T) {
	inBubble(t, 86, func(t *testing.T, b *bubble) {
		a := b.start("a", "")
		s := withoutChecks("shop", 9000)
		s[0].PID, s[0].PIDStart = 50, 500
		if _, err := a.backend().Register(7, s); err != nil {
			t.Fatal(err)
		}
		before := a.node.registry.speakers(0)
		b.halt(a)
		a = b.start("a", "")
		after := a.node.registry.speakers(0)
		if len(before) != 1 || len(after) != 1 || after[0] != before[0] || after[0].of.Root.Start != 500 {
			t.Errorf("before %+v, after %+v", before, after)
		}
	})
}

// slowFinder holds looks up until it is told.
type slowFinder struct {
	micronet.ProcessFinder
	looks int
	pass  chan struct{}
}

func (f *slowFinder) ClientSocket(c, _ netip.AddrPort) (micronet.Socket, bool) {
	return micronet.Socket{ID: uint64(c.Port())}, true
}

func (f *slowFinder) Sockets([]micronet.Processes) map[uint64]int {
	f.looks++
	<-f.pass
	return map[uint64]int{1: 0}
}

// TestLooksAreShared: however many call at once, the processes are looked through twice at most: what was
// seen before a connection was there says nothing of it.
func TestLooksAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &slowFinder{pass: make(chan struct{})}
		a := newAttestor(micronet.Env{}, func() []speaker { return []speaker{{service: "shop", of: micronet.Processes{UID: micronet.AnyUser}}} })
		a.finder = f
		var wg sync.WaitGroup
		ask := func(ctx context.Context, port uint16, want string) {
			wg.Go(func() {
				c := micronet.Caller{Addr: netip.AddrPortFrom(netip.IPv4Unspecified(), port)}
				if got := a.serviceOf(ctx, &c); got != want {
					t.Errorf("port %d is %q, want %q", port, got, want)
				}
			})
		}
		ask(t.Context(), 1, "shop")
		synctest.Wait()
		for range 50 {
			ask(t.Context(), 1, "shop")
			ask(t.Context(), 2, "")
		}
		ctx, cancel := context.WithCancel(t.Context())
		ask(ctx, 1, "")
		synctest.Wait()
		cancel()
		synctest.Wait()
		close(f.pass)
		wg.Wait()
		if f.looks != 2 {
			t.Errorf("%d looks, want 2", f.looks)
		}
	})
}
