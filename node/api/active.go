package api

import "sync"

// active counts the requests that are being answered, so that Run returns after the last of
// them, also of those that took their connection over.
type active struct {
	mu     sync.Mutex
	closed bool
	wg     sync.WaitGroup
}

// enter reports whether a request may begin; each success needs a leave.
func (a *active) enter() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return false
	}
	a.wg.Add(1)
	return true
}

func (a *active) leave() { a.wg.Done() }

// close lets nobody in any more, and waits for those who are.
func (a *active) close() {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	a.wg.Wait()
}
