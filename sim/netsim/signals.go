package netsim

import (
	"context"
	"slices"
	"sync"
	"syscall"
)

// signals is an inbox of signals. When it is full, repetitions are thrown away, so that the
// first of each kind is never lost.
type signals struct {
	ctx  context.Context
	want []syscall.Signal // empty: all
	c    chan syscall.Signal

	mu sync.Mutex // only put sends
}

func newSignals(ctx context.Context, want ...syscall.Signal) *signals {
	return &signals{ctx: ctx, want: want, c: make(chan syscall.Signal, max(signalsMax, len(want)))}
}

func (s *signals) put(sig syscall.Signal) {
	if len(s.want) > 0 && !slices.Contains(s.want, sig) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.offer(sig) {
		return
	}
	for _, o := range append(s.takeAll(), sig) {
		s.offer(o)
	}
}

func (s *signals) offer(sig syscall.Signal) bool {
	select {
	case s.c <- sig:
		return true
	default:
		return false
	}
}

// takeAll empties the inbox and returns the first of each kind.
func (s *signals) takeAll() []syscall.Signal {
	var out []syscall.Signal
	for {
		select {
		case sig := <-s.c:
			if !slices.Contains(out, sig) {
				out = append(out, sig)
			}
		default:
			return out
		}
	}
}
