package main

import (
	"github.com/spf13/cobra"
)

// nodeCommand holds the verbs about trust.
func (a *app) nodeCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "node", Short: "who belongs to the cluster, who may sign for it, what was signed, and who may offer what",
		Example: "  micro-net node revoke worker-7 --reason stolen\n  micro-net node promote web-2\n  micro-net node log --verify\n  micro-net node root export /media/usb/root --remove",
		Args:    unknownVerb, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(a.nodeLogCommand(), a.nodePromoteCommand(), a.nodeDemoteCommand(), a.nodeRootCommand(), a.nodeRevokeCommand(), a.nodeForgetCommand())
	c.AddCommand(a.nodeGrantCommand(), a.nodeGrantsCommand(), a.nodeNamesCommand())
	return c
}
