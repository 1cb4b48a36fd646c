package node

import (
	"context"
	"errors"
	"sync"
)

// group runs the long-lived parts of a node. The first that ends with an error ends all, with
// that error as the cause; stop ends them politely. wait returns when every goroutine has ended.
type group struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup
}

// errStopped is the cause of a polite end.
var errStopped = errors.New("stopped")

func newGroup(parent context.Context) *group {
	g := &group{}
	g.ctx, g.cancel = context.WithCancelCause(parent)
	return g
}

// run starts a part. A part that fails ends the group; one that returns nil has done its work.
func (g *group) run(part func(ctx context.Context) error) {
	g.wg.Go(func() {
		if err := part(g.ctx); err != nil && g.ctx.Err() == nil {
			g.cancel(err)
		}
	})
}

// stop asks all parts to end and waits for them.
func (g *group) stop() {
	g.cancel(errStopped)
	g.wg.Wait()
}

// err returns why the group ended, nil when it was asked to or has not.
func (g *group) err() error {
	if g.ctx.Err() == nil {
		return nil
	}
	err := context.Cause(g.ctx)
	if errors.Is(err, errStopped) || errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
