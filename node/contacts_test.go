package node

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/internal/osenv"
	"github.com/micro/micro-net/sim/netsim"
)

// people makes contacts over a disk, with a clock that the test turns.
func people(t *testing.T) (c *contacts, h *netsim.Host, wall *time.Time) {
	t.Helper()
	h = netsim.New(1, netsim.Options{}).Host("h")
	now := time.Unix(1_000_000, 0).UTC()
	env := osenv.Fill(h.Env())
	env.Wall = func() time.Time { return now }
	d := disk{fs: env.FS, dir: testDir}
	if _, err := d.open(); err != nil {
		t.Fatal(err)
	}
	keys, err := identity.NewKeys(env.Entropy)
	if err != nil {
		t.Fatal(err)
	}
	pass, err := found(env, d, keys, "main", "self")
	if err != nil {
		t.Fatal(err)
	}
	if c, err = loadContacts(env, d, pass); err != nil {
		t.Fatal(err)
	}
	return c, h, &now
}

func credential(n int, epoch, seq uint64) identity.Credential {
	return identity.Credential{ID: id(n), Name: fmt.Sprintf("node-%d", n), Self: identity.Self{Epoch: epoch, Seq: seq}}
}

func TestContactsLearn(t *testing.T) {
	c, _, _ := people(t)
	for _, step := range []struct {
		epoch, seq uint64
		want       bool
	}{{2, 5, true}, {2, 5, false}, {2, 4, false}, {1, 9, false}, {2, 6, true}, {3, 1, true}} {
		if got := c.learn(credential(1, step.epoch, step.seq), []byte{byte(step.epoch), byte(step.seq)}); got != step.want {
			t.Errorf("epoch %d, sequence %d: %v, want %v", step.epoch, step.seq, got, step.want)
		}
	}
	if p := c.remembered(); len(p) != 1 || string(p[0].Credential) != "\x03\x01" || c.name(id(1)) != "node-1" {
		t.Errorf("remembered are %+v", p)
	}
	c.forget(id(1))
	if len(c.remembered()) != 0 || len(c.known) != 0 {
		t.Error("who was forgotten is remembered")
	}
	authority := credential(2, 1, 1)
	authority.Flags = identity.FlagAuthority | identity.FlagRelay
	c.learn(authority, []byte{1})
	if !c.isAuthority(id(2)) || c.isAuthority(id(1)) {
		t.Error("the authority is not told from others")
	}
}

// Nodes in one network are in one place.
func TestContactsPlace(t *testing.T) {
	c, _, _ := people(t)
	for n, x := range []struct {
		endpoints []string
		want      string
	}{
		{nil, ""},
		{[]string{"127.0.0.1:1"}, ""},
		{[]string{"127.0.0.1:1", "10.1.2.3:8085", "10.9.9.9:8085"}, "10.1.2.0/24"},
		{[]string{"[::ffff:10.1.2.9]:8085"}, "10.1.2.0/24"},
		{[]string{"[fe80::1]:1", "[2001:db8:1:2::3]:8085"}, "2001:db8:1::/48"},
	} {
		cred := credential(n, 1, 1)
		for _, e := range x.endpoints {
			cred.Endpoints = append(cred.Endpoints, netip.MustParseAddrPort(e))
		}
		c.learn(cred, []byte{1})
		if got := c.place(id(n)); got != x.want {
			t.Errorf("%v is in %q, want %q", x.endpoints, got, x.want)
		}
	}
	if got := c.place(id(99)); got != "" {
		t.Errorf("a stranger is in %q", got)
	}
}

// The book is written when it changed, and again after a failure; it remembers who is alive.
func TestContactsSave(t *testing.T) {
	c, h, wall := people(t)
	writes := 0
	var fault error
	h.Disk().SetFault(func(op, path string) error {
		if op == "create" && path == testDir+"/"+filePeers+".tmp" {
			writes++
			return fault
		}
		return nil
	})
	alive := map[micronet.NodeID]bool{id(1): true}
	isAlive := func(id micronet.NodeID) bool { return alive[id] }
	c.learn(credential(1, 1, 1), []byte{1})
	c.learn(credential(2, 1, 1), []byte{2})
	for _, step := range []struct {
		what   string
		passed time.Duration
		fault  error
		want   int
	}{
		{"what is new, with a full disk", 0, syscall.ENOSPC, 1},
		{"again", 0, nil, 1},
		{"nothing new", 0, nil, 0},
		{"a minute later", time.Minute, nil, 0},
		{"an hour later one is still alive", time.Hour, nil, 1},
		{"and then nothing is new", 0, nil, 0},
	} {
		*wall = wall.Add(step.passed)
		writes, fault = 0, step.fault
		c.heard(isAlive)
		c.save()
		if writes != step.want {
			t.Errorf("%s: %d writes, want %d", step.what, writes, step.want)
		}
	}
	if s := c.silent(); !slices.Equal(s, []silence{{id: id(1), ago: 0}, {id: id(2), ago: time.Hour + time.Minute}}) {
		t.Errorf("silent are %v", s)
	}
	*wall = wall.Add(gossip.DefaultKeep)
	c.heard(isAlive)
	if s := c.silent(); len(s) != 1 {
		t.Errorf("after three days %v are told of, want one", s)
	}
	// The book itself forgets after 30 days, while the daemon runs.
	*wall = wall.Add(gossip.PeerKept - gossip.DefaultKeep)
	c.heard(isAlive)
	if p := c.remembered(); len(p) != 1 || p[0].ID != id(1) || len(c.known) != 1 {
		t.Errorf("after 30 days %+v are remembered, want the one that is alive", p)
	}
	c.save()
	again, err := loadContacts(c.env, c.disk, c.pass)
	if err != nil || len(again.remembered()) != 1 || !again.remembered()[0].Heard.Equal(*wall) {
		t.Errorf("from disk: %+v, %v", again.remembered(), err)
	}
	writes = 0
	c.drop()
	c.learn(credential(3, 1, 1), []byte{3})
	c.save()
	if writes != 0 {
		t.Error("the book was written after it was dropped")
	}
}

func TestContactsAreBounded(t *testing.T) {
	c, _, wall := people(t)
	for i := range gossip.MaxPeers + 100 {
		*wall = wall.Add(time.Second)
		c.learn(credential(i, 1, 1), []byte{1})
	}
	if n, known := len(c.remembered()), len(c.known); n != gossip.MaxPeers || known > gossip.MaxPeers {
		t.Errorf("%d are remembered and %d known, want %d", n, known, gossip.MaxPeers)
	}
}

// A VIP that could not be written down is not told, and is once it could be.
func TestVIPsAndTheDisk(t *testing.T) {
	d, h := testDisk()
	if _, err := d.open(); err != nil {
		t.Fatal(err)
	}
	prefix := netip.MustParsePrefix("127.80.0.0/12")
	v, err := loadVIPs(d, prefix)
	if err != nil {
		t.Fatal(err)
	}
	web := micronet.Destination{Service: "web"}
	failAfter(h.Disk(), 0)
	for range 2 {
		if a, err := v.of(web); err == nil {
			t.Errorf("%v was told, and is not on disk", a)
		}
		if _, err := v.ofServices([]string{"web", "api"}); err == nil {
			t.Error("several were told, and are not on disk")
		}
		if a := v.ofNode(id(1)); a.String() != "127.80.0.1" {
			t.Errorf("a caller stands for %v, want the first of the prefix", a)
		}
	}
	h.Disk().SetFault(nil)
	a, err := v.of(web)
	if err != nil {
		t.Fatal(err)
	}
	writes := 0
	h.Disk().SetFault(func(op, path string) error {
		if op == "create" && !strings.Contains(path, spareSuffix) {
			writes++
		}
		return nil
	})
	all, err := v.ofServices([]string{"web", "one", "two", "three"})
	if err != nil || len(all) != 4 || all["web"] != a || writes != 1 {
		t.Errorf("ofServices = %v, %v in %d writes, want one", all, err, writes)
	}
	h.Disk().SetFault(nil)
	failAfter(h.Disk(), 0)
	if _, err := v.of(micronet.Destination{Service: "late"}); err == nil {
		t.Error("a new address was told, and is not on disk")
	}
	if b, err := v.of(web); err != nil || b != a {
		t.Errorf("the disk is full, and web is %v, %v", b, err)
	}
	if some, err := v.ofServices([]string{"web", "late"}); err == nil || len(some) != 1 || some["web"] != a {
		t.Errorf("the disk is full, and services are %v, %v", some, err)
	}
	h.Disk().SetFault(func(op, path string) error {
		if op == "create" && !strings.Contains(path, spareSuffix) {
			writes++
		}
		return nil
	})
	writes = 0
	caller := v.ofNode(id(1))
	if _, err := v.ofServices([]string{"web", "one"}); err != nil || writes != 1 || !prefix.Contains(caller) {
		t.Errorf("nothing new was written: %d writes, caller %v, %v", writes, caller, err)
	}
	again, err := loadVIPs(d, prefix)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := again.of(web); err != nil || b != a {
		t.Errorf("after a restart web is %v, %v; it was %v", b, err, a)
	}
	if got, ok := again.destination(a); !ok || got != web {
		t.Errorf("%v stands for %v, %v", a, got, ok)
	}
	if got, ok := again.node(caller); !ok || got != id(1) || again.ofNode(id(1)) != caller {
		t.Errorf("%v stands for %v, %v", caller, got, ok)
	}
}

func TestLedger(t *testing.T) {
	var l ledger
	l = l.with("a", id(1)).with("b", id(2))
	l.Exported = true
	moved := l.with("c", id(1))
	if fmt.Sprint(len(moved.Names)) != "2" || moved.Names["c"] != id(1) || !moved.Exported {
		t.Errorf("a node has one name: %+v", moved)
	}
	if len(l.without(id(1)).Names) != 1 || len(l.Names) != 2 {
		t.Error("without changes what it is called on, or frees nothing")
	}
}

// Who was met is on disk seconds later, in one write however many there are; what else changed within a
// minute.
func TestContactsKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, h, _ := people(t)
		var writes atomic.Int32
		h.Disk().SetFault(func(op, path string) error {
			if op == "create" && path == testDir+"/"+filePeers+".tmp" {
				writes.Add(1)
			}
			return nil
		})
		ctx, stop := context.WithCancel(t.Context())
		kept := make(chan error)
		go func() { kept <- c.keep(ctx, func(micronet.NodeID) bool { return true }) }()
		for _, step := range []struct {
			what string
			do   func()
			wait time.Duration
			want int
		}{
			{"many are met", func() {
				for n := range 20 {
					c.learn(credential(n, 1, 1), []byte{byte(n)})
				}
			}, saveSoon - time.Millisecond, 0},
			{"and are written at once", func() {}, 2 * time.Millisecond, 1},
			{"one says the same again", func() { c.learn(credential(1, 1, 2), []byte{1}) }, 2 * saveSoon, 0},
			{"within the minute", func() {}, saveEvery - 3*saveSoon, 1},
			{"nothing is new", func() {}, 2 * saveEvery, 0},
			{"another is met", func() { c.learn(credential(99, 1, 1), []byte{1}) }, saveSoon, 1},
		} {
			writes.Store(0)
			step.do()
			time.Sleep(step.wait)
			synctest.Wait()
			if got := int(writes.Load()); got != step.want {
				t.Errorf("%s: %d writes, want %d", step.what, got, step.want)
			}
		}
		stop()
		if err := <-kept; err != nil {
			t.Error(err)
		}
	})
}
