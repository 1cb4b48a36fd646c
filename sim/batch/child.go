package batch

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"sync"
	"syscall"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/sim"
)

const (
	// Patience is how long a child may show no progress of virtual time, for each patientNodes that it has.
	Patience     = 60 * time.Second
	patientNodes = 100
	// exactPatience is how long one may take that tells nothing before its end; see Serve.
	exactPatience = 30 * time.Minute
	// dyingTime is how long it may take to write its stacks after SIGQUIT.
	dyingTime = 5 * time.Second
	// maxStderr bounds what is kept of a child's standard error: its beginning says what went wrong.
	maxStderr = 256 << 10
)

// environment is that of a child, nil for the parent's own. Where runs are to repeat exactly it is the
// same everywhere: one processor from the first instruction on and garbage collected in one piece, so
// that even addresses are equal in all runs.
func environment() []string {
	if !sim.Exact {
		return nil
	}
	return []string{"GOMAXPROCS=1", "GOGC=off", "GODEBUG=gcstoptheworld=2"}
}

// child is one run in a process of its own.
type child struct {
	process micronet.Process
	stderr  head
	told    chan message // unbuffered
}

// runChild runs a child to its end.
func runChild(ctx context.Context, exec micronet.Exec, argv []string, patience time.Duration, progress func(virtual time.Duration, steps uint64)) (out message, stderr string, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, w := io.Pipe()
	c := &child{told: make(chan message), stderr: head{limit: maxStderr}}
	c.process, err = exec.Start(ctx, micronet.Command{Argv: argv, Env: environment(), Stdout: w, Stderr: &c.stderr})
	if err != nil {
		return message{}, "", err
	}
	var wg sync.WaitGroup
	wg.Go(func() { c.read(ctx, r) })
	var code int
	wg.Go(func() { code, _ = c.process.Wait(); _ = w.Close() })
	out, err = c.watch(ctx, patience, progress)
	if err != nil {
		_ = c.process.Signal(syscall.SIGKILL) // it has ended, or will
	}
	cancel()
	_ = r.Close()
	wg.Wait()
	if err == nil && out.Run == nil && out.Err == "" {
		err = fmt.Errorf("the process of the run ended with %d and no result", code)
	}
	return out, c.stderr.String(), err
}

// read decodes what the child tells until it has ended.
func (c *child) read(ctx context.Context, r io.Reader) {
	defer close(c.told)
	dec := gob.NewDecoder(r)
	for {
		var m message
		if dec.Decode(&m) != nil {
			return
		}
		select {
		case c.told <- m:
		case <-ctx.Done():
			return
		}
	}
}

var errStands = errors.New("virtual time has stood still")

// watch follows a child. One whose virtual time stands is made to show what it is doing.
func (c *child) watch(ctx context.Context, patience time.Duration, progress func(time.Duration, uint64)) (message, error) {
	var last message
	still := time.NewTimer(patience)
	defer still.Stop()
	for {
		select {
		case m, open := <-c.told:
			if !open || m.Run != nil || m.Err != "" {
				return m, nil
			}
			if m.Virtual != last.Virtual || m.Steps != last.Steps {
				still.Reset(patience)
			}
			last = m
			progress(m.Virtual, m.Steps)
		case <-still.C:
			return message{}, c.quit(fmt.Errorf("%w at %v for %v", errStands, last.Virtual, patience))
		case <-ctx.Done():
			return message{}, context.Cause(ctx)
		}
	}
}

// quit makes a child write its stacks and end, because of err.
func (c *child) quit(err error) error {
	if c.process.Signal(syscall.SIGQUIT) != nil {
		return err
	}
	dying := time.NewTimer(dyingTime)
	defer dying.Stop()
	for {
		select {
		case _, open := <-c.told:
			if !open {
				return err
			}
		case <-dying.C:
			return err
		}
	}
}

// head keeps the beginning of what is written.
type head struct {
	limit int

	mu  sync.Mutex
	buf bytes.Buffer
}

// Write never fails.
func (h *head) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if room := h.limit - h.buf.Len(); room > 0 {
		h.buf.Write(b[:min(room, len(b))])
	}
	return len(b), nil
}

// String returns what is kept.
func (h *head) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.buf.String()
}
