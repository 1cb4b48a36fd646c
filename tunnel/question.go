package tunnel

import (
	"context"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Asked is an outbound stream whose answer is waited for with a Question.
type Asked interface {
	// ReadAnswer goes on reading the answer frame within the read deadline: nil when the peer accepted,
	// os.ErrDeadlineExceeded when a later call may go on, else why there is no acceptance.
	ReadAnswer() error
	// ReadUntil sets the deadline of reads.
	ReadUntil(at time.Time) error
	// Interrupted is the error of a wait that ended with its context.
	Interrupted(cause error) error
}

// Question is the wait for the answer to an opening frame, as Outbound asks for it: whoever comes first,
// a reader or Answered, reads the frame, and the others wait for the slot. Thus no stream needs a goroutine.
type Question struct {
	of      Asked
	verdict atomic.Pointer[verdict] // nil until the answer is there
	asking  chan struct{}           // the one slot of who reads the answer

	mu       sync.Mutex // above the stream's own
	deadline time.Time  // as set by the user
	borrowed bool       // Answered uses the read deadline to end its wait
}

// verdict is the peer's answer: nil when it accepted.
type verdict struct{ err error }

// Ask makes the Question of a stream.
func (q *Question) Ask(of Asked) { q.of, q.asking = of, make(chan struct{}, 1) }

// Await is called before each read: it waits within the read deadline. Another holder of the slot meets
// the same deadline, so that waiting for the slot needs no timer.
func (q *Question) Await() error {
	if v := q.verdict.Load(); v != nil && v.err == nil {
		return nil
	}
	q.asking <- struct{}{}
	defer func() { <-q.asking }()
	return q.readLocked()
}

// Answered waits for the answer. It ends with ctx, with the read deadline and with the stream.
func (q *Question) Answered(ctx context.Context) error {
	if v := q.verdict.Load(); v != nil {
		return v.err
	}
	select {
	case q.asking <- struct{}{}:
	case <-ctx.Done():
		return q.of.Interrupted(context.Cause(ctx))
	}
	defer func() { <-q.asking }()
	if ctx.Done() == nil {
		return q.readLocked()
	}
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		q.lend(true)
		close(woken)
	})
	err := q.readLocked()
	if !stop() {
		<-woken
		q.lend(false)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return q.of.Interrupted(context.Cause(ctx))
		}
	}
	return err
}

// readLocked is called by the holder of the slot.
func (q *Question) readLocked() error {
	if v := q.verdict.Load(); v != nil {
		return v.err
	}
	err := q.of.ReadAnswer()
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		q.verdict.Store(&verdict{err})
	}
	return err
}

// lend gives the read deadline to a wait that is over, and back to the user.
func (q *Question) lend(over bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.borrowed = over
	at := q.deadline
	if over {
		at = time.Unix(1, 0)
	}
	_ = q.of.ReadUntil(at) // the reader finds the error, if there is one
}

// SetReadDeadline is the stream's, which must not set its deadline of reads in another way.
func (q *Question) SetReadDeadline(at time.Time) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.deadline = at
	if q.borrowed {
		return nil
	}
	return q.of.ReadUntil(at)
}
