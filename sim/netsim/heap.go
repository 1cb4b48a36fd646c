package netsim

import "time"

// event is something that will happen.
type event struct {
	at   time.Duration // since the world began
	fire func()        // runs under World.mu
}

// eventHeap keeps events by their instant. Instants are unique: an event that asks for a taken
// one gets the next free nanosecond, so there are no ties to break.
type eventHeap struct {
	events []event
	taken  map[time.Duration]struct{}
}

// push adds an event and returns its instant, and whether it is the next one.
func (h *eventHeap) push(at time.Duration, fire func()) (time.Duration, bool) {
	for h.isTaken(at) {
		at++
	}
	h.taken[at] = struct{}{}
	h.events = append(h.events, event{at: at, fire: fire})
	i := len(h.events) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if h.events[parent].at < h.events[i].at {
			break
		}
		h.events[parent], h.events[i] = h.events[i], h.events[parent]
		i = parent
	}
	return at, i == 0
}

func (h *eventHeap) isTaken(at time.Duration) bool {
	_, taken := h.taken[at]
	return taken
}

// next returns the instant of the next event, false when there is none.
func (h *eventHeap) next() (time.Duration, bool) {
	if len(h.events) == 0 {
		return 0, false
	}
	return h.events[0].at, true
}

// pop takes the next event; there must be one.
func (h *eventHeap) pop() event {
	top := h.events[0]
	last := len(h.events) - 1
	h.events[0] = h.events[last]
	h.events[last] = event{}
	h.events = h.events[:last]
	delete(h.taken, top.at)
	h.sink()
	return top
}

// sink moves the first event down to its place.
func (h *eventHeap) sink() {
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(h.events); child++ {
			if h.events[child].at < h.events[least].at {
				least = child
			}
		}
		if least == i {
			return
		}
		h.events[i], h.events[least] = h.events[least], h.events[i]
		i = least
	}
}
