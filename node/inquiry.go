package node

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	micronet "github.com/micro/micro-net"
)

const (
	// inquiryAtOnce is how many suspects are asked in one round: it bounds what a split costs.
	inquiryAtOnce = 16
	// inquiryTime is how long an answer is waited for: longer than any round trip.
	inquiryTime = 500 * time.Millisecond
)

// inquire asks suspects themselves for a sign of life. After a split membership tells within two seconds
// who is back, but all that is known of their signs of life is older than the split, and new ones reach
// everybody through others only in turn: the larger the mesh the later (300 nodes: 25 s). So do those of
// nodes that the other half had taken for dead. A question and its answer are two packets, after
// which both sides have heard each other.
func (l *life) inquire(ctx context.Context) error {
	rng := l.env.Rand("inquiry")
	for {
		changed := l.views.wait()
		if l.call(ctx, l.suspects(rng)) {
			l.look()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}

// suspects draws some of those that have not been heard since the view was made.
func (l *life) suspects(rng *rand.Rand) []micronet.NodeID {
	v := l.view.Load()
	var out []micronet.NodeID
	for _, id := range v.suspects() {
		if l.under.Heard(id).Before(v.made) {
			out = append(out, id)
		}
	}
	rng.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out[:min(len(out), inquiryAtOnce)]
}

// call asks all at once, and waits until they have answered or had time to. It reports whether anybody has.
func (l *life) call(ctx context.Context, ids []micronet.NodeID) bool {
	if len(ids) == 0 {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, inquiryTime)
	defer cancel()
	var (
		wg       sync.WaitGroup
		answered atomic.Bool
	)
	for _, id := range ids {
		wg.Go(func() {
			if _, err := l.under.Ping(ctx, id); err == nil {
				answered.Store(true)
			}
		})
	}
	wg.Wait()
	return answered.Load()
}
