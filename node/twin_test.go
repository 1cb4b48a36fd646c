package node

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/node/api"
)

// A record that is older than this life is its own past; a younger one is of a twin.
func TestTwin(t *testing.T) {
	born := time.Unix(10_000, 0)
	own := []netip.AddrPort{netip.MustParseAddrPort("10.0.0.2:8085")}
	doc := &gossip.Document{Endpoints: []netip.AddrPort{own[0], netip.MustParseAddrPort("10.0.0.9:8085"), netip.MustParseAddrPort("127.0.0.1:8085")}}
	for _, c := range []struct {
		lived, age time.Duration
		want       bool
	}{
		{time.Second, 2 * time.Second, false},
		{time.Minute, time.Hour, false},
		{time.Minute, time.Minute + 1, false},
		{time.Minute, time.Minute, true},
		{time.Minute, time.Second, true},
	} {
		tw := &twin{born: born}
		now := born.Add(c.lived)
		if got := tw.claimed(now, doc, c.age); got != c.want {
			t.Errorf("a record of %v after %v: twin %v, want %v", c.age, c.lived, got, c.want)
		}
		if tw.claimed(now, doc, c.age) {
			t.Errorf("a record of %v after %v: it appeared twice", c.age, c.lived)
		}
		w, there := tw.warning(now.Add(twinMemory-1), own)
		if there != c.want || (there && !strings.Contains(w.Text, "key, at 10.0.0.9:8085:")) {
			t.Errorf("a record of %v after %v: warning %v %q", c.age, c.lived, there, w.Text)
		}
		if _, there := tw.warning(now.Add(twinMemory), own); there {
			t.Error("it is there for longer than its memory")
		}
	}
	tw := &twin{born: born}
	tw.claimed(born.Add(time.Minute), &gossip.Document{Endpoints: own}, 0)
	if w, _ := tw.warning(born.Add(time.Minute), own); !strings.Contains(w.Text, "at an address of this node") {
		t.Errorf("a twin at the same address: %q", w.Text)
	}
}

// Two daemons with one key are told on both sides, each with the other's address, and the rest of the
// mesh goes on; when one of them stops, the other is a member like all.
func TestClonedFolder(t *testing.T) {
	inBubble(t, 171, func(t *testing.T, b *bubble) {
		logs := map[string]*recorder{"b": {}, "twin": {}}
		logged := func(name string) func(*Config) { return func(c *Config) { c.Env.Log = logs[name].logger() } }
		a := b.start("a", "")
		original := b.start("b", b.invite(a), logged("b"))
		c := b.start("c", b.invite(a))
		b.await(10*time.Second, "all see all", b.alive(3, a, original, c))
		b.serve(c, "echo", "c")
		time.Sleep(time.Minute)
		copied := b.prepare("twin")
		original.host.Disk().CloneTo(copied.host.Disk())
		b.launch("twin", "", logged("twin"), func(c *Config) { c.Name = "b" })
		b.await(time.Minute, "both are told", func() error {
			for at, of := range map[*simNode]*simNode{original: copied, copied: original} {
				if err := warnsOfTwin(at, of); err != nil {
					return err
				}
			}
			return nil
		})
		b.stays(5*time.Minute, "a and c go on", func() error {
			if w := warned(a, keyTwice); w != nil {
				return fmt.Errorf("a warns: %s", w.Text)
			}
			if n := a.backend().Status().Nodes; n.Dead > 0 || n.Suspect > 0 {
				return fmt.Errorf("a sees %+v", n)
			}
			return oneUsable(a, "echo")
		})
		for name, log := range logs {
			if log.count("level=ERROR") != 1 || log.count("code=key-twice") != 1 {
				t.Errorf("%s logged %d errors, %d of them of its twin", name, log.count("level=ERROR"), log.count("code=key-twice"))
			}
		}
		for _, n := range []*simNode{original, copied} {
			if warned(n, keyTwice) == nil {
				t.Errorf("%s warns no more after five minutes", n.host.Name())
			}
		}
		if e := gossip.StartOf(original.life().records.epoch()); e > 3 {
			t.Errorf("they outdid each other up to start %d", e)
		}
		b.crash(copied)
		b.await(30*time.Second, "all see b", b.alive(3, a, original, c))
		// What the twin said last may still be on its way, through others.
		b.await(twinMemory+10*time.Second, "b warns no more", func() error {
			if w := warned(original, keyTwice); w != nil {
				return fmt.Errorf("%s", w.Text)
			}
			return nil
		})
		b.await(time.Second, "b is alive", b.seen("b", micronet.Alive, "a", "c"))
		b.serve(original, "late", "b")
		b.await(30*time.Second, "what b offers is known", b.answers(c, "late", "b"))
	})
}

// warnsOfTwin checks that a node names its twin's address.
func warnsOfTwin(n, twin *simNode) error {
	if n.life() == nil {
		return fmt.Errorf("%s does not run", n.host.Name())
	}
	w := warned(n, keyTwice)
	if w == nil {
		return fmt.Errorf("%s does not warn", n.host.Name())
	}
	if want := twin.life().address.where()[0].String(); !strings.Contains(w.Text, want) {
		return fmt.Errorf("%s says %q, want %s", n.host.Name(), w.Text, want)
	}
	return nil
}

// warned returns the warning with a code that a node shows, nil for none.
func warned(n *simNode, code string) *api.Warning {
	for _, w := range n.backend().Status().Warnings {
		if w.Code == code {
			return &w
		}
	}
	return nil
}
