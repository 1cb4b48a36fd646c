package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
)

func (a *app) routesCommand() *cobra.Command {
	c := a.command("routes [SERVICE] [flags]", "list the ways to instances, and why some are not taken",
		"  micro-net routes\n  micro-net routes web -o json",
		cobra.MaximumNArgs(1), func(ctx context.Context, args []string) error {
			list, err := a.client().Routes(ctx, strings.Join(args, ""))
			if err != nil {
				return err
			}
			return a.print(list, func(t *table) {
				t.row("SERVICE", "INSTANCE", "NODE", "CLUSTER", "PATH", "TRANSPORT", "RTT", "METRIC", "WEIGHT", "STATE", "REASON")
				for i := range list {
					r := &list[i]
					path := string(r.Path)
					if len(r.Via) > 0 {
						path += " via " + strings.Join(r.Via, ",")
					}
					t.row(r.Service, r.Instance, r.Node, r.Cluster, path, r.Transport, rtt(r.RTTMs), r.Metric, r.Weight, r.State, r.Reason)
				}
			})
		})
	return a.completes(a.printsData(a.talks(c)), serviceNames)
}
