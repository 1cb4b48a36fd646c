package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

func (a *app) connectionsCommand() *cobra.Command {
	return a.printsData(a.talks(a.command("connections [flags]", "list the tunnels to peers",
		"  micro-net connections",
		noArgs, func(ctx context.Context, _ []string) error {
			list, err := a.client().Connections(ctx)
			if err != nil {
				return err
			}
			return a.print(list, func(t *table) {
				t.row("NODE", "CLUSTER", "PATH", "TRANSPORT", "REMOTE", "RTT", "LOSS", "MTU", "STREAMS", "SENT", "RECEIVED", "AGE")
				for i := range list {
					c := &list[i]
					path := string(c.Path)
					if c.Relay != "" {
						path += " via " + c.Relay
					}
					t.row(c.Node, c.Cluster, path, c.Transport, c.Remote, rtt(c.RTTMs), fmt.Sprintf("%.1f%%", 100*c.Loss), c.MTU,
						c.Streams, size(c.SentBytes), size(c.ReceivedBytes), age(a.env.Wall().Sub(c.Since).Milliseconds()))
				}
			})
		})))
}
