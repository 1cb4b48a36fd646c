package osenv

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	micronet "github.com/micro/micro-net"
)

// signalQueue holds signals that nobody took yet; repetitions beyond it are lost.
const signalQueue = 4

// signalExit is what shells add to the number of the signal a child died of.
const signalExit = 128

// Exec runs processes of the host.
type Exec struct{}

var _ micronet.Exec = Exec{}

// Start runs a command.
func (Exec) Start(ctx context.Context, c micronet.Command) (micronet.Process, error) {
	cmd := exec.CommandContext(ctx, c.Argv[0], c.Argv[1:]...)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Env, c.Stdin, c.Stdout, c.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return process{cmd}, nil
}

// Signals delivers signals until ctx ends.
func (Exec) Signals(ctx context.Context, sigs ...syscall.Signal) <-chan syscall.Signal {
	in := make(chan os.Signal, signalQueue)
	for _, s := range sigs {
		signal.Notify(in, s)
	}
	out := make(chan syscall.Signal, signalQueue)
	go func() {
		defer signal.Stop(in)
		for {
			select {
			case <-ctx.Done():
				return
			case s := <-in:
				select {
				case out <- s.(syscall.Signal):
				default:
				}
			}
		}
	}()
	return out
}

type process struct{ cmd *exec.Cmd }

func (p process) PID() int { return p.cmd.Process.Pid }

func (p process) Signal(sig syscall.Signal) error { return p.cmd.Process.Signal(sig) }

func (p process) Wait() (int, error) {
	err := p.cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			return signalExit + int(ws.Signal()), nil
		}
		return exit.ExitCode(), nil
	}
	return 0, err
}
