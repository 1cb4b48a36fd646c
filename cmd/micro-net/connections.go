package main

import (
	"context"
	"fmt"

	"github.com/micro/micro-net/node/api"
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
					t.row(c.Node, c.Cluster, path, transport(c), c.Remote, rtt(c.RTTMs), fmt.Sprintf("%.1f%%", 100*c.Loss), mtu(c.MTU),
						c.Streams, size(c.SentBytes), size(c.ReceivedBytes), age(a.env.Wall().Sub(c.Since).Milliseconds()))
				}
			})
		})))
}

// transport is what carries a connection, and how many lanes that are.
func transport(c *api.Connection) string {
	if c.Lanes > 0 {
		return string(c.Transport) + ", " + plural(c.Lanes, "lane", "lanes")
	}
	return string(c.Transport)
}

// mtu is the size of packets; TCP makes its own.
func mtu(n int) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}
