package micronet

import (
	"context"
	"time"
)

// Pause waits for d; false when ctx has ended, which cuts it short.
func Pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
