package sim

import (
	"sync"
	"time"
)

// maxMoments bounds the moments that wait to be judged. What comes beyond that is left to the look once a second.
const maxMoments = 4096

// moments are what daemons, disks and programs told from goroutines of their own since the simulation did something
// last. Nothing that it knows changes in between, and it is woken at once: they are judged at the instant at which
// they happened, however short what they tell of lasted.
type moments struct {
	mu      sync.Mutex
	waiting []moment
	rang    chan struct{} // holds one
}

type moment struct {
	at    time.Time
	judge func(ago time.Duration)
}

func newMoments() *moments { return &moments{rang: make(chan struct{}, 1)} }

// add lets the simulation's goroutine judge something that happens now. ago is 0, unless that goroutine was
// waiting for a daemon's answer.
func (l *moments) add(judge func(ago time.Duration)) {
	l.mu.Lock()
	if len(l.waiting) < maxMoments {
		l.waiting = append(l.waiting, moment{time.Now(), judge})
	}
	l.mu.Unlock()
	select {
	case l.rang <- struct{}{}:
	default:
	}
}

func (l *moments) take() []moment {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := l.waiting
	l.waiting = nil
	return out
}

// judge judges all that waits.
func (l *moments) judge() {
	for _, x := range l.take() {
		x.judge(time.Since(x.at))
	}
}

// wait waits until a time, and reports whether there is something to judge before it does anything then.
func (l *moments) wait(d time.Duration) (some bool) {
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-l.rang:
			return true
		case <-t.C:
		}
	}
	select {
	case <-l.rang:
		return true
	default:
		return false
	}
}
