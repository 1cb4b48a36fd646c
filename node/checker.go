package node

import (
	"context"
	"reflect"
	"sync"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/config"
)

// checker runs the health checks of this node's instances: one goroutine per instance with
// checks, started and ended as the registry changes.
type checker struct {
	env      micronet.Env
	registry *registry
	wake     chan struct{} // capacity 1: changes not looked at yet are one
}

func newChecker(env micronet.Env, r *registry) *checker {
	return &checker{env: env, registry: r, wake: make(chan struct{}, 1)}
}

func (c *checker) notify() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

type running struct {
	service config.Service
	cancel  context.CancelFunc
}

// Run follows the registry until ctx ends.
func (c *checker) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	active := map[string]running{}
	for {
		c.sync(ctx, &wg, active)
		select {
		case <-ctx.Done():
			return nil
		case <-c.wake:
		}
	}
}

// sync starts checks of new instances, ends those of gone ones, and restarts changed ones.
func (c *checker) sync(ctx context.Context, wg *sync.WaitGroup, active map[string]running) {
	seen := map[string]bool{}
	for _, e := range c.registry.all() {
		if e.service.Checks.None || len(e.service.Checks.List) == 0 {
			continue
		}
		seen[e.service.ID] = true
		if r, ok := active[e.service.ID]; ok {
			if reflect.DeepEqual(r.service, e.service) {
				continue
			}
			r.cancel()
		}
		one, cancel := context.WithCancel(ctx)
		active[e.service.ID] = running{e.service, cancel}
		wg.Go(func() { c.follow(one, e.service) })
	}
	for id, r := range active {
		if !seen[id] {
			r.cancel()
			delete(active, id)
		}
	}
}

// follow runs the checks of one instance, each at its own interval, and reports the worst.
func (c *checker) follow(ctx context.Context, s config.Service) {
	results := make(chan result)
	var wg sync.WaitGroup
	defer wg.Wait()
	for i := range s.Checks.List {
		wg.Go(func() { c.repeat(ctx, i, &s.Checks.List[i], results) })
	}
	last := make([]verdict, len(s.Checks.List))
	for i := range last {
		last[i] = verdict{health: micronet.Critical}
	}
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-results:
			last[r.check] = r.verdict
		}
		if ctx.Err() != nil {
			return // another configuration of the instance may have taken over
		}
		w := worst(last)
		c.report(&s, w.health, w.output)
	}
}

func (c *checker) report(s *config.Service, h micronet.Health, output string) {
	if from, changed := c.registry.setHealth(s.ID, h, output); changed {
		c.env.Events.HealthChanged(micronet.HealthChange{Service: s.Name, ID: s.ID, From: from, To: h, Output: output})
	}
}

// result is the state of one check and what it said last.
type result struct {
	verdict
	check int
}

// repeat runs one check now and then at its interval. The first failure is looked at again
// soon, as programs often register a moment before they listen.
func (c *checker) repeat(ctx context.Context, index int, check *config.Check, results chan<- result) {
	core := newCheckCore(check)
	t := time.NewTimer(0)
	defer t.Stop()
	passed := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		v := runCheck(ctx, c.env, check)
		passed = passed || v.health.Serving()
		select {
		case <-ctx.Done():
			return
		case results <- result{verdict{core.step(v.health), v.output}, index}:
		}
		t.Reset(c.wait(check, passed))
	}
}

// firstRetry is how soon a check that never passed is tried again.
const firstRetry = 500 * time.Millisecond

func (c *checker) wait(check *config.Check, passed bool) time.Duration {
	d := check.Interval
	if !passed {
		d = min(d, firstRetry)
	}
	return d + c.env.Phase
}
