package node

import (
	"fmt"
	"strings"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/node/api"
)

func TestNamesakes(t *testing.T) {
	at := func(s int64) time.Time { return time.Unix(s, 0) }
	dates := map[micronet.NodeID]time.Time{id(1): at(10), id(2): at(20), id(3): at(20), id(4): {}, id(5): at(30)}
	issued := func(n micronet.NodeID) time.Time { return dates[n] }
	node := func(i int, name string, status micronet.NodeStatus) micronet.Node {
		return micronet.Node{ID: id(i), Name: name, Cluster: "main", Status: status}
	}
	alive, suspect, dead, left := micronet.Alive, micronet.Suspect, micronet.Dead, micronet.Left
	for _, c := range []struct {
		what   string
		nodes  []micronet.Node
		groups int
		newest int // 0: cannot be told
		warns  bool
	}{
		{"all different", []micronet.Node{node(1, "a", alive), node(2, "b", alive), node(5, "c", alive)}, 0, 0, false},
		{"two", []micronet.Node{node(1, "a", alive), node(2, "a", alive), node(5, "c", alive)}, 1, 2, true},
		{"the last two", []micronet.Node{node(5, "a", alive), node(1, "c", alive), node(2, "c", alive)}, 1, 2, true},
		{"one has gone", []micronet.Node{node(1, "a", left), node(2, "a", alive)}, 0, 0, false},
		{"one is dead", []micronet.Node{node(1, "a", alive), node(2, "a", dead)}, 0, 0, false},
		{"one is suspect", []micronet.Node{node(1, "a", suspect), node(2, "a", alive)}, 1, 2, false},
		{"of one second", []micronet.Node{node(3, "a", alive), node(2, "a", alive)}, 1, 2, true},
		{"one not known", []micronet.Node{node(2, "a", alive), node(4, "a", alive)}, 1, 0, true},
		{"three", []micronet.Node{node(1, "a", alive), node(2, "a", suspect), node(5, "a", alive)}, 1, 5, true},
		{"three, the newest two of one second", []micronet.Node{node(1, "a", alive), node(3, "a", alive), node(2, "a", alive)}, 1, 2, true},
		{"without a name", []micronet.Node{node(1, "", alive), node(2, "", alive)}, 0, 0, false},
	} {
		got := findNamesakes(c.nodes, issued)
		if len(got) != c.groups {
			t.Errorf("%s: %d names, want %d", c.what, len(got), c.groups)
			continue
		}
		if c.groups == 0 {
			continue
		}
		newest := micronet.NodeID{}
		if n := got[0].newest(); n != nil {
			newest = n.ID
		}
		if want := map[bool]micronet.NodeID{true: {}, false: id(c.newest)}[c.newest == 0]; newest != want || got[0].alive() != c.warns {
			t.Errorf("%s: the newest is %s, a warning %v; want %s, %v", c.what, newest.Short(), got[0].alive(), want.Short(), c.warns)
		}
	}
	clusters := []micronet.Node{node(1, "a", alive), node(2, "a", alive)}
	clusters[1].Cluster = "other"
	if got := findNamesakes(clusters, issued); len(got) != 0 {
		t.Errorf("nodes of two clusters are %d namesakes", len(got))
	}
}

func TestNamesakeWarnings(t *testing.T) {
	old, young, same := micronet.Node{ID: id(1), Name: "w", Status: micronet.Alive}, micronet.Node{ID: id(2), Name: "w", Status: micronet.Alive}, time.Unix(5, 0)
	told := namesakes{name: "w", nodes: []namesake{{&young, time.Unix(9, 0)}, {&old, same}}}
	untold := namesakes{name: "w", nodes: []namesake{{&young, same}, {&old, time.Time{}}}}
	for _, c := range []struct {
		s     *namesakes
		self  micronet.NodeID
		words []string
	}{
		{&told, id(7), []string{`2 live nodes are called "w": ` + young.ID.Short() + " has the newest certificate, " + old.ID.Short(), "former holder", "leave` there"}},
		{&told, young.ID, []string{young.ID.Short() + " has the newest certificate", "former holder"}},
		{&told, old.ID, []string{"of this node (" + old.ID.Short() + ") belongs to another one now: " + young.ID.Short(), "leave` here"}},
		{&untold, old.ID, []string{"2 live nodes", young.ID.Short() + ", " + old.ID.Short(), "all but one"}},
	} {
		w := c.s.warning(c.self)
		contains(t, c.self.Short(), w.Code+" "+w.Text+"; "+w.Fix, append([]string{"name-twice"}, c.words...)...)
	}
}

// A name is given to another node while its holder is stopped, and the holder starts again: every
// node warns, the former holder of itself, and DNS leads to the new one.
func TestFormerHolderOfAName(t *testing.T) {
	inBubble(t, 330, func(t *testing.T, b *bubble) {
		logs := map[string]*recorder{}
		logged := func(name string) func(*Config) {
			r := &recorder{}
			logs[name] = r
			return func(c *Config) { c.Env.Log = r.logger() }
		}
		a := b.start("a", "", logged("a"))
		former := b.start("worker", b.invite(a))
		b.await(10*time.Second, "both see both", b.alive(2, a, former))
		b.halt(former)
		time.Sleep(time.Second) // dates of certificates are in whole seconds
		b.await(10*time.Second, "a sees it gone", b.seen("worker", micronet.Left, "a"))
		heir := b.start("heir", b.inviteWith(a, api.InviteRequest{Name: "worker"}), logged("heir"))
		if got := heir.life().name; got != "worker" {
			t.Fatalf("the heir is called %q", got)
		}
		if n := logs["a"].count(nameTwice); n != 0 {
			t.Fatalf("a warned %d times before anything was wrong", n)
		}
		former = b.start("worker", "", logged("former"))
		all := map[string]*simNode{"a": a, "heir": heir, "former": former}
		b.await(15*time.Second, "all see all", b.alive(3, a, heir, former))
		time.Sleep(3 * time.Second)
		for name, n := range all {
			text := warningOf(n, nameTwice)
			contains(t, name, text, heir.node.ID().Short())
			contains(t, name, text, former.node.ID().Short())
			if mine := strings.Contains(text, "belongs to another"); mine != (name == "former") {
				t.Errorf("%s warns %q", name, text)
			}
			if got := logs[name].count(nameTwice); got != 1 {
				t.Errorf("%s logged it %d times, want once", name, got)
			}
			want := "[" + heir.host.Addr().String() + "]"
			addrs, ok := zoneSource{n.life()}.Node("worker", "")
			if got := fmt.Sprint(addrs); name != "heir" && (!ok || got != want) {
				t.Errorf("%s answers %s for worker.node, want %s", name, got, want)
			}
		}
		b.halt(former)
		b.await(10*time.Second, "the warning ends", func() error {
			if text := warningOf(a, nameTwice); text != "" {
				return fmt.Errorf("a still warns: %s", text)
			}
			return nil
		})
	})
}

// warningOf is the text of a node's warning with a code, "" without one.
func warningOf(n *simNode, code string) string {
	for _, w := range n.backend().Status().Warnings {
		if w.Code == code {
			return w.Text
		}
	}
	return ""
}
