package sim

import (
	"context"
	"time"

	"github.com/micro/micro-net/node"
	"github.com/micro/micro-net/sim/scenario"
)

// orderTime bounds what is asked of a daemon about authorities.
const orderTime = 10 * time.Second

// actOnAuthorities does what a step says about who signs for the cluster. The founder has the root key.
func (m *mesh) actOnAuthorities(step *scenario.Step) (undo func()) {
	founder := m.machines[0]
	switch a := step.Action.(type) {
	case scenario.Promote:
		each(m.selected(a.Nodes), func(x *machine) {
			m.order(founder, func(ctx context.Context, n *node.Node) error { return n.Promote(ctx, x.name) })
		})
	case scenario.Demote:
		each(m.selected(a.Nodes), func(x *machine) {
			m.order(founder, func(ctx context.Context, n *node.Node) error { return n.Demote(ctx, x.name) })
		})
	case scenario.Rotate:
		each(m.selected(a.Nodes), func(x *machine) {
			m.order(x, func(ctx context.Context, n *node.Node) error { return n.RotateRoot(ctx) })
		})
	case scenario.Invite:
		each(m.selected(a.Nodes), m.inviteAt)
	default:
		return m.actOnHosts(step)
	}
	return nil
}

// order asks a daemon for something, and goes on. That it refuses is a violation, unless it is down by then.
func (m *mesh) order(x *machine, do func(context.Context, *node.Node) error) {
	l := x.life
	m.ending.Go(func() {
		ctx, cancel := context.WithTimeout(l.ctx, orderTime)
		defer cancel()
		if err := do(ctx, l.node); err != nil && l.ctx.Err() == nil {
			m.mu.Lock()
			m.broken = append(m.broken, failure{m.now(), x.name, "scenario", err.Error()})
			m.mu.Unlock()
		}
	})
}

// inviteAt makes who joins from now on join by a token of that machine.
func (m *mesh) inviteAt(x *machine) {
	ctx, cancel := context.WithTimeout(x.life.ctx, orderTime)
	defer cancel()
	token, err := x.life.node.Invite(ctx, invitees, inviteTTL)
	if err != nil {
		m.fail(x.name, "scenario", err.Error())
		return
	}
	m.token = token
}
