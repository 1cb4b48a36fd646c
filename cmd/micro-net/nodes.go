package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/micro/micro-net/node/api"
)

func (a *app) nodesCommand() *cobra.Command {
	return a.printsData(a.talks(a.command("nodes [flags]", "list the nodes of the mesh",
		"  micro-net nodes\n  micro-net nodes -o json",
		noArgs, func(ctx context.Context, _ []string) error {
			list, err := a.client().Nodes(ctx)
			if err != nil {
				return err
			}
			return a.print(list, func(t *table) {
				t.row("NAME", "CLUSTER", "STATUS", "ROLES", "ADDRESS", "RTT", "AGE", "VERSION", "ID")
				for i := range list {
					t.row(nodeCells(&list[i])...)
				}
			})
		})))
}

// nodeCells are the row of a node, with a last cell where others refuse it.
func nodeCells(n *api.Node) []any {
	name, heard := n.Name, age(n.AgeMs)
	if n.Self {
		name, heard = name+"*", ""
	}
	cells := []any{name, n.Cluster, n.Status, strings.Join(n.Roles, ","), n.Address, rtt(n.RTTMs), heard, n.Version, shortID(n.ID)}
	if n.Reason != "" {
		cells = append(cells, n.Reason)
	}
	return cells
}
