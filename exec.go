package micronet

import (
	"context"
	"io"
	"syscall"
)

// Exec starts child processes and receives signals.
type Exec interface {
	// Start runs a command. The process is killed when ctx ends.
	Start(ctx context.Context, c Command) (Process, error)
	// Signals delivers the named signals to this process until ctx ends. The channel holds a few;
	// a slow reader loses repetitions, never the first.
	Signals(ctx context.Context, sigs ...syscall.Signal) <-chan syscall.Signal
}

// Command is a child process to be.
type Command struct {
	Argv   []string // the program and its arguments, never empty
	Env    []string // nil: that of this process
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
}

// Process is a running child.
type Process interface {
	PID() int
	Signal(sig syscall.Signal) error
	// Wait returns the exit code once the child has ended; death by signal n is 128+n.
	Wait() (int, error)
}
