package osenv

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	micronet "github.com/micro/micro-net"
)

const (
	// signalQueue holds signals of one kind that nobody took yet; repetitions beyond it are lost.
	signalQueue = 4
	// signalExit is what shells add to the number of the signal a child died of.
	signalExit = 128
	// outputWait is how long output is waited for after a child has ended: a grandchild that keeps
	// the pipe open must not hold up Wait.
	outputWait = time.Second
)

// Exec runs processes of the host.
type Exec struct{}

var _ micronet.Exec = Exec{}

// Start runs a command.
func (Exec) Start(ctx context.Context, c micronet.Command) (micronet.Process, error) {
	cmd := exec.CommandContext(ctx, c.Argv[0], c.Argv[1:]...)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Env, c.Stdin, c.Stdout, c.Stderr
	cmd.WaitDelay = outputWait
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return process{cmd}, nil
}

// Signals delivers signals until ctx ends.
func (Exec) Signals(ctx context.Context, sigs ...syscall.Signal) <-chan syscall.Signal {
	in := make(chan os.Signal, signalQueue*max(len(sigs), 1))
	for _, s := range sigs {
		signal.Notify(in, s)
	}
	out := make(chan syscall.Signal)
	go deliver(ctx, in, out)
	return out
}

// deliver keeps what the reader has not taken, so that many of one kind push out no other.
func deliver(ctx context.Context, in chan os.Signal, out chan<- syscall.Signal) {
	defer signal.Stop(in)
	var pending []syscall.Signal
	for {
		var to chan<- syscall.Signal
		var next syscall.Signal
		if len(pending) > 0 {
			to, next = out, pending[0]
		}
		select {
		case <-ctx.Done():
			return
		case s := <-in:
			if sig, ok := s.(syscall.Signal); ok && count(pending, sig) < signalQueue {
				pending = append(pending, sig)
			}
		case to <- next:
			pending = pending[1:]
		}
	}
}

func count(list []syscall.Signal, sig syscall.Signal) (n int) {
	for _, s := range list {
		if s == sig {
			n++
		}
	}
	return n
}

type process struct{ cmd *exec.Cmd }

func (p process) PID() int { return p.cmd.Process.Pid }

func (p process) Signal(sig syscall.Signal) error { return p.cmd.Process.Signal(sig) }

func (p process) Wait() (int, error) {
	err := p.cmd.Wait()
	state := p.cmd.ProcessState
	if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended && (state == nil || !expected(err)) {
		return 0, err
	}
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return signalExit + int(ws.Signal()), nil
	}
	return state.ExitCode(), nil
}

// expected are errors of Wait beside which the child has an exit code: its output was held open
// by others, or its context ended.
func expected(err error) bool {
	return errors.Is(err, exec.ErrWaitDelay) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
