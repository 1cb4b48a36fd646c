package main

import (
	"context"
	"errors"
	"syscall"
)

// interruptible runs f with a context that Ctrl-C ends; then the verb's exit code is that of an
// interruption, whatever f made of it.
func (a *app) interruptible(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	signals := a.env.Exec.Signals(ctx, syscall.SIGINT)
	go func() {
		select {
		case <-signals:
			cancel(errInterrupted)
		case <-ctx.Done():
		}
	}()
	err := f(ctx)
	if errors.Is(context.Cause(ctx), errInterrupted) {
		return errInterrupted
	}
	return err
}
