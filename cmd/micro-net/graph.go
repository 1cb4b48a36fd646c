package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/node/api"
)

func (a *app) graphCommand() *cobra.Command {
	shape := "ascii"
	c := a.command("graph [flags]", "draw who reaches whom",
		"  micro-net graph\n  micro-net graph --format dot | dot -Tsvg > mesh.svg",
		noArgs, func(ctx context.Context, _ []string) error {
			draw, ok := drawings[shape]
			if !ok && shape != string(formatJSON) {
				return micronet.E("graph", micronet.Invalid, "--format %q is not known", shape).WithFix("want ascii, dot, mermaid or json")
			}
			g, err := a.client().Graph(ctx)
			if err != nil {
				return err
			}
			if shape == string(formatJSON) {
				a.format = formatJSON
			}
			if a.format != formatTable {
				return a.printData(g)
			}
			return draw(a.out, &g)
		})
	c.Flags().StringVar(&shape, "format", shape, "`ascii|dot|mermaid|json`")
	return a.printsData(a.talks(c))
}

// drawings are the forms of --format that are no data.
var drawings = map[string]func(io.Writer, *api.Graph) error{
	"ascii": drawASCII, "dot": drawDot, "mermaid": drawMermaid,
}

// drawASCII draws a tree: each node with its edges below it.
func drawASCII(w io.Writer, g *api.Graph) error {
	t := newTable(w)
	for i := range g.Nodes {
		n := &g.Nodes[i]
		t.text("%s (%s)", n.Name, n.Status)
		edges := slices.DeleteFunc(slices.Clone(g.Edges), func(e api.Edge) bool { return e.From != n.Name })
		slices.SortStableFunc(edges, func(a, b api.Edge) int { return cmp.Compare(a.To, b.To) })
		for j, e := range edges {
			branch := "├─"
			if j == len(edges)-1 {
				branch = "└─"
			}
			t.row("  "+branch+" "+e.To, e.Path, rtt(e.RTTMs))
		}
	}
	return t.flush()
}

func drawDot(w io.Writer, g *api.Graph) error {
	var b strings.Builder
	b.WriteString("digraph mesh {\n")
	for i := range g.Nodes {
		fmt.Fprintf(&b, "  %q [label=%q];\n", g.Nodes[i].Name, g.Nodes[i].Name+"\n"+string(g.Nodes[i].Status))
	}
	for _, e := range g.Edges {
		fmt.Fprintf(&b, "  %q -> %q [label=%q];\n", e.From, e.To, edgeLabel(e))
	}
	b.WriteString("}\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// drawMermaid numbers the nodes: Mermaid's ids take letters and digits only.
func drawMermaid(w io.Writer, g *api.Graph) error {
	var b strings.Builder
	b.WriteString("graph LR\n")
	ids := map[string]string{}
	for i := range g.Nodes {
		id := fmt.Sprintf("n%d", i)
		ids[g.Nodes[i].Name] = id
		fmt.Fprintf(&b, "  %s[\"%s (%s)\"]\n", id, g.Nodes[i].Name, g.Nodes[i].Status)
	}
	for _, e := range g.Edges {
		if ids[e.From] != "" && ids[e.To] != "" {
			fmt.Fprintf(&b, "  %s -->|\"%s\"| %s\n", ids[e.From], edgeLabel(e), ids[e.To])
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func edgeLabel(e api.Edge) string { return strings.TrimSpace(string(e.Path) + " " + rtt(e.RTTMs)) }
