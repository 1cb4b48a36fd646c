package node

import (
	"context"
	"slices"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/internal/identity"
)

// repeatLead and repeatEach are how long before the end of an authority what it has said is repeated: nobody who
// can be reached must be without a policy in between. It is longer for each statement, as they are on their way
// one by one, and not more than repeatMost.
const (
	repeatLead = time.Second
	repeatEach = 20 * time.Millisecond
	repeatMost = 20 * time.Second
)

// castOff says as this authority that the word of a node counts no more. Where the root key says so nothing
// that the node has said counts, whatever its clock: what is to count on is repeated first, unless it is
// disavowed.
func (l *life) castOff(ctx context.Context, a *authority, id micronet.NodeID, disavow bool, end signature) error {
	if disavow || !a.issuer.Load().IsRoot() {
		return l.statements.declare(ctx, end)
	}
	if n := len(repeatable(l.statements.held.Load(), id)); n > 0 {
		if err := l.repeat(ctx, a, id); err != nil {
			return err
		}
		if !micronet.Pause(ctx, min(repeatLead+time.Duration(n)*repeatEach, repeatMost)) {
			return ctx.Err()
		}
	}
	return l.repeat(ctx, a, id, end)
}

// repeat says again what a node has said, and then what is to follow. An authority can say so much that there is no
// room to repeat it: that must not keep its right from ending.
func (l *life) repeat(ctx context.Context, a *authority, id micronet.NodeID, then ...signature) error {
	err := l.statements.declareOver(ctx, func(held *gossip.Ledger) []signature { return append(l.repeats(a, repeatable(held, id)), then...) })
	if micronet.KindOf(err) != micronet.Overloaded {
		return err
	}
	return micronet.E("node.repeat", micronet.Overloaded, "what the node has said as an authority cannot all count on: %w", err).WithPeer(id).
		WithFix("run `micro-net node revoke --disavow %s`, which keeps nothing of it", id)
}

// repeatable is what a root repeats of what a node has said: nobody knows what statements of unknown kinds mean.
func repeatable(held *gossip.Ledger, id micronet.NodeID) []gossip.Statement {
	return slices.DeleteFunc(held.Said(id), func(st gossip.Statement) bool {
		switch identity.StatementKind(st.Kind) {
		case identity.StatementRevocation, identity.StatementDisavowal, identity.StatementPolicy, identity.StatementGrant,
			identity.StatementSetting, identity.StatementForgotten:
			return false
		}
		return true
	})
}

// repeats are statements of others in the name of the root. Clocks stay what they were, so that newer words stay
// newer.
func (l *life) repeats(a *authority, list []gossip.Statement) (signs []signature) {
	for _, st := range list {
		signs = append(signs, func(identity.Clock) ([]byte, error) {
			said, err := identity.ParseStatement(st.Raw)
			if err != nil {
				return nil, err
			}
			root := a.issuer.Load()
			if !root.IsRoot() {
				return nil, micronet.E("node.repeat", micronet.Refused, "the root key is not on this host any more")
			}
			return root.State(l.env.Wall(), said)
		})
	}
	return signs
}

// strayed tells whoever can repeat them of statements that do not count. Who made them may not have known that
// its right had ended; or it is not to be trusted.
func (l *life) strayed(list []gossip.Statement) {
	if l.gate.authority.Load() == nil {
		return
	}
	l.env.Log.Warn("what an authority has said does not count, as its right has ended or its key was revoked", "count", len(list),
		"peer", list[0].Issuer.Short(), "fix", "say it again here if it is to count")
}
