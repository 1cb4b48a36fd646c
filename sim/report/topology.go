package report

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Sizes and bounds of the drawing of the topology.
const (
	topologyBox    = 520  // width and height
	topologyRadius = 190  // of the circle on which the nodes are
	maxDrawnNodes  = 400  // more are left out, and the text says so
	maxNamedNodes  = 60   // with more nodes no names are drawn; the pointer shows them
	maxNamedEdges  = 300  // with more edges no round trips are shown under the pointer
	maxDrawnEdges  = 6000 // more are left out: first the direct ones
	groupColours   = 6
	maxLegend      = 12 // groups in the legend
)

// place is where a node of the drawing is.
type place struct {
	node  *TopologyNode
	x, y  float64
	angle float64 // radians, 0 is the top
	group int     // its number
}

// places puts the first maxDrawnNodes nodes on a circle, those of a group side by side.
func places(nodes []TopologyNode) (out []place, groups []string) {
	nodes = nodes[:min(len(nodes), maxDrawnNodes)]
	for i := range nodes {
		if !slices.Contains(groups, nodes[i].Group) {
			groups = append(groups, nodes[i].Group)
		}
	}
	for g, name := range groups {
		for i := range nodes {
			if nodes[i].Group == name {
				out = append(out, place{node: &nodes[i], group: g})
			}
		}
	}
	for i := range out {
		pl := &out[i]
		pl.angle = 2 * math.Pi * float64(i) / float64(len(out))
		pl.x = topologyBox/2 + topologyRadius*math.Sin(pl.angle)
		pl.y = topologyBox/2 - topologyRadius*math.Cos(pl.angle)
	}
	return out, groups
}

// topology draws who can reach whom at the end of the run.
func (p *page) topology() {
	t := &p.run.Topology
	if len(t.Nodes) == 0 {
		return
	}
	all, groups := places(t.Nodes)
	edges := drawable(t.Edges, all)
	p.addf("<figure class=\"topology\">\n<figcaption>")
	p.topologyLegend(groups, edges)
	p.addf("</figcaption>\n")
	p.topologyBegin(t, edges)
	p.edges(edges)
	for i := range all {
		p.node(&all[i], len(all) <= maxNamedNodes)
	}
	p.addf("</svg>\n")
	if len(t.Nodes) > len(all) || len(t.Edges) > len(edges) {
		p.addf("<p>Drawn are %d of %d nodes and %d of %d paths.</p>\n", len(all), len(t.Nodes), len(edges), len(t.Edges))
	}
	p.addf("<details><summary>Figures: paths</summary>")
	p.edgeTable(edges)
	p.addf("</details>\n</figure>\n")
}

func (p *page) topologyBegin(t *Topology, edges []drawn) {
	count := map[string]int{}
	for i := range edges {
		count[edges[i].state]++
	}
	p.charts++
	p.addf(`<svg class="topo" role="img" viewBox="0 0 %d %d" aria-labelledby="t%d d%d">`, topologyBox, topologyBox, p.charts, p.charts)
	p.addf(`<title id="t%d">Topology at the end</title><desc id="d%d">%s on a circle; %d direct paths, %d over a relay, %d down.</desc>`+"\n",
		p.charts, p.charts, plural(len(t.Nodes), "node"), count[EdgeDirect], count[EdgeRelay], count[EdgeDown])
}

// drawn is an edge with both of its ends on the circle.
type drawn struct {
	edge  *Edge
	a, b  *place
	state string
}

func (d *drawn) title() string {
	s := fmt.Sprintf("%s – %s: %s", d.edge.A, d.edge.B, d.state)
	if d.edge.RTT > 0 {
		s += ", " + millis(ms(d.edge.RTT))
	}
	return clip(s, 200)
}

// drawable finds the ends of the edges. What is out of order comes first: it is kept when there are
// too many. It is drawn last, on top.
func drawable(edges []Edge, all []place) []drawn {
	byName := map[string]*place{}
	for i := range all {
		byName[all[i].node.Name] = &all[i]
	}
	var out []drawn
	for _, state := range []string{EdgeDown, EdgeRelay, EdgeDirect} {
		for i := range edges {
			e := &edges[i]
			a, b := byName[e.A], byName[e.B]
			if a != nil && b != nil && stateOf(e) == state && len(out) < maxDrawnEdges {
				out = append(out, drawn{e, a, b, state})
			}
		}
	}
	return out
}

func stateOf(e *Edge) string {
	if e.State == EdgeRelay || e.State == EdgeDown {
		return e.State
	}
	return EdgeDirect
}

// edges draws each edge with its title, or all edges of one state as one path when they are many.
func (p *page) edges(edges []drawn) {
	paths := map[string]*strings.Builder{EdgeDirect: {}, EdgeRelay: {}, EdgeDown: {}}
	for i := len(edges) - 1; i >= 0; i-- {
		d := &edges[i]
		at := fmt.Sprintf("M%.0f %.0fL%.0f %.0f", d.a.x, d.a.y, d.b.x, d.b.y)
		if len(edges) <= maxNamedEdges {
			p.addf(`<path class="e %s" d="%s"><title>%s</title></path>`+"\n", d.state, at, d.title())
			continue
		}
		paths[d.state].WriteString(at)
	}
	for _, state := range []string{EdgeDirect, EdgeRelay, EdgeDown} {
		if paths[state].Len() > 0 {
			p.addf(`<path class="e many %s" d="%s"/>`+"\n", state, paths[state].String())
		}
	}
}

// node draws a node, and its name outside of the circle, turned so that it reads from left to right.
func (p *page) node(pl *place, named bool) {
	name := clip(oneLine(pl.node.Name), 60)
	title := name
	if pl.node.Group != "" {
		title += ", group " + clip(oneLine(pl.node.Group), 60)
	}
	p.addf(`<circle class="g%d" cx="%s" cy="%s" r="6"><title>%s</title></circle>`, pl.group%groupColours+1, coord(pl.x), coord(pl.y), title)
	if named {
		turn, anchor, dx := pl.angle*180/math.Pi-90, "start", 12
		if pl.angle > math.Pi {
			turn, anchor, dx = turn+180, "end", -12
		}
		p.addf(`<text text-anchor="%s" transform="translate(%s %s) rotate(%s)" x="%d" dy=".35em">%s</text>`,
			anchor, coord(pl.x), coord(pl.y), coord(turn), dx, clip(name, 12))
	}
	p.addf("\n")
}

func (p *page) topologyLegend(groups []string, edges []drawn) {
	p.addf(`<p class="legend">`)
	for _, state := range []string{EdgeDirect, EdgeRelay, EdgeDown} {
		if slices.ContainsFunc(edges, func(d drawn) bool { return d.state == state }) {
			p.addf(`<span><svg aria-hidden="true" width="26" height="10"><path class="e %s" d="M0 5h26"/></svg>%s</span> `, state, state)
		}
	}
	for g, name := range groups[:min(len(groups), maxLegend)] {
		if name != "" {
			p.addf(`<span><svg aria-hidden="true" width="14" height="12"><circle class="g%d" cx="6" cy="6" r="5"/></svg>%s</span> `,
				g%groupColours+1, clip(oneLine(name), 40))
		}
	}
	p.addf("</p>")
}

func (p *page) edgeTable(edges []drawn) {
	p.table(append(words("from", "to", "path"), figures("round trip")...), len(edges), 300, func(i int) {
		d := &edges[i]
		p.cell(d.edge.A)
		p.cell(d.edge.B)
		p.cell(d.state)
		if d.edge.RTT > 0 {
			p.figure(millis(ms(d.edge.RTT)))
		} else {
			p.figure("–")
		}
	})
}
