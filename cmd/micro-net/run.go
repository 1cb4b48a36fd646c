package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/config"
	"github.com/micro/micro-net/node/api"
)

// The exit codes of failures that are not the command's own, as env(1) and docker-run(1) have them.
const (
	exitOwnFailure    = 125
	exitNotExecutable = 126
	exitNoCommand     = 127
)

// holdAgain is how long run waits before it registers anew with a daemon that went away.
const holdAgain = time.Second

func (a *app) runCommand() *cobra.Command {
	var s config.Service
	c := &cobra.Command{
		Use:   "run --service NAME --port P [flags] -- CMD [ARG…]",
		Short: "run a command, registered as a service while it lives",
		Long: `Runs a command and registers it as a service of this node while it lives. Calls of the command, and of all
that it starts, are calls of that service to the mesh's policies. Signals and the exit code are passed on. Failures of micro-net itself exit with 125, a command that cannot be executed with 126,
one that does not exist with 127.`,
		Example:               "  micro-net run --service web --port 8080 -- python3 -m http.server 8080",
		Args:                  checked(cobra.MinimumNArgs(1)),
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			services, err := flagService("run", s, nil)
			if err != nil {
				return &exitError{exitOwnFailure, err}
			}
			return a.runHeld(cmd.Context(), services, args)
		},
	}
	a.serviceFlags(c, &s)
	// What stands after the command belongs to it.
	c.Flags().SetInterspersed(false)
	return a.talks(c)
}

func (a *app) runHeld(ctx context.Context, services []config.Service, argv []string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Before anything else, so that no signal is lost between the start and the wait.
	signals := a.env.Exec.Signals(ctx, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)
	client := a.client()
	reg, held, err := client.Hold(ctx, services)
	if err != nil {
		return &exitError{exitOwnFailure, err}
	}
	a.tellInVain(reg)
	keeping := make(chan struct{})
	go func() { defer close(keeping); a.keepHeld(ctx, client, services, held) }()
	defer func() { cancel(); <-keeping }()
	// The child ends by the signals that are passed on, never by our context.
	p, err := a.env.Exec.Start(context.WithoutCancel(ctx), micronet.Command{Argv: argv, Stdin: a.in, Stdout: a.out, Stderr: a.err})
	if err != nil {
		return startFailure(argv[0], err)
	}
	code, err := a.waitFor(p, signals)
	switch {
	case err != nil:
		return &exitError{exitOwnFailure, err}
	case code != 0:
		return &exitError{code: code}
	}
	return nil
}

func startFailure(name string, err error) error {
	code := exitNoCommand
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.ENOEXEC) || errors.Is(err, syscall.EISDIR) {
		code = exitNotExecutable
	}
	return &exitError{code, fmt.Errorf("start %s: %w", name, err)}
}

// waitFor passes signals on until the child has ended.
func (a *app) waitFor(p micronet.Process, signals <-chan syscall.Signal) (int, error) {
	type result struct {
		code int
		err  error
	}
	ended := make(chan result, 1)
	go func() {
		code, err := p.Wait()
		ended <- result{code, err}
	}()
	for {
		select {
		case r := <-ended:
			return r.code, r.err
		case s := <-signals:
			if a.inTerminal && (s == syscall.SIGINT || s == syscall.SIGQUIT) {
				continue // the terminal sent it to the child as well; twice would mean more than once
			}
			// It may have ended just now; then there is nobody to tell.
			_ = p.Signal(s)
		}
	}
}

// keepHeld holds the registration until ctx ends, also through restarts of the daemon.
func (a *app) keepHeld(ctx context.Context, client *api.Client, services []config.Service, held io.ReadCloser) {
	for {
		if held != nil {
			untilClosed(ctx, held)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(holdAgain):
		}
		_, again, err := client.Hold(ctx, services)
		if err != nil {
			held = nil
			continue
		}
		held = again
	}
}

// untilClosed returns when the daemon is gone or ctx ends.
func untilClosed(ctx context.Context, held io.ReadCloser) {
	stop := context.AfterFunc(ctx, func() { _ = held.Close() })
	defer stop()
	// The daemon says nothing more on this connection: the end is the message.
	_, _ = io.Copy(io.Discard, held)
	_ = held.Close()
}
