package netsim

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"path/filepath"
	"sync"
	"syscall"

	micronet "github.com/micro/micro-net"
)

// CommandFunc is a program of a simulated host; args does not hold its name. It returns the exit
// code. ctx ends when the program is to die: by a signal it did not ask for (see CaughtSignals),
// with the ctx given to Start, or with the host.
type CommandFunc func(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer, args []string) int

const (
	// signalsMax is how many signals wait for a program or a subscriber, more than there are kinds.
	// What is more is merged with what waits.
	signalsMax = 32

	// diedOf is added to the number of the signal in the exit code.
	diedOf = 128
)

// shell starts the commands of one life of a host and takes its signals.
type shell struct {
	host *Host
	life context.Context // ends with the host's life
	end  context.CancelFunc

	mu      sync.Mutex
	lastPID int
	inboxes []*signals
}

var _ micronet.Exec = (*shell)(nil)

func newShell(h *Host) *shell {
	s := &shell{host: h, lastPID: 1}
	s.life, s.end = context.WithCancel(context.Background())
	return s
}

func (s *shell) kill() { s.end() }

// Start runs a command that Host.Command made, found by the last element of its path.
func (s *shell) Start(ctx context.Context, c micronet.Command) (micronet.Process, error) {
	if len(c.Argv) == 0 {
		return nil, micronet.E("netsim.start", micronet.Invalid, "the command has no name")
	}
	if s.life.Err() != nil {
		return nil, micronet.E("netsim.start", micronet.Closed, "the host has crashed")
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	run := s.host.command(filepath.Base(c.Argv[0]))
	if run == nil {
		return nil, &fs.PathError{Op: "exec", Path: c.Argv[0], Err: fs.ErrNotExist}
	}
	p := &process{pid: s.nextPID(), done: make(chan struct{}), signals: newSignals(ctx)}
	ctx, p.cancel = context.WithCancelCause(context.WithValue(ctx, processKey{}, p))
	stop := context.AfterFunc(s.life, func() { p.die(syscall.SIGKILL) })
	go func() {
		defer stop()
		p.exit(ctx, run(ctx, orEmpty(c.Stdin), orDiscard(c.Stdout), orDiscard(c.Stderr), c.Argv[1:]))
	}()
	return p, nil
}

func (h *Host) command(name string) CommandFunc {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.commands[name]
}

func (s *shell) nextPID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastPID++
	return s.lastPID
}

func orEmpty(r io.Reader) io.Reader {
	if r == nil {
		return bytes.NewReader(nil)
	}
	return r
}

func orDiscard(w io.Writer) io.Writer {
	if w == nil {
		return io.Discard
	}
	return w
}

// Signals delivers what Host.Raise sends; see micronet.Exec.
func (s *shell) Signals(ctx context.Context, sigs ...syscall.Signal) <-chan syscall.Signal {
	in := newSignals(ctx, sigs...)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inboxes = append(s.live(), in)
	return in.c
}

func (s *shell) raise(sig syscall.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inboxes = s.live()
	for _, in := range s.inboxes {
		in.put(sig)
	}
}

// live returns the inboxes whose context has not ended.
func (s *shell) live() []*signals {
	var out []*signals
	for _, in := range s.inboxes {
		if in.ctx.Err() == nil && s.life.Err() == nil {
			out = append(out, in)
		}
	}
	return out
}

// process is a command that runs.
type process struct {
	pid     int
	done    chan struct{} // closed when it has ended
	cancel  context.CancelCauseFunc
	signals *signals

	mu     sync.Mutex
	catch  bool           // the program takes signals itself
	killed syscall.Signal // what it died of, 0 while it lives
	code   int
}

type processKey struct{}

// CaughtSignals makes the program that runs under ctx, the one its CommandFunc was given, take
// signals itself instead of dying of them. SIGKILL cannot be caught. Outside of a program the
// channel is nil.
func CaughtSignals(ctx context.Context) <-chan syscall.Signal {
	p, ok := ctx.Value(processKey{}).(*process)
	if !ok {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.catch = true
	return p.signals.c
}

// PID returns the process id, unique in the host's life.
func (p *process) PID() int { return p.pid }

// Signal sends a signal: the program takes it or dies of it.
func (p *process) Signal(sig syscall.Signal) error {
	select {
	case <-p.done:
		return micronet.E("netsim.signal", micronet.Closed, "process %d has ended", p.pid)
	default:
	}
	if p.catches(sig) {
		p.signals.put(sig)
		return nil
	}
	p.die(sig)
	return nil
}

func (p *process) catches(sig syscall.Signal) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.catch && sig != syscall.SIGKILL
}

func (p *process) die(sig syscall.Signal) {
	p.mu.Lock()
	if p.killed == 0 {
		p.killed = sig
	}
	p.mu.Unlock()
	p.cancel(context.Canceled)
}

// exit records how the program ended. One whose context ended was killed.
func (p *process) exit(ctx context.Context, code int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.killed != 0:
		code = diedOf + int(p.killed)
	case ctx.Err() != nil:
		code = diedOf + int(syscall.SIGKILL)
	}
	p.code = code
	p.cancel(context.Canceled)
	close(p.done)
}

// Wait waits for the end and returns the exit code.
func (p *process) Wait() (int, error) {
	<-p.done
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.code, nil
}
