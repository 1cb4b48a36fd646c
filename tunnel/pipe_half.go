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
	readBy  pipeDeadline
	sendBy  pipeDeadline
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
		case h.readBy.passed():
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
		case h.sendBy.passed():
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
	h.readBy.stop()
	h.sendBy.stop()
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

func (h *pipeHalf) setDeadline(d *pipeDeadline, at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	d.set(at, h.wake)
	h.changed.Broadcast()
}

func (h *pipeHalf) wake() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.changed.Broadcast()
}

// pipeDeadline is the end of waiting for one side. It is guarded by the half's mutex.
type pipeDeadline struct {
	at    time.Time // zero: never
	timer *time.Timer
}

func (d *pipeDeadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func (d *pipeDeadline) set(at time.Time, wake func()) {
	d.stop()
	d.at = at
	if !at.IsZero() {
		d.timer = time.AfterFunc(time.Until(at), wake)
	}
}

func (d *pipeDeadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}
