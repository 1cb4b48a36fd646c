package node

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/node/api"
)

// namesakes are nodes of one cluster that are there under one name, newest certificate first. It
// happens when a name was given to another node while its holder was away, and that one comes back:
// its certificate holds until it ends.
type namesakes struct {
	name, cluster string
	nodes         []namesake
}

// namesake is one of them. issued is when its certificate begins, zero when that is not known.
type namesake struct {
	node   *micronet.Node
	issued time.Time
}

// findNamesakes takes the nodes in the order of their names. issued is asked of namesakes alone.
func findNamesakes(nodes []micronet.Node, issued func(micronet.NodeID) time.Time) (out []namesakes) {
	var same []*micronet.Node
	end := func() {
		if len(same) > 1 {
			out = append(out, newNamesakes(same, issued))
		}
		same = nil
	}
	for i := range nodes {
		n := &nodes[i]
		if !n.Status.Serving() || n.Name == "" {
			continue
		}
		if len(same) > 0 && (same[0].Name != n.Name || same[0].Cluster != n.Cluster) {
			end()
		}
		same = append(same, n)
	}
	end()
	return out
}

func newNamesakes(same []*micronet.Node, issued func(micronet.NodeID) time.Time) namesakes {
	s := namesakes{name: same[0].Name, cluster: same[0].Cluster}
	for _, n := range same {
		s.nodes = append(s.nodes, namesake{n, issued(n.ID)})
	}
	slices.SortFunc(s.nodes, func(a, b namesake) int {
		return cmp.Or(b.issued.Compare(a.issued), bytes.Compare(a.node.ID[:], b.node.ID[:]))
	})
	return s
}

// newest is whose certificate is the newest; nil when that is not known. Dates are in seconds: of two
// certificates of one second, as two authorities that do not hear each other may give, the one for the
// smaller id counts as the newer. So all nodes say the same.
func (s *namesakes) newest() *micronet.Node {
	if s.nodes[len(s.nodes)-1].issued.IsZero() {
		return nil
	}
	return s.nodes[0].node
}

// alive reports whether two of them are alive. A suspect one may be the former holder on its way
// out, which is no reason to warn.
func (s *namesakes) alive() bool {
	n := 0
	for _, one := range s.nodes {
		if one.node.Status == micronet.Alive {
			n++
		}
	}
	return n > 1
}

// has reports whether a node is one of them.
func (s *namesakes) has(id micronet.NodeID) bool {
	return slices.ContainsFunc(s.nodes, func(n namesake) bool { return n.node.ID == id })
}

// nameTwice is the warning's code.
const nameTwice = "name-twice"

// warning says to the node self what is wrong and what to do.
func (s *namesakes) warning(self micronet.NodeID) api.Warning {
	w := api.Warning{Code: nameTwice}
	newest := s.newest()
	switch {
	case newest == nil:
		w.Text = fmt.Sprintf("%d live nodes are called %q: %s", len(s.nodes), s.name, s.list(""))
		w.Fix = "stop all but one, or run `micro-net leave` there"
	case newest.ID != self && s.has(self):
		w.Text = fmt.Sprintf("the name %q of this node (%s) belongs to another one now: %s, whose certificate is newer", s.name, self.Short(), newest.ID.Short())
		w.Fix = "stop this node, or run `micro-net leave` here and join again under another name"
	default:
		w.Text = fmt.Sprintf("%d live nodes are called %q: %s", len(s.nodes), s.name, s.list(" has the newest certificate"))
		w.Fix = "stop the former holder, or run `micro-net leave` there"
	}
	return w
}

// list names all of them by the beginning of their ids; mark follows the first.
func (s *namesakes) list(mark string) string {
	words := make([]string, len(s.nodes))
	for i, n := range s.nodes {
		words[i] = n.node.ID.Short()
	}
	words[0] += mark
	return strings.Join(words, ", ")
}

// key is the same as long as the same nodes share the name.
func (s *namesakes) key() string { return s.cluster + "/" + s.name + "/" + s.list("") }

// namesakesOf returns those of a name; nil when at most one node is there under it.
func (v *view) namesakesOf(name, cluster string) *namesakes {
	for i := range v.namesakes {
		if s := &v.namesakes[i]; s.name == name && (cluster == "" || s.cluster == cluster) {
			return s
		}
	}
	return nil
}

// tellNamesakes logs names that two live nodes have, once for each pair that appears.
func (l *life) tellNamesakes(old, now *view) {
	known := map[string]bool{}
	if old != nil {
		for i := range old.namesakes {
			known[old.namesakes[i].key()] = old.namesakes[i].alive()
		}
	}
	for i := range now.namesakes {
		s := &now.namesakes[i]
		if s.alive() && !known[s.key()] {
			w := s.warning(l.self)
			l.env.Log.Warn(w.Text, "code", w.Code, "fix", w.Fix)
		}
	}
}

// issued is when the certificate of a node begins, its own included; zero when that is not known.
func (l *life) issued(id micronet.NodeID) time.Time {
	if id == l.self {
		return l.pass.member().NotBefore
	}
	return l.contacts.issued(id)
}
