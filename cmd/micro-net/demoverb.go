package main

import (
	"context"
	"fmt"
	"syscall"

	"github.com/spf13/cobra"

	micronet "github.com/micro/micro-net"
)

func (a *app) demoCommand() *cobra.Command {
	var once bool
	c := &cobra.Command{
		Use: "demo [flags]", Short: "three nodes on loopback, a sample service and a guided tour; Ctrl-C ends it, nothing is left behind",
		Example: "  micro-net demo\n  micro-net demo --once",
		Args:    checked(noArgs), DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			binary, err := a.executable()
			if err != nil {
				return micronet.E("demo", micronet.Internal, "where is this program: %w", err)
			}
			dir, err := a.tempDir("", "micro-net-demo-")
			if err != nil {
				return micronet.E("demo", micronet.Internal, "%w", err).WithFix("set $TMPDIR to a folder that can be written")
			}
			return a.untilStopped(cmd.Context(), func(ctx context.Context) error {
				return runDemo(ctx, a.env, binary, dir, a.out, once)
			})
		},
	}
	c.Flags().BoolVar(&once, "once", false, "end after the tour")
	return c
}

// demoServiceCommand is the sample service: demo starts this program again with this verb.
func (a *app) demoServiceCommand() *cobra.Command {
	return &cobra.Command{
		Use: "demo-service NAME", Short: "the sample service of demo", Hidden: true,
		Example: "  micro-net demo-service a",
		Args:    checked(cobra.ExactArgs(1)), DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			err := a.untilStopped(cmd.Context(), func(ctx context.Context) error { return serveDemo(ctx, a.env, args[0], a.out) })
			if err != nil {
				return fmt.Errorf("serve: %w", err)
			}
			return nil
		},
	}
}

// untilStopped runs f with a context that Ctrl-C or SIGTERM ends: being stopped is how f ends well.
func (a *app) untilStopped(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	signals := a.env.Exec.Signals(ctx, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		select {
		case <-signals:
			cancel()
		case <-ctx.Done():
		}
	}()
	return f(ctx)
}
