package tunnel

import (
	"io"
	"os"
	"sync"
	"time"
)

// pipeHalf is one direction of a stream in memory.
type pipeHalf struct {
	mu      sync.Mutex
	changed *sync.Cond
	buf     []byte // at most pipeBuffer, oldest first
	ended   bool   // nothing more is written; what is in buf is still read
	readErr error  // reads fail at once
	sendErr error  // writes fail at once
	readBy  Deadline
	sendBy  Deadline
}

func newPipeHalf() *pipeHalf {
	h := &pipeHalf{}
	h.changed = sync.NewCond(&h.mu)
	return h
}

func (h *pipeHalf) read(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.readErr != nil:
			return 0, h.readErr
		case h.readBy.Passed():
			return 0, os.ErrDeadlineExceeded
		case len(h.buf) > 0 || len(p) == 0:
			n := copy(p, h.buf)
			h.buf = append(h.buf[:0], h.buf[n:]...)
			h.changed.Broadcast()
			return n, nil
		case h.ended:
			return 0, io.EOF
		}
		h.changed.Wait()
	}
}

func (h *pipeHalf) write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	sent := 0
	for {
		switch {
		case h.sendErr != nil:
			return sent, h.sendErr
		case h.sendBy.Passed():
			return sent, os.ErrDeadlineExceeded
		}
		if n := min(pipeBuffer-len(h.buf), len(p)-sent); n > 0 {
			h.buf = append(h.buf, p[sent:sent+n]...)
			sent += n
			h.changed.Broadcast()
		}
		if sent == len(p) {
			return sent, nil
		}
		h.changed.Wait()
	}
}

// end closes the writing side after what was written.
func (h *pipeHalf) end(sendErr error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = true
	h.fail(&h.sendErr, sendErr)
}

// stop closes the reading side; what was not read is lost.
func (h *pipeHalf) stop(readErr, sendErr error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.buf = nil
	h.fail(&h.readErr, readErr)
	h.fail(&h.sendErr, sendErr)
	h.readBy.Stop()
	h.sendBy.Stop()
}

// deny makes reads fail, without a word to the writer.
func (h *pipeHalf) deny(readErr error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fail(&h.readErr, readErr)
}

// fail keeps the first error of a side.
func (h *pipeHalf) fail(side *error, err error) {
	if *side == nil {
		*side = err
	}
	h.changed.Broadcast()
}

func (h *pipeHalf) setDeadline(d *Deadline, at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	d.Set(at, &h.mu, h.changed.Broadcast)
	h.changed.Broadcast()
}
