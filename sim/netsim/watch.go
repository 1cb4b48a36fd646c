package netsim

import (
	"context"
	"slices"
)

// watchers are those who want to know of changes. Whoever keeps the list guards it.
type watchers []watcher

type watcher struct {
	ctx context.Context
	c   chan struct{} // holds one
}

// add makes a channel that gets what tell sends until ctx ends.
func (l *watchers) add(ctx context.Context) <-chan struct{} {
	l.prune()
	w := watcher{ctx, make(chan struct{}, 1)}
	*l = append(*l, w)
	return w.c
}

// tell never blocks: a change that was not taken yet stands for this one too.
func (l *watchers) tell() {
	l.prune()
	for _, w := range *l {
		select {
		case w.c <- struct{}{}:
		default:
		}
	}
}

func (l *watchers) prune() {
	*l = slices.DeleteFunc(*l, func(w watcher) bool { return w.ctx.Err() != nil })
}
