package node

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/node/api"
)

const (
	// askedClocks is with how many nodes' clocks ours is compared.
	askedClocks = 5
	// clockTime bounds asking them all, at once.
	clockTime = 2 * time.Second
)

// clockReading is a node's wall clock, in milliseconds since 1970.
type clockReading struct {
	UnixMs int64 `json:"unix_ms"`
}

// clocks compares this host's wall clock with those of a few nodes that are alive. Who does not
// answer is left out.
func (l *life) clocks(ctx context.Context) []api.Clock {
	ctx, cancel := context.WithTimeout(ctx, clockTime)
	defer cancel()
	ids := l.alive()
	slices.SortFunc(ids, micronet.NodeID.Compare)
	ids = ids[:min(len(ids), askedClocks)]
	read := make(chan api.Clock, len(ids))
	var asking sync.WaitGroup
	for _, id := range ids {
		asking.Go(func() {
			if c, err := l.clockOf(ctx, id); err == nil {
				read <- c
			}
		})
	}
	asking.Wait()
	close(read)
	out := []api.Clock{}
	for c := range read {
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b api.Clock) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// clockOf asks a node for its time, which is taken for the middle between question and answer.
func (l *life) clockOf(ctx context.Context, id micronet.NodeID) (api.Clock, error) {
	began := l.env.Wall()
	var r clockReading
	if err := l.ask(ctx, id, controlRequest{Verb: verbClock}, &r); err != nil {
		return api.Clock{}, err
	}
	took := l.env.Wall().Sub(began)
	offset := time.UnixMilli(r.UnixMs).Sub(began.Add(took / 2))
	c := api.Clock{ID: id.String(), OffsetMs: ms(offset), WithinMs: ms(took/2 + time.Millisecond)}
	if n := l.view.Load().byID[id]; n != nil {
		c.Node = n.Name
	}
	return c, nil
}
