package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/config"
	"github.com/micro/micro-net/node/api"
)

// daemonFunc runs a daemon until ctx ends, and says when it has become ready.
type daemonFunc func(ctx context.Context, env micronet.Env, loaded config.Loaded, version string, started func(api.Status)) error

// app is one run of the program. Whatever it touches outside is a field, so that tests run it
// in-process.
type app struct {
	env         micronet.Env
	environ     []string // NAME=value, to warn about unknown variables
	in          io.Reader
	out, err    io.Writer
	inTerminal  bool                   // somebody types into in
	outTerminal bool                   // somebody reads out
	secret      func() ([]byte, error) // reads a line from the terminal that is not shown
	build       build
	daemon      daemonFunc
	harden      func() error // before a daemon reads its secrets
	executable  func() (string, error)
	tempDir     func(dir, pattern string) (string, error)

	address string // --api
	format  format // -o
}

// run executes the command line and returns the exit code.
func (a *app) run(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return micronet.ExitOK
	}
	return a.fail(cmd.Name(), err)
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "micro-net",
		Short: "a service mesh without servers: one daemon per host, services called by name",
		Example: `  micro-net up                          # on the first host
  micro-net invite > token              # there too; take the token to the second host
  micro-net up --join @token            # on the second host
  micro-net register --service web --port 8080
  micro-net call web /hello`,
		Args: unknownVerb, SilenceErrors: true, SilenceUsage: true, DisableFlagsInUseLine: true,
		SuggestionsMinimumDistance: nearWord,
		RunE:                       func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(flagError)
	root.SetHelpCommand(helpCommand())
	root.AddCommand(
		a.upCommand(), a.inviteCommand(), a.joinCommand(), a.leaveCommand(),
		a.statusCommand(), a.nodesCommand(), a.servicesCommand(), a.routesCommand(), a.connectionsCommand(), a.graphCommand(),
		a.registerCommand(), a.deregisterCommand(), a.runCommand(),
		a.callCommand(), a.dialCommand(), a.forwardCommand(), a.resolveCommand(), a.pingCommand(), a.traceCommand(),
		a.explainCommand(), a.policyCommand(), a.nodeCommand(), a.doctorCommand(), a.validateCommand(), a.configCommand(),
		a.demoCommand(), a.demoServiceCommand(), a.simCommand(), a.versionCommand(), a.completionCommand(),
	)
	return root
}

// command makes a verb that Ctrl-C ends with its exit code.
func (a *app) command(use, short, example string, args cobra.PositionalArgs, f func(ctx context.Context, args []string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Example: example, Args: checked(args),
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.interruptible(cmd.Context(), func(ctx context.Context) error { return f(ctx, args) })
		},
	}
}

func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use: "help [VERB]", Short: "explain a verb", Example: "  micro-net help up", DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			found, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return unknownVerb(cmd.Root(), args)
			}
			return found.Help()
		},
	}
}
