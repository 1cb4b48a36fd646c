package main

import (
	"cmp"
	"context"
	"fmt"

	"github.com/spf13/cobra"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/node/api"
)

const joinVariable = "MICRO_NET_JOIN"

func (a *app) joinCommand() *cobra.Command {
	c := a.command("join TOKEN", "move the running daemon, whose cluster is itself alone, into another cluster",
		`  micro-net join @token
  ssh first-host micro-net invite | micro-net join -`,
		cobra.MaximumNArgs(1), func(ctx context.Context, args []string) error {
			word := a.env.Host.Getenv(joinVariable)
			if len(args) > 0 {
				word = args[0]
			}
			if word == "" {
				return micronet.E("join", micronet.Invalid, "no token is given").WithFix("name it, or set $%s", joinVariable)
			}
			token, err := a.token(ctx, "join", word)
			if err != nil {
				return err
			}
			return a.client().Join(ctx, token)
		})
	c.Long = "Moves the running daemon, whose cluster is itself alone, into another cluster; its services come along.\n" +
		"TOKEN is the string, @FILE, - for standard input, or $" + joinVariable + "."
	return a.talks(c)
}

func (a *app) leaveCommand() *cobra.Command {
	var req api.LeaveRequest
	c := a.command("leave [flags]", "say goodbye for good: drain, give the certificate back, stop the daemon",
		"  micro-net leave",
		noArgs, func(ctx context.Context, _ []string) error {
			client := a.client()
			// Who this is can be asked only before it is gone.
			s, err := client.Status(ctx)
			if err != nil {
				return err
			}
			f, err := client.Leave(ctx, req)
			if err != nil {
				return err
			}
			fmt.Fprintf(a.err, "%s left the cluster %q; its daemon stops\n", cmp.Or(s.Node.Name, "this node"), s.Node.Cluster)
			if f.Warning != "" {
				fmt.Fprintf(a.err, "Warning: %s\n", oneLine(f.Warning))
			}
			return nil
		})
	c.Flags().BoolVar(&req.Force, "force", false, "also as the last authority: nobody could invite nodes, renew certificates or revoke then")
	return a.talks(c)
}
