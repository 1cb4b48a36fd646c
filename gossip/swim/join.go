package swim

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	micronet "github.com/micro/micro-net"
)

const (
	// joinParallel bounds how many seeds of one Join are contacted at the same time.
	joinParallel = 3
	// resyncAfter is the time between a join and the synchronisations after it. Without them a mass
	// join leaves holes that only the periodic one fills, and a member that the cluster takes
	// for dead is not believed before it has refuted that, about a second after the join.
	resyncAfter = time.Second
	// maxResyncs bounds the synchronisations after one join.
	maxResyncs = 8
)

// joined is the outcome of a Join.
type joined struct {
	answered []micronet.NodeID
	err      error
}

// Join implements gossip.Membership. It contacts all seeds, a few at a time, and waits for each;
// in the seconds after it, other members are synchronised with. Before Run has started it waits
// for that.
func (s *Swim) Join(ctx context.Context, seeds ...micronet.NodeID) (int, error) {
	targets := s.targets(seeds)
	if len(targets) == 0 {
		return 0, micronet.E("swim.join", micronet.Invalid, "no other member to join")
	}
	result := make(chan joined, 1)
	err := s.submit(ctx, "swim.join", func(ctx context.Context, list *memberlist.Memberlist) {
		j := s.contact(list, targets)
		result <- j
		if len(j.answered) > 0 {
			s.resync(ctx, list, j.answered)
		}
	})
	if err != nil {
		return 0, err
	}
	select {
	case j := <-result:
		if len(j.answered) == 0 {
			return 0, micronet.E("swim.join", micronet.Unreachable, "none of %d members answered: %w", len(targets), j.err)
		}
		return len(j.answered), nil
	case <-ctx.Done():
		return 0, ctxError("swim.join", ctx)
	}
}

// targets returns the seeds without this node and without repetitions.
func (s *Swim) targets(seeds []micronet.NodeID) []micronet.NodeID {
	var targets []micronet.NodeID
	for _, id := range seeds {
		if id != s.self.id && !id.IsZero() && !slices.Contains(targets, id) {
			targets = append(targets, id)
		}
	}
	return targets
}

// contact synchronises with each target and returns who answered.
func (s *Swim) contact(list *memberlist.Memberlist, targets []micronet.NodeID) joined {
	var (
		workers sync.WaitGroup
		slots   = make(chan struct{}, joinParallel)
		mu      sync.Mutex
		out     joined
	)
	for _, id := range targets {
		slots <- struct{}{}
		workers.Go(func() {
			err := s.synchronise(list, id)
			<-slots
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				out.err = errors.Join(out.err, err)
				return
			}
			out.answered = append(out.answered, id)
		})
	}
	workers.Wait()
	return out
}

// synchronise exchanges everything with one node.
func (s *Swim) synchronise(list *memberlist.Memberlist, id micronet.NodeID) error {
	s.mu.Lock()
	s.contacts.add(time.Now(), id)
	s.mu.Unlock()
	if _, err := list.Join([]string{id.String() + "/" + id.Addr().String()}); err != nil {
		return plainError(err)
	}
	return nil
}

// plainError puts memberlist's list of one error on one line.
func plainError(err error) error {
	text := strings.Join(strings.Fields(err.Error()), " ")
	return errors.New(strings.TrimPrefix(text, "1 error occurred: * "))
}

// resync synchronises again a while after a join, twice, and then as long as that teaches members:
// many nodes that join at once fill the gossip queues with their credentials,
// and full exchanges are what brings them together (100 nodes: 6 s instead of 45 s).
func (s *Swim) resync(ctx context.Context, list *memberlist.Memberlist, answered []micronet.NodeID) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	for i := range maxResyncs {
		timer.Reset(resyncAfter + s.env.Phase)
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		known := s.size.Load()
		// A failure costs nothing: the next round, or the periodic one, asks somebody else.
		_ = s.synchronise(list, s.another(answered))
		if i > 0 && s.size.Load() == known {
			return
		}
	}
}

// another picks who is asked second: any member but the first seed, which knows what it told.
func (s *Swim) another(answered []micronet.NodeID) micronet.NodeID {
	s.mu.Lock()
	defer s.mu.Unlock()
	var others []micronet.NodeID
	for _, m := range s.table.snapshot() {
		if m.Status == micronet.Alive && m.ID != answered[0] {
			others = append(others, m.ID)
		}
	}
	if len(others) == 0 {
		return answered[0]
	}
	return others[s.rng.IntN(len(others))]
}
