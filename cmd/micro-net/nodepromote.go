package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/micro/micro-net/node/api"
)

func (a *app) nodePromoteCommand() *cobra.Command {
	c := a.command("promote NODE [flags]", "let another node invite, renew certificates and revoke, too",
		"  micro-net node promote web-2\n  micro-net node promote 3fa9c1",
		cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
			p, err := a.client().Promote(ctx, api.PromoteRequest{Node: args[0]})
			if err != nil {
				return err
			}
			return a.print(p, func(t *table) {
				t.text("%s (%s) signs for the cluster until %s; that is renewed by itself", p.Node, shortID(p.ID), p.Ends.Format(time.DateOnly))
			})
		})
	return a.printsData(a.talks(c))
}

func (a *app) nodeDemoteCommand() *cobra.Command {
	force := false
	c := a.command("demote NODE [flags]", "end the right of another node to sign for the cluster; it stays a member",
		"  micro-net node demote web-2",
		cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
			d, err := a.client().Demote(ctx, api.DemoteRequest{Node: args[0], Force: force})
			if err != nil {
				return err
			}
			return a.print(d, func(t *table) {
				t.text("%s (%s) signs no more; what it has issued counts until it is renewed elsewhere", d.Node, shortID(d.ID))
				if d.Warning != "" {
					t.text("%s", d.Warning)
				}
			})
		})
	c.Flags().BoolVar(&force, "force", false, "also when the node does not say that it is an authority, or says that it has the root key")
	return a.printsData(a.talks(c))
}
