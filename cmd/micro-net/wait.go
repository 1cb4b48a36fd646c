package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/node/api"
)

// waitEvery is how often a daemon is asked again.
const waitEvery = 200 * time.Millisecond

// wait is one condition of status --wait. It returns nil once it holds.
type wait func(context.Context, *api.Client, *api.Status) error

func parseWaits(words []string) ([]wait, error) {
	var out []wait
	for _, word := range words {
		w, err := parseWait(word)
		if err != nil {
			return nil, err
		}
		out = append(out, w)
	}
	return out, nil
}

func parseWait(word string) (wait, error) {
	key, value, _ := strings.Cut(word, "=")
	switch {
	case word == "ready":
		return untilReady, nil
	case key == "nodes":
		if n, err := strconv.Atoi(value); err == nil && n > 0 {
			return untilNodes(n), nil
		}
	case key == "service" && value != "":
		return untilService(value), nil
	}
	return nil, micronet.E("status", micronet.Invalid, "--wait %q means nothing", word).WithFix("want ready, nodes=N or service=NAME")
}

func untilReady(_ context.Context, _ *api.Client, s *api.Status) error {
	if s.Node.Status == micronet.Revoked {
		return micronet.E("status", micronet.Refused, "this node was revoked").WithFix("see `micro-net status`")
	}
	if !s.Ready {
		return errors.New("the node is not ready")
	}
	return nil
}

func untilNodes(n int) wait {
	return func(_ context.Context, _ *api.Client, s *api.Status) error {
		if s.Nodes.Alive < n {
			return fmt.Errorf("%d of %d nodes are alive", s.Nodes.Alive, n)
		}
		return nil
	}
}

func untilService(name string) wait {
	return func(ctx context.Context, c *api.Client, _ *api.Status) error {
		list, err := c.Services(ctx, name)
		if err != nil {
			return err
		}
		for _, s := range list {
			if slices.ContainsFunc(s.Instances, func(i api.Instance) bool { return i.Health.Serving() }) {
				return nil
			}
		}
		return fmt.Errorf("no instance of %q is healthy", name)
	}
}

// await asks for the status until all conditions hold. A daemon that does not answer yet is
// waited for as well; without conditions the first answer is the result.
func (a *app) await(ctx context.Context, conditions []wait, timeout time.Duration) (api.Status, error) {
	client := a.client()
	if len(conditions) == 0 {
		return client.Status(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	tick := time.NewTicker(waitEvery)
	defer tick.Stop()
	var last error
	for {
		s, err := holds(ctx, client, conditions)
		if err == nil {
			return s, nil
		}
		if last == nil || ctx.Err() == nil {
			last = err // a question that our own timeout cut short explains nothing
		}
		if k := micronet.KindOf(err); k == micronet.Refused || k == micronet.Invalid {
			return s, err // waiting does not change that
		}
		select {
		case <-ctx.Done():
			e := micronet.E("status", micronet.Timeout, "waited %s: %w", timeout, reason(last))
			if micronet.KindOf(last) == micronet.NoDaemon {
				e = e.WithFix("start one with `micro-net up`, or name it with --api")
			}
			return s, e
		case <-tick.C:
		}
	}
}

func holds(ctx context.Context, c *api.Client, conditions []wait) (api.Status, error) {
	s, err := c.Status(ctx)
	if err != nil {
		return s, err
	}
	for _, w := range conditions {
		if err := w(ctx, c, &s); err != nil {
			return s, err
		}
	}
	return s, nil
}

// reason is an error without operation and remedy, for use inside another one.
func reason(err error) error {
	if e, ok := errors.AsType[*micronet.Error](err); ok {
		return e.Err
	}
	return err
}
