package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/node/api"
)

func (a *app) nodeNamesCommand() *cobra.Command {
	force := false
	c := a.command("names [open|granted] [flags]", "say whether any node may offer any service, or only what it was granted",
		"  micro-net node names\n  micro-net node grant b web 'api-*'\n  micro-net node names granted",
		cobra.MaximumNArgs(1), func(ctx context.Context, args []string) error {
			names, err := a.names(ctx, args, force)
			if err != nil {
				return err
			}
			return a.print(names, func(t *table) {
				if t.text("%s", modeText(names.Mode)); len(names.Grants) > 0 {
					grantTable(t, names.Grants)
				}
			})
		})
	c.Flags().BoolVar(&force, "force", false, "also when nobody would be led any more to what is offered now")
	return a.printsData(a.talks(c))
}

// names asks who may offer what, or changes it first.
func (a *app) names(ctx context.Context, args []string, force bool) (api.Names, error) {
	if len(args) == 0 {
		return a.client().Names(ctx)
	}
	return a.client().SetNames(ctx, api.NamesRequest{Mode: args[0], Force: force})
}

func modeText(mode string) string {
	if mode == "open" {
		return "open: any node may offer any service"
	}
	return mode + ": a node may offer what it was granted, and nobody is led to anything else"
}

func grantTable(t *table, grants []api.Grant) {
	t.row("NODE", "MAY OFFER", "OFFERS BESIDES", "ID")
	for _, g := range grants {
		t.row(g.Node, listed(g.Patterns), listed(g.Ungranted), shortID(g.ID))
	}
}

// listed joins words, "-" for none.
func listed(words []string) string {
	if len(words) == 0 {
		return "-"
	}
	return strings.Join(words, " ")
}

func (a *app) nodeGrantCommand() *cobra.Command {
	none, force := false, false
	c := a.command("grant NODE PATTERN... [flags]", "say which services a node may offer, in place of what it was granted before",
		"  micro-net node grant b web 'api-*'\n  micro-net node grant b '*' '!payments'\n  micro-net node grant b --none",
		cobra.MinimumNArgs(1), func(ctx context.Context, args []string) error {
			if none == (len(args) > 1) {
				return micronet.E("node grant", micronet.Invalid, "want patterns of services, or --none").WithFix("see `micro-net node grant --help`")
			}
			names, err := a.client().GrantNames(ctx, api.GrantRequest{Node: args[0], Patterns: args[1:], Force: force})
			if err != nil {
				return err
			}
			if names.Mode == "open" {
				fmt.Fprintln(a.err, "Names are open: any node may offer any service until `micro-net node names granted`.")
			}
			return a.print(names, func(t *table) { grantTable(t, names.Grants) })
		})
	c.Flags().BoolVar(&none, "none", false, "take back all that the node was granted")
	c.Flags().BoolVar(&force, "force", false, "also when nobody would be led any more to what it offers now")
	return a.completes(a.printsData(a.talks(c)), nodeNames)
}

func (a *app) nodeGrantsCommand() *cobra.Command {
	c := a.command("grants", "list which services nodes were granted, and what they offer besides",
		"  micro-net node grants",
		noArgs, func(ctx context.Context, _ []string) error {
			names, err := a.client().Names(ctx)
			if err != nil {
				return err
			}
			return a.print(names.Grants, func(t *table) { grantTable(t, names.Grants) })
		})
	return a.printsData(a.talks(c))
}
