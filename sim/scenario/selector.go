package scenario

import "slices"

// Selector stands for a set of nodes. The zero Selector stands for none. It is immutable.
type Selector struct {
	text  string
	terms []term // their union
}

// term is one word of a selector.
type term struct {
	kind     termKind
	group    string // of members, "" for numbers of nodes
	from, to int    // of members and numbers, inclusive
	name     string // of a clone that may be meant as well; "" when it cannot be
	count    int    // of random nodes; -1 where share says it
	share    float64
	of       *term // what random draws from and not leaves out
}

type termKind int

const (
	termAll termKind = iota + 1
	termNumbers
	termGroup
	termMembers
	termRandom
	termNot
)

// String returns the selector as the file says it.
func (s Selector) String() string { return s.text }

// IsZero reports whether the selector stands for nothing because the file has none.
func (s Selector) IsZero() bool { return len(s.terms) == 0 }

// IsRandom reports whether Resolve draws.
func (s Selector) IsRandom() bool {
	return slices.ContainsFunc(s.terms, func(t term) bool { return t.isRandom() })
}

func (t *term) isRandom() bool { return t != nil && (t.kind == termRandom || t.of.isRandom()) }

// Resolve returns the indices into nodes of those that the selector stands for, ascending, each
// once. draw(n) returns a random number from 0 to n-1, n above 0; it is called once for each node
// that `random` draws, whatever the others are.
func (s Selector) Resolve(nodes []NodeRef, draw func(n int) int) []int {
	in := make([]bool, len(nodes))
	for i := range s.terms {
		for n, yes := range s.terms[i].resolve(nodes, draw) {
			in[n] = in[n] || yes
		}
	}
	return indices(in)
}

func indices(in []bool) (out []int) {
	for i, yes := range in {
		if yes {
			out = append(out, i)
		}
	}
	return out
}

func (t *term) resolve(nodes []NodeRef, draw func(n int) int) []bool {
	in := make([]bool, len(nodes))
	switch t.kind {
	case termRandom:
		t.random(in, t.of.resolve(nodes, draw), draw)
	case termNot:
		for i, yes := range t.of.resolve(nodes, draw) {
			in[i] = !yes
		}
	default:
		for i := range nodes {
			in[i] = t.has(i, &nodes[i])
		}
	}
	return in
}

// has reports whether the node with this index is meant by a term that draws and inverts nothing.
func (t *term) has(index int, n *NodeRef) bool {
	switch t.kind {
	case termAll:
		return true
	case termNumbers:
		return t.from <= index+1 && index+1 <= t.to
	case termMembers:
		return n.Group == t.group && t.from <= n.Index && n.Index <= t.to || n.Name == t.name
	}
	return n.Group == t.group || n.Name == t.name
}

// random draws without putting back (Fisher and Yates).
func (t *term) random(in, from []bool, draw func(n int) int) {
	pool := indices(from)
	for k := range t.draws(len(pool)) {
		j := k + draw(len(pool)-k)
		pool[k], pool[j] = pool[j], pool[k]
		in[pool[k]] = true
	}
}

// draws is how many of n nodes are drawn: a share is rounded, and is at least one node.
func (t *term) draws(n int) int {
	if t.count >= 0 {
		return min(t.count, n)
	}
	return min(max(int(t.share*float64(n)+0.5), 1), n)
}
