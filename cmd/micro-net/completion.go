package main

import (
	"context"

	"github.com/spf13/cobra"
)

func (a *app) completionCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "completion bash|zsh|fish|powershell", Short: "print a script that completes verbs, flags and names in a shell",
		Example: `  source <(micro-net completion bash)
  micro-net completion zsh > "${fpath[1]}/_micro-net"`,
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"}, DisableFlagsInUseLine: true,
		Args: checked(cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs)),
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return a.interruptible(cmd.Context(), func(context.Context) error { return a.completionScript(cmd.Root(), args[0]) })
	}
	return c
}

func (a *app) completionScript(root *cobra.Command, shell string) error {
	switch shell {
	case "bash":
		return root.GenBashCompletionV2(a.out, true)
	case "zsh":
		return root.GenZshCompletion(a.out)
	case "fish":
		return root.GenFishCompletion(a.out, true)
	default:
		return root.GenPowerShellCompletionWithDesc(a.out)
	}
}
