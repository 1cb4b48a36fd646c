package main

import (
	"cmp"
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/micro/micro-net/node/api"
)

func (a *app) nodeRevokeCommand() *cobra.Command {
	var r api.Revocation
	c := a.command("revoke NODE [flags]", "shut a node out for good: its key, its tunnels and its connections",
		`  micro-net node revoke worker-7 --reason "laptop was stolen"
  micro-net node revoke 3f9a2c
  micro-net node revoke old-authority --disavow`,
		cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
			r.Node = args[0]
			out, err := a.client().Revoke(ctx, r)
			if err != nil {
				return err
			}
			return a.printRevoked(&out, "Revoked %s (%s). It is refused here from now on, and by every other node as soon as that hears of it. Its name is free.\n")
		})
	c.Flags().StringVar(&r.Reason, "reason", "", "why, in one line, for whoever reads about it")
	c.Flags().BoolVar(&r.Disavow, "disavow", false, "refuse what it has issued and said as an authority as well")
	c.Flags().BoolVar(&r.Force, "force", false, "also when it is this node itself, or has said something as an authority, which counts on")
	return a.printsData(a.talks(c))
}

func (a *app) nodeForgetCommand() *cobra.Command {
	return a.printsData(a.talks(a.command("forget NODE [flags]", "free the name of a dead node; it is welcome when it comes back",
		"  micro-net node forget worker-7",
		cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
			out, err := a.client().Forget(ctx, args[0])
			if err != nil {
				return err
			}
			return a.printRevoked(&out, "Forgot %s (%s). Its name is free; should it come back, it is a member as before.\n")
		})))
}

// printRevoked says on standard error what was done, and prints the data alone where data was asked for.
func (a *app) printRevoked(out *api.Revoked, done string) error {
	if a.format != formatTable {
		if err := a.printData(out); err != nil {
			return err
		}
	}
	fmt.Fprintf(a.err, done, cmp.Or(out.Name, "a node whose name nobody knows"), shortID(out.ID))
	if out.Warning != "" {
		fmt.Fprintf(a.err, "Warning: %s.\n", out.Warning)
	}
	return nil
}
