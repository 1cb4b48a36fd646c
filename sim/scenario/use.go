package scenario

import (
	"fmt"
	"slices"
	"time"
)

// maxNodes bounds the nodes of a scenario, with those that join and clones.
const maxNodes = 2000

// arrival is a node that is not there from the beginning.
type arrival struct {
	at  time.Duration
	ref NodeRef
}

// use is where the file names nodes, checked when all nodes are known.
type use struct {
	v    *value
	sel  Selector
	at   time.Duration
	late *time.Duration // at, where the file may say it after the nodes
	one  bool           // it must be one node
}

// nodes makes a setter of a selector.
func (r *reader) nodes(to *Selector) setter {
	return func(v *value) {
		if s, m := v.selector(); m == nil {
			*to = s
			r.uses = append(r.uses, use{v: v, sel: s, at: r.now})
		} else {
			r.fail(m)
		}
	}
}

// node makes a setter of a selector of one node.
func (r *reader) node(to *Selector) setter {
	set := r.nodes(to)
	return func(v *value) {
		n := len(r.uses)
		set(v)
		for i := range r.uses[n:] {
			r.uses[n+i].one = true
		}
	}
}

// sides is where the file names sets of nodes that must not overlap.
type sides struct {
	v    *value
	sels []Selector
	at   time.Duration
}

// disjoint notes that selectors must not overlap.
func (r *reader) disjoint(v *value, sels ...Selector) {
	r.sides = append(r.sides, sides{v, sels, r.now})
}

// crowd is all nodes of a scenario in the order in which they come.
type crowd struct {
	nodes []NodeRef
	since []time.Duration // ascending
	names map[string]int  // index by name
	sizes map[string]int  // of groups, at the end
}

func newCrowd(s *Scenario, arrivals []arrival) *crowd {
	c := &crowd{names: map[string]int{}, sizes: map[string]int{}}
	for _, n := range s.Nodes() {
		c.add(n, 0)
	}
	for _, a := range arrivals {
		c.add(a.ref, a.at)
	}
	return c
}

func (c *crowd) add(n NodeRef, at time.Duration) {
	c.names[n.Name] = len(c.nodes)
	c.nodes = append(c.nodes, n)
	c.since = append(c.since, at)
	c.sizes[n.Group]++
}

// at returns the nodes that are there at some time.
func (c *crowd) at(t time.Duration) []NodeRef {
	n, _ := slices.BinarySearch(c.since, t+1)
	return c.nodes[:n]
}

// checkUses tells which names do not exist, and which sets overlap.
func (r *reader) checkUses() {
	c := newCrowd(r.s, r.arrivals)
	for i := range r.uses {
		if m := c.check(&r.uses[i]); m != nil {
			r.fail(m)
		}
	}
	for i := range r.sides {
		if m := c.overlap(&r.sides[i]); m != nil {
			r.fail(m)
		}
	}
}

func (c *crowd) check(u *use) *Mistake {
	at := u.at
	if u.late != nil {
		at = *u.late
	}
	nodes := c.at(at)
	for i := range u.sel.terms {
		if what, fix := c.missing(&u.sel.terms[i], len(nodes), at); what != "" {
			return u.v.mistake(fix, "%s", what)
		}
	}
	switch n := len(u.sel.Resolve(nodes, first)); {
	case n == 0:
		return u.v.mistake("", "%q stands for no node", shorten(u.sel.text))
	case u.one && n > 1:
		return u.v.mistake("name one, or write random 1", "want one node, %q stands for %d", shorten(u.sel.text), n)
	}
	return nil
}

// first draws nothing: how many nodes `random` draws does not depend on which.
func first(int) int { return 0 }

// overlap tells of a node that is in two sets. Random sets are not known here.
func (c *crowd) overlap(s *sides) *Mistake {
	nodes, taken := c.at(s.at), map[int]bool{}
	for _, sel := range s.sels {
		if sel.IsRandom() {
			continue
		}
		for _, n := range sel.Resolve(nodes, first) {
			if taken[n] {
				return s.v.mistake("name it on one side", "%s is on two sides", nodes[n].Name)
			}
			taken[n] = true
		}
	}
	return nil
}

// missing says what a term names that is not among the first n nodes, "" when all is.
func (c *crowd) missing(t *term, n int, at time.Duration) (what, fix string) {
	switch {
	case t.of != nil:
		return c.missing(t.of, n, at)
	case t.kind == termAll || t.kind == termNumbers && t.to <= n:
		return "", ""
	case t.kind == termNumbers:
		return fmt.Sprintf("there is no node %d%s: there are %d", t.to, when(at), n), ""
	}
	if i, ok := c.names[t.name]; ok {
		return c.early(i, n)
	}
	switch size := c.sizes[t.group]; {
	case size == 0:
		return c.unknown(t)
	case t.to > size:
		return fmt.Sprintf("there is no node %s%d: the group %s has %d", t.group, t.to, t.group, size), ""
	}
	return c.early(c.names[newRef(t.group, max(t.to, 1)).Name], n)
}

// early says that a node is not yet among the first n, "" when it is.
func (c *crowd) early(i, n int) (what, fix string) {
	if i < n {
		return "", ""
	}
	return fmt.Sprintf("%s is there from %s on", c.nodes[i].Name, c.since[i]), "use it then"
}

func when(at time.Duration) string {
	if at == 0 {
		return ""
	}
	return " at " + at.String()
}

// unknown is what to say of a name that no group and no clone has.
func (c *crowd) unknown(t *term) (what, fix string) {
	name := t.name
	if name == "" {
		name = t.group
	}
	valid := []string{wordAll, wordFounder}
	for g := range c.sizes {
		if g != "" {
			valid = append(valid, g)
		}
	}
	for _, n := range c.nodes {
		if n.Group == "" {
			valid = append(valid, n.Name)
		}
	}
	return fmt.Sprintf("there is no node or group %q", shorten(name)), suggest(name, valid)
}
