package tunnel

import (
	"fmt"
	"iter"
	"slices"
	"strings"
)

// maxGraph is how many nodes a graph has at most.
const maxGraph = 5

// graph says who reaches whom: bit to of row from.
type graph [maxGraph]uint8

// arc is a way from one node to another.
type arc struct{ from, to int }

// link is both ways between two nodes.
func link(i, j int) []arc { return []arc{{i, j}, {j, i}} }

func (g graph) has(i, j int) bool { return g[i]&(1<<j) != 0 }

// both reports whether packets pass both ways: a way that no answer comes back over is none.
func (g graph) both(i, j int) bool { return g.has(i, j) && g.has(j, i) }

// flip returns the graph with the given ways added where they are missing, and taken away where they are not.
func (g graph) flip(arcs []arc) graph {
	for _, a := range arcs {
		g[a.from] ^= 1 << a.to
	}
	return g
}

// reaches reports whether i and j hear each other directly, or both a third node and it them.
func (g graph) reaches(n, i, j int) bool {
	return g.both(i, j) || slices.ContainsFunc(others(n, i, j), func(k int) bool { return g.both(i, k) && g.both(k, j) })
}

// leads reports whether a packet can get from i to j over one other node at most, whatever becomes of the answer.
func (g graph) leads(n, i, j int) bool {
	return g.has(i, j) || slices.ContainsFunc(others(n, i, j), func(k int) bool { return g.has(i, k) && g.has(k, j) })
}

// others are all nodes but i and j.
func others(n, i, j int) (out []int) {
	for k := range n {
		if k != i && k != j {
			out = append(out, k)
		}
	}
	return out
}

// and is what both graphs have.
func (g graph) and(h graph) graph {
	for i := range g {
		g[i] &= h[i]
	}
	return g
}

// renamed is the graph with node i called p[i].
func (g graph) renamed(p []int) (out graph) {
	for i, row := range g {
		for j := range g {
			if row&(1<<j) != 0 {
				out[p[i]] |= 1 << p[j]
			}
		}
	}
	return out
}

func (g graph) String() string {
	var out []string
	for i := range g {
		for j := range g {
			switch {
			case i < j && g.both(i, j):
				out = append(out, fmt.Sprintf("%d-%d", i, j))
			case g.has(i, j) && !g.both(i, j):
				out = append(out, fmt.Sprintf("%d>%d", i, j))
			}
		}
	}
	return "{" + strings.Join(out, " ") + "}"
}

// links are all those that n nodes can have.
func links(n int) (out [][]arc) {
	for j := range n {
		for i := range j {
			out = append(out, link(i, j))
		}
	}
	return out
}

// ways are the same, each direction by itself.
func ways(n int) (out [][]arc) {
	for _, l := range links(n) {
		out = append(out, l[:1], l[1:])
	}
	return out
}

// graphs yields all that n nodes can form of the given pieces.
func graphs(pieces [][]arc) iter.Seq[graph] {
	return func(yield func(graph) bool) {
		for set := range 1 << len(pieces) {
			var g graph
			for i, p := range pieces {
				if set&(1<<i) != 0 {
					g = g.flip(p)
				}
			}
			if !yield(g) {
				return
			}
		}
	}
}

// change is a graph and what is flipped in it, one after the other.
type change struct {
	n     int
	from  graph
	flips [][]arc
}

func (c change) String() string { return fmt.Sprintf("%d nodes %v, changed: %v", c.n, c.from, c.flips) }

// changes yields every graph of n nodes with each single change and each pair of them.
func changes(n int, pieces [][]arc) iter.Seq[change] {
	return func(yield func(change) bool) {
		for g := range graphs(pieces) {
			for i, first := range pieces {
				if !yield(change{n, g, [][]arc{first}}) {
					return
				}
				for _, second := range pieces[:i] {
					if !yield(change{n, g, [][]arc{second, first}}) {
						return
					}
				}
			}
		}
	}
}

// unlike leaves out what differs from another one in the names of the nodes alone.
func unlike(n int, all iter.Seq[change]) iter.Seq[change] {
	orders := permutations(n)
	return func(yield func(change) bool) {
		for c := range all {
			if c.first(orders) && !yield(c) {
				return
			}
		}
	}
}

// first reports whether no other naming of the nodes gives a smaller pair of graphs.
func (c change) first(orders [][]int) bool {
	after := c.from
	for _, f := range c.flips {
		after = after.flip(f)
	}
	return !slices.ContainsFunc(orders, func(p []int) bool {
		from := c.from.renamed(p)
		order := slices.Compare(from[:], c.from[:])
		if order == 0 {
			to := after.renamed(p)
			order = slices.Compare(to[:], after[:])
		}
		return order < 0
	})
}

// permutations are the orders that n things can have.
func permutations(n int) [][]int {
	if n == 0 {
		return [][]int{nil}
	}
	var out [][]int
	for _, p := range permutations(n - 1) {
		for at := range n {
			out = append(out, slices.Insert(slices.Clone(p), at, n-1))
		}
	}
	return out
}
